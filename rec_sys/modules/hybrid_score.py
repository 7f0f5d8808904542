"""Tower and memory in one score: the memory is added to the tower's logits, its weight chosen on validation."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rec_sys.contracts import MILLISECONDS_A_DAY
from rec_sys.data.interactions import FloatArray, IntArray
from rec_sys.data.splits import Queries
from rec_sys.evaluation.ranks import rank_targets
from rec_sys.modules.memory import CoReviewMemory, weigh_history

Scorer = Callable[[npt.NDArray[np.int64]], FloatArray]


@dataclass(frozen=True)
class SessionWeight:
    """Reviews of one session weigh more than their place in the history says, see `bundle.weigh_reviews`.

    Attributes:
        timestamp: int64 `[num_reviews]`, milliseconds, of every edge; None where the data has no time.
        more: How much more.
        days: Days in which that fades to a third.
    """

    timestamp: IntArray | None
    more: float
    days: float

    def ages(self, edges: IntArray, offsets: IntArray) -> FloatArray:
        """Days before each history's newest review: float32 `[total]`, -1 where unknown."""
        if self.timestamp is None or self.more == 0 or len(edges) == 0:
            return np.full(len(edges), -1.0, dtype=np.float32)
        when = np.asarray(self.timestamp)[edges]
        newest = np.repeat(when[np.maximum(offsets[1:] - 1, 0)], np.diff(offsets))
        return ((newest - when) / MILLISECONDS_A_DAY).astype(np.float32)


@dataclass(frozen=True)
class Fusion:
    """A memory and what it counts for.

    Attributes:
        memory: The memory.
        weight: What its scores are multiplied by before they are added to the tower's logits.
        recency: Weight of a review against the next newer one.
        limit: Most reviews of a user that are read.
        session: How much more reviews of one session weigh; None = no more.
    """

    memory: CoReviewMemory
    weight: float
    recency: float
    limit: int
    session: SessionWeight | None = None

    def score(self, queries: Queries, rows: npt.NDArray[np.int64]) -> FloatArray:
        """What the memory adds: float32 `[len(rows), num_products]`."""
        return np.float32(self.weight) * recall(self.memory, queries, rows, self.recency, self.limit, self.session)


def recall(
    memory: CoReviewMemory,
    queries: Queries,
    rows: npt.NDArray[np.int64],
    recency: float,
    limit: int,
    session: SessionWeight | None = None,
) -> FloatArray:
    """The memory's own scores for some queries: float32 `[len(rows), num_products]`."""
    start, stop = queries.history_offsets[rows], queries.history_offsets[rows + 1]
    offsets = np.concatenate([[0], np.cumsum(stop - start)])
    place = np.arange(offsets[-1]) + np.repeat(start - offsets[:-1], stop - start)
    size = memory.matrix.shape[0]
    if session is None:
        weights = weigh_history(offsets, queries.history_products[place], size, recency, limit)
    else:
        age = session.ages(queries.history_edges[place], offsets)
        weights = weigh_history(
            offsets, queries.history_products[place], size, recency, limit, age, session.more, session.days
        )
    return memory.score(weights)


def choose_fusion(
    tower: Scorer,
    queries: Queries,
    memories: Mapping[float, CoReviewMemory],
    weights: tuple[float, ...],
    recency: float,
    limit: int,
    query_batch: int,
    session: SessionWeight | None = None,
) -> tuple[float, Fusion, dict[str, float]]:
    """The ridge strength and the weight with the best NDCG@10 on the validation queries, history masked.

    Args:
        tower: The tower's logits of some query rows.
        queries: The validation part.
        memories: Memories by ridge strength, fitted on the train part.
        weights: Weights to choose from.
        recency: Weight of a review against the next newer one.
        limit: Most reviews of a user that are read.
        query_batch: Queries scored at once.
        session: How much more reviews of one session weigh; None = no more.

    Returns:
        The ridge strength, the fusion, and the mean NDCG@10 of every choice by `l2/weight`.
    """
    totals = {(l2, weight): 0.0 for l2 in memories for weight in weights}
    for rows in _batches(len(queries), query_batch):
        logits = tower(rows)
        targets = slice(*queries.target_offsets[[rows[0], rows[-1] + 1]])
        count = np.diff(queries.target_offsets[rows[0] : rows[-1] + 2])
        history = slice(*queries.history_offsets[[rows[0], rows[-1] + 1]])
        target_rows = np.repeat(np.arange(len(rows)), count)
        history_rows = np.repeat(np.arange(len(rows)), np.diff(queries.history_offsets[rows[0] : rows[-1] + 2]))
        ideal = np.cumsum(1 / np.log2(np.arange(2, 12)))[np.minimum(count, 10) - 1]
        for l2, memory in memories.items():
            remembered = recall(memory, queries, rows, recency, limit, session)
            for weight in weights:
                _, masked = rank_targets(
                    logits + np.float32(weight) * remembered,
                    target_rows,
                    queries.target_products[targets],
                    history_rows,
                    queries.history_products[history],
                )
                gain = np.where(masked <= 10, 1 / np.log2(masked + 1), 0.0)
                totals[l2, weight] += float((gain / ideal[target_rows]).sum())
    (l2, weight), _ = max(totals.items(), key=lambda item: (item[1], -item[0][1]))
    figures = {f"{key[0]:g}/{key[1]:g}": total / len(queries) for key, total in totals.items()}
    return l2, Fusion(memories[l2], weight, recency, limit, session), figures


def _batches(count: int, size: int) -> Iterator[npt.NDArray[np.int64]]:
    for start in range(0, count, size):
        yield np.arange(start, min(start + size, count))
