"""What is trending and what is new: lists of a shop that are the same for everybody.

Trending goes by

    trend(p) = sum over events e of p of weight(e) * 2 ** (-age(e) / half-life)

with the clicks, orders and reviews of the log (`live_trends`), and the bundle's reviews, whose ages are counted back
from its newest one and grow since the bundle was made: so there is an answer before anything was written. New goes by

    2 ** (-age(p) / half-life) * (1 + trend(p) / (1 + trend(p)))

so that what is wanted counts as up to one half-life younger; a product's age is counted from its first PUT, that of the
bundle's from their first review, likewise. The half-life is a day, a week (7 days) or a month (30 days), as the
question's window says.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from rec_sys.contracts import MILLISECONDS_A_DAY, PayloadField
from rec_sys.inference.answers import listed, predicted_stars
from rec_sys.inference.backends import Backends
from rec_sys.inference.clock import StepClock
from rec_sys.inference.contract import Page, ProductsAnswer, ServingUnavailable, Source, Versions
from rec_sys.inference.filter_names import explain_empty
from rec_sys.inference.live_trends import HALF_LIVES, Window
from rec_sys.inference.review_log import ReviewLog
from rec_sys.inference.served_bundle import ServedBundle

_Numbers = npt.NDArray[np.float64]
_LONGEST: Final = 300.0  # half-lives; beyond it all the past counts next to nothing, yet keeps its order


class ShopLists:
    """Answers from the bundle served and the log; for one event loop."""

    def __init__(self, backends: Backends, log: ReviewLog | None) -> None:
        self._backends, self._log = backends, log

    async def trending(self, page: Page, window: Window) -> ProductsAnswer:
        """What happened most to lately; the source of what nothing has happened to since the bundle is `popular`.

        Raises:
            ServingUnavailable, InputError: There is no bundle.
        """
        clock, served = StepClock(), await self._served()
        trend, live = self._trend(served, window)
        order = np.lexsort((-served.listing.popularity, -trend))
        return _answer(page, served, clock, order, trend, ["trending" if one else "popular" for one in live > 0])

    async def new(self, page: Page, window: Window) -> ProductsAnswer:
        """What came last, and of that what is wanted first; raises as `trending`."""
        clock, served = StepClock(), await self._served()
        trend, _ = self._trend(served, window)
        score = np.log2(1 + trend / (1 + trend)) - self._ages(served) / HALF_LIVES[window]
        order = np.argsort(-score, kind="stable")
        return _answer(page, served, clock, order, np.exp2(score), ["new"] * len(order))

    async def _served(self) -> ServedBundle:
        try:
            return await self._backends.served()
        except ServingUnavailable:  # the index is not needed
            return await self._backends.any_bundle()

    def _trend(self, served: ServedBundle, window: Window) -> tuple[_Numbers, _Numbers]:
        """The trend of all products, and the log's part in it; both float64 `[num_products]`."""
        now, listing = _now(), served.listing
        live = np.zeros(len(listing.popularity))
        for asin, value in ({} if self._log is None else self._log.trends.at(now, window)).items():
            if (row := listing.row_of.get(asin)) is not None:
                live[row] = value
        seeds = np.zeros(len(live))
        past = _past_trends(served, self._log is not None and self._log.trained(served) is not None)[window]
        seeds[: len(past)] = past
        half_lives = min(_LONGEST, max(0.0, now - _created(served)) / MILLISECONDS_A_DAY / HALF_LIVES[window])
        return seeds * 2.0**-half_lives + live, live

    def _ages(self, served: ServedBundle) -> _Numbers:
        """The ages of all products in days, float64 `[num_products]`; unknown ones are as old as the oldest."""
        now, listing = _now(), served.listing
        first, last = (
            listing.details[field].cast(pl.Float64).to_numpy()
            for field in (PayloadField.FIRST_REVIEW, PayloadField.LAST_REVIEW)
        )
        newest = float(np.nanmax(last, initial=0.0))
        age = now - _created(served) + np.maximum(0.0, newest - first)
        for asin, came in ({} if self._log is None else self._log.products.came).items():
            row = listing.row_of.get(asin, -1)
            if row >= len(served.asins):  # the bundle knows others better
                age[row] = max(0, now - came)
        oldest = float(np.nanmax(age, initial=0.0))
        return np.nan_to_num(age, nan=oldest) / MILLISECONDS_A_DAY


def _answer(
    page: Page,
    served: ServedBundle,
    clock: StepClock,
    order: npt.NDArray[np.intp],
    score: _Numbers,
    source: Sequence[Source],
) -> ProductsAnswer:
    listing = served.listing
    rows = listing.passing(order.astype(np.int64), served.available(page.filter.for_index()))
    rows = rows[page.offset : page.offset + page.limit]
    hits = listing.hits(rows, score)
    products = listed(hits, page, [source[row] for row in rows.tolist()], predicted_stars(served))
    return ProductsAnswer(
        products=products,
        hints=() if products else explain_empty(page, served),
        versions=Versions(bundle=served.identity, index=None, towers="none", text_encoder=served.manifest.text_encoder),
        times=clock.times(),
    )


@lru_cache(maxsize=4)  # the bundle served and the one before, each with the log and without
def _past_trends(served: ServedBundle, beside_log: bool) -> dict[Window, _Numbers]:
    """The trend of the bundle's products at its newest review, by window; each float64 `[num_products]`.

    Without the reviews that it has learned from the log, where `live_trends` counts them from that log itself.
    """
    users, size = served.users, len(served.asins)
    weight = np.where(users.sequence > 0, 0, users.weight) if beside_log else users.weight
    days = np.zeros(len(users.product))
    if served.manifest.has_time and len(days):
        days = (users.timestamp.max() - users.timestamp) / MILLISECONDS_A_DAY
    return {
        window: np.bincount(users.product, weight * np.exp2(-days / half_life), minlength=size).astype(np.float64)
        for window, half_life in HALF_LIVES.items()
    }


def _created(served: ServedBundle) -> float:
    """When the bundle was made; milliseconds since 1970 UTC."""
    made = datetime.fromisoformat(served.manifest.created)
    return (made if made.tzinfo else made.replace(tzinfo=UTC)).timestamp() * 1000


def _now() -> int:
    return time.time_ns() // 1_000_000
