"""User-to-user nearest neighbours: what people with similar reviews have reviewed."""

import numpy as np

from rec_sys.baselines.contract import Baseline
from rec_sys.baselines.reviews import Histories, TrainingReviews
from rec_sys.baselines.settings import UserKnnSettings
from rec_sys.data.interactions import FloatArray


class UserKnnBaseline(Baseline):
    """Weights from the library `implicit`; the neighbours are found for a history, so unknown users have some too.

    score(u, p) = sum over the nearest training users v of similarity(u, v) * [v has reviewed p], where the similarity
    is the cosine of weighted review vectors. A user is not their own neighbour. Products that no neighbour has reviewed
    follow by popularity, so that every list is full.
    """

    settings: UserKnnSettings

    def _fit(self, reviews: TrainingReviews) -> None:
        from implicit.nearest_neighbours import bm25_weight, normalize, tfidf_weight

        self._matrix = reviews.matrix()
        # Users are the documents and products the terms: a product that few have reviewed says more.
        if self.settings.weighting == "bm25":
            weighted = bm25_weight(self._matrix, self.settings.saturation, self.settings.length_norm)
        else:
            weighted = tfidf_weight(self._matrix)
        with np.errstate(invalid="ignore", divide="ignore"):  # users without reviews
            self._weighted = normalize(weighted).tocsr().astype(np.float32)
        total = np.maximum(np.asarray(self._matrix.sum(axis=0)).ravel(), 1)
        self._rarity = (np.log(self._matrix.shape[0]) - np.log1p(total)).astype(np.float32)
        self._reviewers = self._weighted.T.tocsr()
        self.num_parameters = int(self._weighted.nnz)

    def _score(self, histories: Histories) -> FloatArray:
        from scipy.sparse import csr_matrix

        asked = histories.matrix(self.reviews.num_products, self.settings.recency)
        similarity = (asked.multiply(self._rarity).tocsr() @ self._reviewers).toarray()  # [num_asked, num_users]
        known = histories.user_index >= 0
        similarity[np.flatnonzero(known), histories.user_index[known]] = 0
        kept = min(self.settings.num_neighbours, similarity.shape[1])
        users = np.argpartition(-similarity, kept - 1, axis=1)[:, :kept]
        values = np.maximum(np.take_along_axis(similarity, users, axis=1), 0)
        offsets = np.arange(0, users.size + 1, kept)
        neighbours = csr_matrix((values.ravel(), users.ravel(), offsets), shape=similarity.shape)
        scores: FloatArray = (neighbours @ self._matrix).toarray()
        lowest = np.where(scores > 0, scores, np.inf).min(axis=1, keepdims=True)
        after = np.where(np.isfinite(lowest), lowest, 1) * self._popular / (self._popular.max() * 2 + 1)
        return np.where(scores > 0, scores, after).astype(np.float32)
