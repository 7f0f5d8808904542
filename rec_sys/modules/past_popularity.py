"""The popularity of products as of any moment, from the reviews before it alone."""

from dataclasses import dataclass

import numpy as np

from rec_sys.data.interactions import FloatArray, IntArray, Interactions
from rec_sys.score_terms import popularity_of


@dataclass(frozen=True)
class PastPopularity:
    """Popularity that goes with the time: what a shop that counts every day knows on each of them.

    Attributes:
        reviews: All reviews; those at or above a bound are never read.
        half_life: Milliseconds in which a review halves its weight; None = never.
    """

    reviews: Interactions
    half_life: float | None = None

    def before(self, bounds: IntArray) -> FloatArray:
        """float32 `[len(bounds), num_products]`, see `score_terms.popularity_of`; bounds are exclusive edge ids."""
        distinct, which = np.unique(bounds, return_inverse=True)
        return np.stack([self._before(int(bound)) for bound in distinct])[which]

    def _before(self, bound: int) -> FloatArray:
        columns, past = self.reviews, slice(0, bound)
        when = columns.timestamp[past] if columns.has_time else None
        weight = None if columns.weight is None else columns.weight[past]
        return popularity_of(columns.product_index[past], columns.num_products, when, weight, self.half_life)
