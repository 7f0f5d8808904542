"""Popularity: what everyone reviews, offered to everyone; the least a recommender must beat."""

from typing import Self

import numpy as np
import numpy.typing as npt


class PopularPeer:
    """Ranks products by their number of training reviews; equal counts stay ties."""

    name = "popular"

    def fit(self, product_index: npt.NDArray[np.integer], num_products: int) -> Self:
        """Counts.

        Args:
            product_index: `[num_train]`, the product of every training review.
            num_products: Size of the catalogue; products without a review count 0.
        """
        # float32 counts whole numbers up to 16,777,216 exactly, more reviews than one product has.
        self._counts = np.bincount(product_index, minlength=num_products).astype(np.float32)
        return self

    def score(self, query_rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """The same counts `[num_products]` for every query, as a read-only `[batch, num_products]` view."""
        return np.broadcast_to(self._counts, (len(query_rows), len(self._counts)))
