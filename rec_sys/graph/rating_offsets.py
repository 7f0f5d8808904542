"""How far users and products rate above the mean, in closed form: what a personal rating starts from."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rec_sys.data.interactions import FloatArray, IntArray, SmallIntArray
from rec_sys.graph.review_graph import ReviewGraph


@dataclass(frozen=True)
class RatingOffsets:
    """Closed-form rating offsets with pseudo-counts (Koren 2008, eq. 1, shrunk means instead of ridge regression).

    Attributes:
        mean: The train split's mean stars.
        product_sum: float64 `[num_products]`, summed deviations from the mean.
        product_count: float64 `[num_products]`.
        pseudo_counts: Shrinkage towards zero.
    """

    mean: float
    product_sum: npt.NDArray[np.float64]
    product_count: npt.NDArray[np.float64]
    pseudo_counts: float

    def of_products(self) -> FloatArray:
        """float32 `[num_products]`."""
        return self._shrink(self.product_sum, self.product_count)

    def of_products_without(self, products: SmallIntArray, ratings: npt.NDArray[np.float32]) -> FloatArray:
        """float32 `[n]`: a product's offset without the review that is being predicted."""
        rest = self.product_sum[products] - np.nan_to_num(ratings.astype(np.float64) - self.mean)
        return self._shrink(rest, self.product_count[products] - ~np.isnan(ratings))

    def _shrink(self, total: npt.NDArray[np.float64], count: npt.NDArray[np.float64]) -> FloatArray:
        return _shrink(total, count, self.pseudo_counts).astype(np.float32)


def shrunken_means(
    nodes: npt.NDArray[np.integer], deviations: npt.NDArray[np.floating], num_nodes: int, pseudo_counts: float
) -> npt.NDArray[np.float64]:
    """How far each node deviates on average: sum of its deviations / (their number + pseudo-counts).

    >>> shrunken_means(np.array([0, 0, 2]), np.array([1.0, 0.5, -1.0]), num_nodes=3, pseudo_counts=1.0).tolist()
    [0.5, 0.0, -0.5]

    Args:
        nodes: int `[n]`, who each deviation is of.
        deviations: float `[n]`, stars.
        num_nodes: Length of the result.
        pseudo_counts: Shrinkage towards zero, in reviews.

    Returns:
        float64 `[num_nodes]`, 0 without reviews.
    """
    count = np.bincount(nodes, minlength=num_nodes)
    total = np.bincount(nodes, weights=deviations, minlength=num_nodes).astype(np.float64)
    return _shrink(total, count, pseudo_counts)


def _shrink(
    total: npt.NDArray[np.float64], count: npt.NDArray[np.number], pseudo_counts: float
) -> npt.NDArray[np.float64]:
    weight = count + pseudo_counts
    shrunk = np.zeros(len(total))
    # Without reviews and pseudo-counts the total is a rounding error, not to be divided by next to nothing.
    np.divide(total, weight, out=shrunk, where=weight > 0)
    return shrunk


def fit_rating_offsets(graph: ReviewGraph, edges: IntArray, pseudo_counts: float) -> RatingOffsets:
    """Offsets from the given (train) edges; all zero around 0 where there are no ratings."""
    columns = graph.interactions
    rating = np.asarray(columns.rating[edges], dtype=np.float64)
    rated = ~np.isnan(rating)
    mean = float(rating[rated].mean()) if rated.any() else 0.0
    product = columns.product_index[edges][rated]
    return RatingOffsets(
        mean=mean,
        product_sum=np.bincount(product, weights=rating[rated] - mean, minlength=columns.num_products).astype(
            np.float64
        ),
        product_count=np.bincount(product, minlength=columns.num_products).astype(np.float64),
        pseudo_counts=pseudo_counts,
    )
