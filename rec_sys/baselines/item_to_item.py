"""Baselines that score by a product-to-product matrix: nearest neighbours and EASE.

score(u, p) = sum over the products q of the history of weight(q) * similarity(q, p), where the weight is 1 for the
newest review and falls by the factor `recency` with each step back.
"""

import warnings
from typing import Any

import numpy as np

from rec_sys.baselines.contract import Baseline
from rec_sys.baselines.reviews import Histories, TrainingReviews
from rec_sys.baselines.settings import EaseSettings, ItemKnnSettings
from rec_sys.data.interactions import FloatArray


class ItemKnnBaseline(Baseline):
    """Item-to-item nearest neighbours, by the library `implicit`."""

    settings: ItemKnnSettings

    def _fit(self, reviews: TrainingReviews) -> None:
        from implicit import nearest_neighbours

        settings = self.settings
        limits: dict[str, Any] = {"K": settings.num_neighbours, "num_threads": self.num_threads}
        if settings.weighting == "bm25":
            model = nearest_neighbours.BM25Recommender(K1=settings.saturation, B=settings.length_norm, **limits)
        elif settings.weighting == "tfidf":
            model = nearest_neighbours.TFIDFRecommender(**limits)
        else:
            model = nearest_neighbours.CosineRecommender(**limits)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the library warns about a conversion of its own
            with np.errstate(invalid="ignore", divide="ignore"):  # and divides 0 by 0 for products without reviews
                model.fit(reviews.matrix().astype(np.float64), show_progress=False)
        self._similarity = model.similarity.astype(np.float32)
        self.num_parameters = int(self._similarity.nnz)

    def _score(self, histories: Histories) -> FloatArray:
        weights = histories.matrix(self.reviews.num_products, self.settings.recency)
        scores: FloatArray = (weights @ self._similarity).toarray()
        return scores


class EaseBaseline(Baseline):
    """Embarrassingly shallow autoencoder, in closed form (Steck 2019, https://arxiv.org/abs/1905.03375).

    With P = (X'X + lambda I)^-1 the weights are B_ij = -P_ij / P_jj, and 0 on the diagonal.
    """

    settings: EaseSettings

    def _fit(self, reviews: TrainingReviews) -> None:
        from scipy.linalg import lapack

        matrix = reviews.matrix().astype(np.float64)
        gram = np.asfortranarray((matrix.T @ matrix).toarray())
        gram[np.diag_indices_from(gram)] += self.settings.regularization
        # Positive definite, so Cholesky inverts it in place and in a third of the time; one triangle is filled.
        factor, failed = lapack.dpotrf(gram, lower=True, overwrite_a=True)
        inverse, failed_too = lapack.dpotri(factor, lower=True, overwrite_c=True)
        if failed or failed_too:
            raise ValueError(
                f"the matrix of reviews cannot be inverted with regularization={self.settings.regularization}"
            )
        diagonal = np.diag(inverse).copy()
        lower = np.tril(inverse, -1).astype(np.float32)
        del gram, factor, inverse
        self._weights = lower + lower.T
        self._weights /= -diagonal.astype(np.float32)
        self.num_parameters = self._weights.size

    def _score(self, histories: Histories) -> FloatArray:
        weights = histories.matrix(self.reviews.num_products, self.settings.recency)
        scores: FloatArray = weights @ self._weights
        return scores
