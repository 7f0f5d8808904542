"""The terms of the hybrid score beside the towers' logits, for the questions of a split."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rec_sys import ragged
from rec_sys.contracts import MILLISECONDS_A_DAY
from rec_sys.data.interactions import FloatArray, IntArray, Interactions
from rec_sys.data.queries import Queries
from rec_sys.modules.memory import CoReviewMemory
from rec_sys.modules.past_popularity import PastPopularity
from rec_sys.score_terms import repeat_scores, with_terms
from rec_sys.scoring import ScoreFormula, sparse_tensors


@dataclass(frozen=True)
class MemoryTerm:
    """The co-review memory, an item-item model, and what it counts for beside the towers; popularity and repeats too.

    Attributes:
        memory: The memory.
        formula: The score's numbers.
        limit: Most reviews of a user that are read.
        timestamp: int64 `[num_reviews]`, milliseconds, of every edge; None where the data has no time.
        weight: float32 `[num_reviews]`, how much each says beside others; None where all say the same.
        popularity: float32 `[num_products]`, see `score_terms`; None where the score has no such term.
        past: Popularity as of each question's bound, instead of that.
        rare: Whether the memory knows rarely reviewed products by similar ones, see `placing.with_rare`.
    """

    memory: CoReviewMemory
    formula: ScoreFormula
    limit: int
    timestamp: IntArray | None = None
    weight: FloatArray | None = None
    popularity: FloatArray | None = None
    past: PastPopularity | None = None
    rare: bool = False

    def as_of_each_question(self, reviews: Interactions) -> "MemoryTerm":
        """The term with the popularity of each question's own moment, for questions that go with the time."""
        if not self.formula.reads_popularity:
            return self
        days = self.formula.popularity_half_life
        return replace(self, past=PastPopularity(reviews, None if days is None else days * MILLISECONDS_A_DAY))

    def score(self, queries: Queries, rows: npt.NDArray[np.int64]) -> FloatArray:
        """What all terms but the towers' add: float32 `[len(rows), num_products]`."""
        added = self.unweighted(queries, rows)
        added *= np.float32(self.formula.memory_weight)
        if self.formula.reads_popularity:
            weights = self.formula.popularity_weights(np.diff(queries.history_offsets)[rows])
            added += weights[:, None] * self.popularities(queries, rows)
        if self.formula.repeats is not None:
            added += self.repeats(queries, rows)
        return added

    def tensors(self) -> dict[str, npt.NDArray[np.int64] | npt.NDArray[np.int32] | npt.NDArray[np.float32]]:
        """As a bundle keeps the memory, with the rows of the other terms, see `contracts.MemoryTensor`."""
        popularity = self.popularity if self.formula.reads_popularity else None
        return sparse_tensors(with_terms(self.memory.matrix, popularity, self.formula.repeats is not None))

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

    def popularities(self, queries: Queries, rows: npt.NDArray[np.int64]) -> FloatArray:
        """Before its weight: float32 `[len(rows), num_products]`, or `[num_products]` where it is the same for all."""
        if self.past is not None:
            return self.past.before(queries.bound[rows])
        return np.zeros(self.memory.matrix.shape[1], np.float32) if self.popularity is None else self.popularity

    def repeats(self, queries: Queries, rows: npt.NDArray[np.int64]) -> FloatArray:
        """What the products of the histories get, its weight included: float32 `[len(rows), num_products]`."""
        size = self.memory.matrix.shape[1]
        offsets, place = ragged.take_rows(queries.history_offsets, rows)
        if self.formula.repeats is None or not len(place):
            return np.zeros((len(rows), size), dtype=np.float32)
        age = None
        if self.timestamp is not None:
            age = _ages(self.timestamp, queries.history_edges[place], offsets)
        products = queries.history_products[place].astype(np.int64)
        weight = None if self.weight is None else np.asarray(self.weight)[queries.history_edges[place]]
        scores = repeat_scores(self.formula.repeats, offsets, products, age, size, self.limit, weight)
        return np.asarray(scores.toarray(), dtype=np.float32)


def _ages(timestamp: IntArray, edges: IntArray, offsets: IntArray) -> FloatArray:
    """Days before each history's newest review: float32 `[total]`."""
    when = np.asarray(timestamp)[edges]
    newest = when[offsets[ragged.row_of_entries(offsets) + 1] - 1]
    return ((newest - when) / MILLISECONDS_A_DAY).astype(np.float32)
