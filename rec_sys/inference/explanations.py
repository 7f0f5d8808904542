"""Which reviews of a user explain a product: one rule, for single answers and for tables of users."""

import numpy as np
import numpy.typing as npt

from rec_sys.vector_database.catalogue import FloatArray, IntArray


def strongest_reviews(
    hit: IntArray,
    attention: FloatArray,
    memory: npt.NDArray[np.floating],
    by_memory: npt.NDArray[np.bool_],
    limit: int,
) -> IntArray:
    """The reviews that matter most: by the memory's part where that is the larger one, else by attention.

    A review that the memory adds nothing for explains no product that comes from the memory; of equals the one that
    stands first is preferred.

    Args:
        hit: int64 `[n]`, ascending: the product answered, as a place in `by_memory`.
        attention: float `[n]`, the review's share of the user tower's attention.
        memory: float `[n]`, what the review adds to the product's score.
        by_memory: bool `[num_hits]`, see `scoring.is_from_memory`.
        limit: Most reviews of a product.

    Returns:
        Places in the arguments, by product, the strongest first.
    """
    order = np.lexsort((-np.where(by_memory[hit], memory, attention), hit))
    order = order[np.arange(len(hit)) - np.searchsorted(hit, hit) < limit]
    return order[(memory[order] > 0) | ~by_memory[hit[order]]]
