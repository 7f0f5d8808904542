"""What people ask about the bundle served beyond recommendations: who is known, what it reads, where products lie."""

import asyncio
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from cachetools import LRUCache

from rec_sys.contracts import PayloadField
from rec_sys.inference.answers import ReviewContributions, describe_review
from rec_sys.inference.backends import Backends
from rec_sys.inference.clock import StepClock
from rec_sys.inference.contract import Reason, RecommendationRequest
from rec_sys.inference.live_reviews import NOTHING_ON_RECORD
from rec_sys.inference.review_log import ReviewLog
from rec_sys.inference.user_blocks import prepare
from rec_sys.inference.user_reviews import memory_queries, tower_inputs
from rec_sys.vector_database.catalogue import FloatArray

_USERS_LOOKED_AT: Final = 500


@dataclass(frozen=True)
class NamedProduct:
    """A product as people call it: by its title, by its asin where it has none."""

    asin: str
    title: str


@dataclass(frozen=True)
class MappedProduct(NamedProduct):
    """A product's place among the others, from 0 to 1 each way; near ones have vectors alike."""

    x: float
    y: float
    categories: tuple[str, ...]


class Insight:
    """Looks into the bundle served; for one event loop."""

    def __init__(self, backends: Backends, log: ReviewLog | None) -> None:
        self._backends, self._log = backends, log
        self._places: LRUCache[str, FloatArray] = LRUCache(1)

    async def some_users(self, limit: int) -> tuple[str, ...]:
        """Users to try, of the first that are known those with the most reviews; nobody who is to be forgotten.

        Raises:
            ServingUnavailable: There is no bundle, or the store has not been read yet.
        """
        served = await self._backends.served()
        first = itertools.islice(served.users, _USERS_LOOKED_AT)
        there = [one for one in first if self._log is None or not self._log.about(one, served).forgotten]
        return tuple(sorted(there, key=lambda one: -len(served.users.rows(one)))[:limit])

    async def titles(self, asins: Iterable[str]) -> dict[str, str]:
        """What products are called, their asin where they have no title.

        Raises:
            ServingUnavailable: There is no bundle.
        """
        served = await self._backends.served()
        return {asin: served.title_of(asin) or asin for asin in asins}

    async def in_catalogue(self, asins: Iterable[str]) -> frozenset[str]:
        """Those of these products that are there now.

        Raises:
            ServingUnavailable: There is no bundle.
        """
        served = await self._backends.served()
        return frozenset(asin for asin in asins if asin in served.listing.row_of and asin not in served.removed)

    async def products_called(self, words: str, limit: int) -> tuple[NamedProduct, ...]:
        """Products whose titles have all these words, or beginnings of them, the most popular first.

        Raises:
            ServingUnavailable: There is no bundle.
        """
        served, parts = await self._backends.served(), words.lower().split()
        if not parts:
            return ()
        listing, title = served.listing, pl.col(PayloadField.TITLE).str.to_lowercase()
        fits = pl.all_horizontal([title.str.contains(part, literal=True) for part in parts]).fill_null(False)
        is_fit = listing.details.select(fits).to_series().to_numpy()
        order = listing.by_popularity[is_fit[listing.by_popularity]]
        found = listing.details[PayloadField.ASIN][order]
        named = (asin for asin in found if asin not in served.removed)
        return tuple(NamedProduct(asin, served.title_of(asin) or asin) for asin in itertools.islice(named, limit))

    async def attention(self, user_id: str) -> tuple[Reason, ...]:
        """What the user tower reads of a user, the newest first, and how much it heeds each; `memory` is the weight
        that the co-review memory gives the review.

        Raises:
            UnknownUserError: Nothing is known of the user.
            ServingUnavailable: A component is away.
        """
        served = await self._backends.served()
        record = NOTHING_ON_RECORD if self._log is None else self._log.about(user_id, served)
        user = await prepare(self._backends, RecommendationRequest(user_id=user_id), served, StepClock(), record)
        inputs = tower_inputs([user.reviews], [user.texts], served)
        (_, weights), _, _ = await self._backends.read_users(served, inputs)
        [memory] = memory_queries([user.reviews], inputs, served)
        read = ReviewContributions(user.reviews, weights[0, : len(user.reviews)], memory, 0)
        return tuple(
            Reason(*describe_review(read, served, place), float(memory.weights[place]))
            for place in range(len(user.reviews))
        )

    async def asked_by_test(self, user_id: str) -> tuple[NamedProduct, ...]:
        """The products that the test split held out of a user, the newest first; none where the bundle does not say.

        Raises:
            ServingUnavailable: There is no bundle, or the store has not been read yet.
        """
        served = await self._backends.served()
        if self._log is not None and self._log.about(user_id, served).forgotten:
            return ()
        asked, before = served.users.before_test(user_id)
        asins = dict.fromkeys(served.asins[product] for product in served.users.product[asked].tolist())
        return tuple(NamedProduct(asin, served.title_of(asin) or asin) for asin in asins) if len(before) else ()

    async def product_map(self, limit: int) -> tuple[MappedProduct, ...]:
        """The most popular products, laid out by the two main directions of all vectors.

        Raises:
            ServingUnavailable: There is no bundle.
        """
        served = await self._backends.served()
        if served.identity not in self._places:
            self._places[served.identity] = await asyncio.to_thread(_lay_out, served.catalogue.vectors)
        places, details = self._places[served.identity], served.catalogue.details
        chosen = [one for one in served.by_popularity[:limit].tolist() if served.asins[one] not in served.removed]
        kinds = [one or () for one in details[PayloadField.CATEGORIES][chosen].to_list()]
        asins = [served.asins[one] for one in chosen]
        titles = [served.title_of(asin) or asin for asin in asins]
        rows = zip(asins, titles, places[chosen].tolist(), kinds, strict=True)
        return tuple(MappedProduct(asin, title, x, y, tuple(of_it)) for asin, title, (x, y), of_it in rows)

    async def rating_scale(self) -> tuple[float, float]:
        """The lowest and the highest rating of the data.

        Raises:
            ServingUnavailable: There is no bundle.
        """
        return (await self._backends.served()).rating_scale

    async def figures(self) -> dict[str, dict[str, float]]:
        """What the bundle's training measured on its test split, by model: its own first, then the baselines.

        Raises:
            ServingUnavailable: There is no bundle.
        """
        served = await self._backends.served()
        metrics = await asyncio.to_thread(served.bundle.metrics)
        return {"this model": metrics.get("test", {}), **metrics.get("baselines", {})}


def _lay_out(vectors: FloatArray) -> FloatArray:
    """Vectors on their two main directions (PCA), from 0 to 1; float32 `[num_products, 2]`."""
    centred = vectors - vectors.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    placed = centred @ directions[:, :-3:-1]
    low, high = placed.min(axis=0), placed.max(axis=0)
    return np.asarray((placed - low) / np.maximum(high - low, 1e-9), dtype=np.float32)
