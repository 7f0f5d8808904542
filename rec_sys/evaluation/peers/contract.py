"""What a peer must offer to be measured."""

from typing import Protocol

import numpy as np
import numpy.typing as npt


class RankingPeer(Protocol):
    """Scores every product for the queries it is asked; fitted before, on training reviews alone."""

    name: str  # the key under "peers" in metrics.json

    def score(self, query_rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """`[batch]` rows of the queries to `[batch, num_products]` scores, higher is better."""


class RatingPeer(Protocol):
    """Predicts stars; fitted before, on training reviews alone."""

    name: str  # the key under "peers" in metrics.json

    def predict(
        self, user_index: npt.NDArray[np.integer], product_index: npt.NDArray[np.integer]
    ) -> npt.NDArray[np.float32]:
        """Two `[num_reviews]` indices to `[num_reviews]` stars."""
