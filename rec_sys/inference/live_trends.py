"""What happened to products lately, by the log: clicks, orders and reviews, each of which counts less every day."""

from collections.abc import Iterable, Sequence
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from rec_sys.contracts import MILLISECONDS_A_DAY
from rec_sys.store.messages import Change

Window = Literal["day", "week", "month"]
HALF_LIVES: Final[dict[Window, float]] = {"day": 1, "week": 7, "month": 30}  # days
_DAYS: Final = np.array(list(HALF_LIVES.values()))
# As the data with events weigh a view and an order (config/ranker_table.yaml). That something was shown says nothing of
# it: what is shown often would be trending for ever.
_WEIGHTS: Final = {"impression": 0.0, "click": 0.3, "order": 1.0}
_OF_REVIEW: Final = 1.0


def halved(milliseconds: float) -> npt.NDArray[np.float64]:
    """What is left of 1 after a time, by window: 2 ** (-days / half-life), float64 `[3]`."""
    left: npt.NDArray[np.float64] = np.exp2(-milliseconds / MILLISECONDS_A_DAY / _DAYS)
    return left


class LiveTrends:
    """The sum over a product's events e of weight(e) * 2 ** (-age(e) / half-life), for each window's half-life.

    A sum is kept as of the product's last event, and halves from there on: taking in an event, or asking, needs none of
    the events before.
    """

    def __init__(self) -> None:
        self._sums: dict[str, tuple[npt.NDArray[np.float64], int]] = {}
        self._reviews: dict[str, tuple[str, int]] = {}

    def apply(self, changes: Sequence[Change], gone: Iterable[str]) -> None:
        """Takes the next entries of the log in; `gone` are the ids of reviews that are not there any more."""
        for change in changes:
            if change.event is not None and _WEIGHTS[change.event.event]:
                self._add(change.event.asin, _moment(change.event.timestamp, change), _WEIGHTS[change.event.event])
            elif change.review is not None:
                asin, at = change.review.asin, _moment(change.review.timestamp, change)
                self._reviews[change.subject] = asin, at
                self._add(asin, at, _OF_REVIEW)
        for review_id in gone:
            if review_id in self._reviews:
                self._add(*self._reviews.pop(review_id), -_OF_REVIEW)

    def at(self, now: int, window: Window) -> dict[str, float]:
        """The sums of all products of which there is something, at a time."""
        place = list(HALF_LIVES).index(window)
        left = {asin: float(sums[place] * halved(now - last)[place]) for asin, (sums, last) in self._sums.items()}
        return {asin: max(0.0, value) for asin, value in left.items()}  # what was taken back leaves a rounding error

    def _add(self, asin: str, at: int, weight: float) -> None:
        sums, last = self._sums.get(asin, (np.zeros(len(_DAYS)), at))
        newest = max(at, last)
        self._sums[asin] = sums * halved(newest - last) + weight * halved(newest - at), newest


def _moment(said: int | None, change: Change) -> int:
    """When something happened: as it says, and no later than it was written."""
    return change.written if said is None else min(said, change.written)
