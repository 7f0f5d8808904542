"""The memory's term of the hybrid score, for the questions of a split: what is added to the towers' logits."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rec_sys import ragged
from rec_sys.contracts import MILLISECONDS_A_DAY
from rec_sys.data.interactions import FloatArray, IntArray
from rec_sys.data.queries import Queries
from rec_sys.modules.memory import CoReviewMemory
from rec_sys.scoring import ScoreFormula


@dataclass(frozen=True)
class MemoryTerm:
    """The co-review memory, an item-item model, and what it counts for beside the towers.

    Attributes:
        memory: The memory.
        formula: The score's numbers.
        limit: Most reviews of a user that are read.
        timestamp: int64 `[num_reviews]`, milliseconds, of every edge; None where the data has no time.
        weight: float32 `[num_reviews]`, how much each says beside others; None where all say the same.
    """

    memory: CoReviewMemory
    formula: ScoreFormula
    limit: int
    timestamp: IntArray | None = None
    weight: FloatArray | None = None

    def score(self, queries: Queries, rows: npt.NDArray[np.int64]) -> FloatArray:
        """What the memory adds: float32 `[len(rows), num_products]`."""
        return np.float32(self.formula.memory_weight) * self.unweighted(queries, rows)

    def unweighted(self, queries: Queries, rows: npt.NDArray[np.int64]) -> FloatArray:
        """The memory's own scores, before its weight: float32 `[len(rows), num_products]`."""
        offsets, place = ragged.take_rows(queries.history_offsets, rows)
        age = None
        if self.timestamp is not None and self.formula.session > 0 and len(place):
            age = _ages(self.timestamp, queries.history_edges[place], offsets)
        weight = None if self.weight is None else np.asarray(self.weight)[queries.history_edges[place]]
        size = self.memory.matrix.shape[0]
        return self.memory.score(
            self.formula.weigh_histories(offsets, queries.history_products[place], size, self.limit, age, weight)
        )


def _ages(timestamp: IntArray, edges: IntArray, offsets: IntArray) -> FloatArray:
    """Days before each history's newest review: float32 `[total]`."""
    when = np.asarray(timestamp)[edges]
    newest = when[offsets[ragged.row_of_entries(offsets) + 1] - 1]
    return ((newest - when) / MILLISECONDS_A_DAY).astype(np.float32)
