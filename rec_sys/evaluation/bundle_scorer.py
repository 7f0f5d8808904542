"""Asks bundles the questions of a split as a gateway would: the same histories, the same products, two models."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from rec_sys import ragged
from rec_sys.data.interactions import BoolArray, FloatArray
from rec_sys.data.queries import Queries
from rec_sys.evaluation.ranking import evaluate_ranking
from rec_sys.evaluation.ranks import NO_PRODUCT, rank_products
from rec_sys.evaluation.uncertainty import clustered_error
from rec_sys.graph.review_graph import ReviewGraph
from rec_sys.inference.second_stage import describe_products
from rec_sys.inference.served_bundle import ServedBundle
from rec_sys.inference.served_ranker import ServedRanker
from rec_sys.inference.user_reviews import MemoryQuery, UserReviews, memory_queries, tower_inputs
from rec_sys.inference.user_towers import TowerInProcess
from rec_sys.ranker.features import Candidates
from rec_sys.ranker.reordering import permute_scores

METRIC: Final = "ndcg_at_10_masked"
_K: Final = 10
_AT_ONCE: Final = 256  # questions


@dataclass(frozen=True)
class BundleComparison:
    """Two bundles on the same questions.

    Attributes:
        candidate: Mean NDCG@10 of the first.
        served: Of the second.
        error: Standard error of the mean difference, question by question; users are the independent draws.
        num_questions: Questions that both were asked.
        left_out: Questions about products that only one of them knows.
    """

    candidate: float
    served: float
    error: float
    num_questions: int
    left_out: int

    @property
    def is_worse(self) -> bool:
        """Whether the first is worse by more than the error."""
        return self.candidate - self.served < -self.error

    def __str__(self) -> str:
        left_out = f", {self.left_out:,} left out whose product only one of them knows" if self.left_out else ""
        return (
            f"candidate NDCG@{_K} {self.candidate:.4f}, served {self.served:.4f},"
            f" difference {self.candidate - self.served:+.4f} ± {self.error:.4f}"
            f" on {self.num_questions:,} questions{left_out}"
        )


class BundleScorer:
    """Scores of one bundle for the questions of a split: its exported tower, its memory, its ranker.

    Args:
        served: The bundle.
        graph: The reviews, with vectors of the bundle's own text encoder.
        asins: By product index of the graph; the bundle may have them in another order, and lack some.
        user_ids: By user index of the graph; likewise.
        visible: bool `[num_reviews]`, whether a review's text may be read.
        queries: The questions.
    """

    def __init__(
        self,
        served: ServedBundle,
        graph: ReviewGraph,
        asins: Sequence[str],
        user_ids: Sequence[str],
        visible: BoolArray,
        queries: Queries,
    ) -> None:
        self._served, self._graph, self._visible, self._queries = served, graph, visible, queries
        self._user_ids = user_ids
        self._row = np.array([served.index_of.get(asin, served.unknown_product) for asin in asins], dtype=np.int64)
        self.knows: BoolArray = self._row < served.unknown_product
        self._tower = TowerInProcess(num_threads=1)

    def score(self, rows: npt.NDArray[np.int64]) -> FloatArray:
        """Of all products of the graph, float32 `[len(rows), num_products]`; -inf where the bundle knows none."""
        served = self._served
        read = [self._read(int(row)) for row in rows]
        users, texts = [user for user, _ in read], [vectors for _, vectors in read]
        inputs = tower_inputs(users, texts, served)
        vectors, _ = asyncio.run(self._tower.read(served, inputs))
        in_memory = memory_queries(users, inputs, served)
        own = served.exact.scores(vectors, [query.summed for query in in_memory])
        scores = np.full((len(rows), len(self._row)), -np.inf, dtype=np.float32)
        scores[:, self.knows] = own[:, self._row[self.knows]]
        if served.ranker is not None:
            self._reorder(scores, rows, users, in_memory, served.ranker)
        return scores

    def _read(self, query: int) -> tuple[UserReviews, dict[int, FloatArray]]:
        """A user as the bundle reads them, the newest review first, and the vectors of their texts by place."""
        columns, served = self._graph.interactions, self._served
        start, end = self._queries.history_offsets[query : query + 2]
        edges = self._queries.history_edges[start:end][::-1]
        product, text_row = self._row[columns.product_index[edges]], self._graph.text_row[edges]
        has_text = (text_row >= 0) & self._visible[edges]
        usable = np.flatnonzero((product < served.unknown_product) | (has_text & served.reads_unknown))
        usable = usable[: served.manifest.user_reviews]
        edges, product = edges[usable], product[usable]
        weight = columns.weights_of(edges)
        places = np.flatnonzero(has_text[usable]).tolist()
        vectors = {place: self._graph.text_vectors[text_row[usable[place]]].astype(np.float32) for place in places}
        user = UserReviews(
            origin=-1 - np.arange(len(edges), dtype=np.int64),
            product=product,
            rating=np.nan_to_num(columns.rating[edges]).astype(np.float32),
            timestamp=columns.timestamp[edges],
            weight=np.ones(len(edges), dtype=np.float32) if weight is None else weight,
            sent=(),
            texts={},
            known_user=True,
            user=served.users.place(self._user_ids[self._queries.user_index[query]]),
            seen=(),
            ignored=(),
        )
        return user, vectors

    def _reorder(
        self,
        scores: FloatArray,
        rows: npt.NDArray[np.int64],
        users: Sequence[UserReviews],
        in_memory: Sequence[MemoryQuery],
        ranker: ServedRanker,
    ) -> None:
        """Puts the best products into the ranker's order, which sees the reviews before the question's moment."""
        columns = self._graph.interactions
        best = rank_products(scores, ranker.card.candidates, *self._queries.masked_products(rows))
        row, place = np.nonzero(best != NO_PRODUCT)
        product = best[row, place].astype(np.int64)
        known = np.isfinite(scores[row, product])
        row, product = row[known], product[known]
        memory = self._served.exact.memory_scores([query.summed for query in in_memory], row, self._row[product])
        candidates = Candidates(row, self._row[product], scores[row, product], memory)
        before = None
        if columns.has_time:
            asked = np.minimum(self._queries.bound[rows], columns.num_reviews - 1)
            before = ranker.past.before(columns.timestamp[asked])
        value = candidates.score + ranker.run(describe_products(ranker, users, candidates, before))
        permute_scores(scores, row, product, value)


def compare_bundles(candidate: BundleScorer, served: BundleScorer, queries: Queries) -> BundleComparison | None:
    """Asks both the same questions about the products that both know; None where there is no such question."""
    common = candidate.knows & served.knows
    chosen = _about(queries, common)
    if not len(chosen):
        return None
    asked = queries.take(chosen)

    def measure(scorer: BundleScorer) -> npt.NDArray[np.float64]:
        def score(rows: npt.NDArray[np.int64]) -> FloatArray:
            scores = scorer.score(chosen[rows])
            scores[:, ~common] = -np.inf
            return scores

        found = evaluate_ranking(score, asked, len(common), (_K,), _AT_ONCE)
        return found.per_query[METRIC].to_numpy()

    first, second = measure(candidate), measure(served)
    error = clustered_error((first - second)[:, None], asked.user_index)
    return BundleComparison(
        float(first.mean()), float(second.mean()), float(error[0]), len(chosen), len(queries) - len(chosen)
    )


def newest_questions(queries: Queries, most: int) -> Queries:
    """Those whose first answer is the newest, so many at most."""
    first = queries.target_edges[queries.target_offsets[:-1]]
    return queries.take(np.sort(np.argsort(-first, kind="stable")[:most]))


def _about(queries: Queries, products: BoolArray) -> npt.NDArray[np.int64]:
    """The questions all of whose answers are among some products."""
    other = ~products[queries.target_products]
    row = ragged.row_of_entries(queries.target_offsets)
    return np.flatnonzero(np.bincount(row[other], minlength=len(queries)) == 0)
