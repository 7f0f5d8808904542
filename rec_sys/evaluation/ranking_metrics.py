"""Metrics of a ranking, query by query, from the ranks that the targets reached: one formula a function.

All take `ranks`, float `[num_targets]`, 1 = first; ties may make halves, and inf is a target that was left out of the
ranking. `offsets`, int64 `[num_queries + 1]`, says which targets are whose (`rec_sys.ragged`); no query is without one.
All return float64 `[num_queries]`. In the examples the first query has targets at ranks 1 and 4, the second one at 2.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from rec_sys import ragged

Ranks = npt.NDArray[np.float64]
Values = npt.NDArray[np.float64]


def recall(ranks: Ranks, offsets: ragged.IntArray, k: int) -> Values:
    """The share of a query's targets among its best k: recall@k = hits / targets.

    >>> recall(np.array([1, 4, 2.0]), np.array([0, 2, 3]), k=3).tolist()
    [0.5, 1.0]
    """
    return ragged.count_in_rows(offsets, ranks <= k) / np.diff(offsets)


def precision(ranks: Ranks, offsets: ragged.IntArray, k: int) -> Values:
    """The share of a query's best k that are targets: precision@k = hits / k.

    >>> precision(np.array([1, 4, 2.0]), np.array([0, 2, 3]), k=4).tolist()
    [0.5, 0.25]
    """
    return ragged.count_in_rows(offsets, ranks <= k) / k


def ndcg(ranks: Ranks, offsets: ragged.IntArray, k: int) -> Values:
    """Normalised discounted cumulative gain (Järvelin, Kekäläinen 2002), divided by the best that is achievable.

    DCG@k = sum over hits of 1 / log2(rank + 1); NDCG@k = DCG@k / (sum of 1 / log2(i + 1) for i = 1 to min(targets, k)).

    >>> ndcg(np.array([1, 4, 2.0]), np.array([0, 2, 3]), k=3).round(4).tolist()
    [0.6131, 0.6309]
    """
    gain = np.where(ranks <= k, 1 / np.log2(ranks + 1), 0.0)
    best = np.cumsum(1 / np.log2(np.arange(2, k + 2)))
    found: Values = np.add.reduceat(gain, offsets[:-1]) / best[np.minimum(np.diff(offsets), k) - 1]
    return found


def reciprocal_rank(ranks: Ranks, offsets: ragged.IntArray, k: int) -> Values:
    """MRR@k is its mean: 1 / rank of a query's first hit, 0 where there is none among the best k.

    >>> reciprocal_rank(np.array([1, 4, 2.0]), np.array([0, 2, 3]), k=3).tolist()
    [1.0, 0.5]
    """
    first = np.minimum.reduceat(ranks, offsets[:-1])
    return np.where(first <= k, 1 / first, 0.0)


def average_precision(ranks: Ranks, offsets: ragged.IntArray, k: int) -> Values:
    """MAP@k is its mean: AP@k = (sum over hits of (hits up to this one / its rank)) / targets.

    The hits are counted by place, not by rank, since ties can make ranks equal.

    >>> average_precision(np.array([4, 1, 2.0]), np.array([0, 2, 3]), k=4).tolist()
    [0.75, 0.5]
    """
    order = np.lexsort((ranks, ragged.row_of_entries(offsets)))
    hits = ragged.place_in_row(np.diff(offsets)) + 1
    gain = np.where(ranks[order] <= k, hits / ranks[order], 0.0)
    found: Values = np.add.reduceat(gain, offsets[:-1]) / np.diff(offsets)
    return found


def capped_average_precision(ranks: Ranks, offsets: ragged.IntArray, k: int) -> Values:
    """MAP@k as contests count it: divided by what a list of k can hold, AP@k = (the same sum) / min(targets, k).

    >>> capped_average_precision(np.array([4, 1, 2.0]), np.array([0, 2, 3]), k=1).tolist()
    [1.0, 0.0]
    """
    count = np.diff(offsets)
    return average_precision(ranks, offsets, k) * count / np.minimum(count, k)


METRICS: Final[dict[str, Callable[[Ranks, ragged.IntArray, int], Values]]] = {
    "recall": recall,
    "ndcg": ndcg,
    "map": average_precision,
    "capped_map": capped_average_precision,
    "mrr": reciprocal_rank,
    "precision": precision,
}
