"""What people ask about the bundle served beyond recommendations: who is known, what products are called."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from rec_sys.contracts import PayloadField
from rec_sys.inference.backends import Backends
from rec_sys.inference.review_log import ReviewLog


@dataclass(frozen=True)
class NamedProduct:
    """A product as people call it: by its title, by its asin where it has none."""

    asin: str
    title: str


class Insight:
    """Looks into the bundle served; for one event loop."""

    def __init__(self, backends: Backends, log: ReviewLog | None) -> None:
        self._backends, self._log = backends, log

    async def some_users(self, limit: int) -> tuple[str, ...]:
        """Users to try, the first that are known; nobody who is to be forgotten.

        Raises:
            ServingUnavailable: There is no bundle, or the store has not been read yet.
        """
        served = await self._backends.served()
        found: list[str] = []
        for user_id in served.users:
            if len(found) == limit:
                break
            if self._log is None or not self._log.about(user_id).forgotten:
                found.append(user_id)
        return tuple(found)

    async def titles(self, asins: Iterable[str]) -> dict[str, str]:
        """What products are called, their asin where they have no title.

        Raises:
            ServingUnavailable: There is no bundle.
        """
        served = await self._backends.served()
        places = {asin: served.index_of.get(asin, len(served.asins)) for asin in asins}
        return {asin: served.title(place) or asin for asin, place in places.items()}

    async def products_called(self, words: str, limit: int) -> tuple[NamedProduct, ...]:
        """Products whose titles have all these words, or beginnings of them, the most popular first.

        Raises:
            ServingUnavailable: There is no bundle.
        """
        served, parts = await self._backends.served(), words.lower().split()
        if not parts:
            return ()
        title = pl.col(PayloadField.TITLE).str.to_lowercase()
        fits = pl.all_horizontal([title.str.contains(part, literal=True) for part in parts]).fill_null(False)
        is_fit = served.catalogue.details.select(fits).to_series().to_numpy()
        order = served.by_popularity[is_fit[served.by_popularity]]
        left = (served.asins[place] for place in order.tolist())
        named = (asin for asin in left if asin not in served.removed)
        return tuple(
            NamedProduct(asin, served.title(served.index_of[asin]) or asin) for asin in itertools.islice(named, limit)
        )
