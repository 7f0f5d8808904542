"""What a language model alone can do: products whose reviews read like those that the user wrote."""

import numpy as np
import numpy.typing as npt

from rec_sys import ragged
from rec_sys.baselines.contract import Baseline
from rec_sys.baselines.reviews import Histories, TrainingReviews
from rec_sys.baselines.settings import NoSettings
from rec_sys.data.interactions import BoolArray, FloatArray
from rec_sys.data.queries import Queries
from rec_sys.data.splits import Split
from rec_sys.evaluation.ranking import evaluate_ranking
from rec_sys.graph.review_graph import ReviewGraph
from rec_sys.settings import EvaluationSettings


class ContentBaseline(Baseline):
    """Cosine of mean text vectors: a user is the mean of their reviews, a product the mean of its training reviews."""

    def can_answer(self, histories: Histories) -> BoolArray:
        """Whether any review of the history has a text."""
        return ragged.count_in_rows(histories.offsets, histories.text_row >= 0) > 0

    def _fit(self, reviews: TrainingReviews) -> None:
        if not (reviews.text_row >= 0).any():
            raise ValueError("no training review has a text")
        self._products = self._means(reviews.product_index, reviews.text_row, reviews.num_products)
        self.num_parameters = self._products.size
        self._silent = ~np.any(self._products, axis=1)

    def _score(self, histories: Histories) -> FloatArray:
        users = self._means(histories.rows(), histories.text_row, len(histories))
        scores: FloatArray = users @ self._products.T
        scores[:, self._silent] = -np.inf  # nothing is known of these; 0 would rank them above what reads otherwise
        return scores

    def _means(self, owner: npt.NDArray[np.integer], text_row: npt.NDArray[np.integer], size: int) -> FloatArray:
        """Directions of the mean vectors, float32 `[size, text_dim]`, zero where there is no text."""
        from scipy.sparse import csr_matrix

        there = text_row >= 0
        rows, texts = np.unique(text_row[there], return_inverse=True)
        members = csr_matrix((np.ones(len(texts), dtype=np.float32), (owner[there], texts)), shape=(size, len(rows)))
        means: FloatArray = members @ self.reviews.text_vectors[rows].astype(np.float32)
        means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
        return means


def content_figures(
    graph: ReviewGraph, split: Split, queries: Queries, settings: EvaluationSettings
) -> dict[str, float]:
    """What vectors are worth without anything else: the figures of this baseline, fitted to the train part."""
    columns = graph.interactions
    text_row = np.where(split.text_visible, graph.text_row, -1).astype(np.int32)
    reviews = TrainingReviews.of_edges(columns, split.train_edges, text_row, graph.text_vectors)
    baseline = ContentBaseline(NoSettings()).fit(reviews)
    histories = Histories.of_queries(queries, columns, text_row)

    def score(rows: npt.NDArray[np.int64]) -> FloatArray:
        return baseline.score(histories.take(rows))

    return evaluate_ranking(score, queries, columns.num_products, settings.ks, settings.query_batch).metrics
