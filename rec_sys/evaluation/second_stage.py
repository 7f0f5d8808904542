"""The second stage on the questions of a split: what the first one proposes, its features, and the new order."""

import numpy as np
import numpy.typing as npt

from rec_sys import ragged
from rec_sys.contracts import MILLISECONDS_A_DAY
from rec_sys.data.interactions import BoolArray, FloatArray
from rec_sys.data.queries import Queries
from rec_sys.evaluation.model_scorer import ModelScorer
from rec_sys.evaluation.ranks import NO_PRODUCT, rank_products
from rec_sys.modules.hybrid_score import MemoryTerm
from rec_sys.ranker.boosting import RankingTable
from rec_sys.ranker.facts import PastReviews, ProductFacts, UserFacts
from rec_sys.ranker.features import AskedUsers, Candidates, describe_candidates
from rec_sys.ranker.reordering import permute_scores
from rec_sys.ranker.trees import Trees


class FirstStage:
    """A fitted first stage and the questions that it is asked.

    Args:
        towers: Scores of the towers alone.
        memory_term: What the memory adds; None where there is none.
        visible: bool `[num_reviews]`, the reviews that may count as past; of them each question sees those before it.
        facts: Of the products.
        people: Of the users, in the order of the data.
        limit: Candidates of a question.
    """

    def __init__(
        self,
        towers: ModelScorer,
        memory_term: MemoryTerm | None,
        visible: BoolArray,
        facts: ProductFacts,
        people: UserFacts,
        limit: int,
    ) -> None:
        self.towers = towers
        self.queries: Queries = towers.queries
        self.memory_term = memory_term
        self.facts = facts
        self.people = people
        self.limit = limit
        columns = towers.builder.graph.interactions
        self._edges = np.flatnonzero(visible)
        self._past = PastReviews(
            columns.product_index[self._edges],
            np.asarray(columns.timestamp)[self._edges] if columns.has_time else None,
            np.asarray(columns.rating)[self._edges],
            columns.num_products,
            people.values[columns.user_index[self._edges]],
        )

    def score(self, rows: npt.NDArray[np.int64]) -> FloatArray:
        """Of all products: float32 `[len(rows), num_products]`."""
        return self.parts(rows)[0]

    def parts(self, rows: npt.NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
        """Scores, and the memory's part of them."""
        scores = self.towers.score(rows)
        if self.memory_term is None:
            return scores, np.zeros_like(scores)
        memory = self.memory_term.score(self.queries, rows)
        return scores + memory, memory

    def propose(self, rows: npt.NDArray[np.int64]) -> tuple[FloatArray, Candidates, FloatArray]:
        """All scores as `score`, and the candidates with their features; `Candidates.row` is a place in `rows`."""
        scores, memory = self.parts(rows)
        candidates = self.best(rows, scores, memory)
        return scores, candidates, self.describe(rows, candidates)

    def best(self, rows: npt.NDArray[np.int64], scores: FloatArray, memory: FloatArray) -> Candidates:
        """The candidates by these scores, of which the second are the memory's part; none at -inf."""
        best = rank_products(scores, self.limit, *self.queries.masked_products(rows))
        row, place = np.nonzero(best != NO_PRODUCT)
        product = best[row, place].astype(np.int64)
        return Candidates(row, product, scores[row, product], memory[row, product])

    def describe(self, rows: npt.NDArray[np.int64], candidates: Candidates) -> FloatArray:
        """The candidates' features, float32 `[num_candidates, num_features]`."""
        return describe_candidates(candidates, self._users(rows), self._past, self.facts)

    def sold_since(self, rows: npt.NDArray[np.int64], days: float) -> FloatArray:
        """How often each product was taken in the days before each question: float32 `[len(rows), num_products]`."""
        columns = self.towers.builder.graph.interactions
        size, bounds = columns.num_products, self.queries.bound[rows]
        counts = np.zeros((len(rows), size), dtype=np.float32)
        for bound in np.unique(bounds).tolist():
            past = self._edges[: np.searchsorted(self._edges, bound)]
            if columns.has_time and len(past):
                newest = columns.timestamp[past[-1]] - days * MILLISECONDS_A_DAY
                past = past[np.asarray(columns.timestamp)[past] > newest]
            counts[bounds == bound] = np.bincount(columns.product_index[past], minlength=size)
        return counts

    def table(self, query_batch: int) -> RankingTable:
        """The candidates of all questions, and which of them were taken."""
        queries, parts = self.queries, []
        size = len(self.facts) + 1
        for start in range(0, len(queries), query_batch):
            rows = np.arange(start, min(start + query_batch, len(queries)))
            _, candidates, features = self.propose(rows)
            offsets, targets = ragged.take_rows(queries.target_offsets, rows)
            wanted = ragged.row_of_entries(offsets) * size + queries.target_products[targets]
            taken = np.isin(candidates.row * size + candidates.product, wanted)
            parts.append(RankingTable(candidates.row + start, features, candidates.score, taken))
        return RankingTable(*(np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])))

    def _users(self, rows: npt.NDArray[np.int64]) -> AskedUsers:
        columns, queries = self.towers.builder.graph.interactions, self.queries
        ends = queries.history_offsets[rows + 1]
        length = np.minimum(ends - queries.history_offsets[rows], self.towers.builder.user_limit)
        offsets = ragged.offsets_of(length)
        entries = ends[ragged.row_of_entries(offsets)] - 1 - ragged.place_in_row(length)  # newest first
        edges = queries.history_edges[entries]
        weight = columns.weights_of(edges)
        return AskedUsers(
            offsets=offsets,
            product=queries.history_products[entries].astype(np.int64),
            timestamp=np.asarray(columns.timestamp)[edges] if columns.has_time else np.full(len(edges), -1),
            weight=np.ones(len(edges), dtype=np.float32) if weight is None else weight,
            before=np.searchsorted(self._edges, queries.bound[rows]).astype(np.int64),
            known=self.people.values[queries.user_index[rows]],
        )


class SecondStage:
    """The first stage's best products in the order of the trees, which add to its score."""

    def __init__(self, first: FirstStage, trees: Trees) -> None:
        self.first, self.trees = first, trees

    def score(self, rows: npt.NDArray[np.int64]) -> FloatArray:
        """Scores of all products in the new order: float32 `[len(rows), num_products]`."""
        scores, candidates, features = self.first.propose(rows)
        value = candidates.score + self.trees.predict(features)
        permute_scores(scores, candidates.row, candidates.product, value.astype(np.float32))
        return scores
