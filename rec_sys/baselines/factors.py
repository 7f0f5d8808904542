"""Baselines that multiply a user's factors with a product's: ALS, BPR, PureSVD and LightFM."""

import numpy as np

from rec_sys.baselines.contract import Baseline
from rec_sys.baselines.reviews import Histories, TrainingReviews
from rec_sys.baselines.settings import AlsSettings, BprSettings, LightFmSettings, PureSvdSettings
from rec_sys.data.interactions import BoolArray, FloatArray


class AlsBaseline(Baseline):
    """Implicit-feedback ALS of the library `implicit` (Hu, Koren, Volinsky 2008).

    The user's factors are solved for anew from their history, so reviews since the fit count.
    """

    settings: AlsSettings

    def _fit(self, reviews: TrainingReviews) -> None:
        from implicit.cpu.als import AlternatingLeastSquares
        from threadpoolctl import threadpool_limits

        settings = self.settings
        with threadpool_limits(1, "blas"):  # the library has threads of its own
            self._model = AlternatingLeastSquares(
                factors=settings.dim,
                regularization=settings.regularization,
                alpha=settings.confidence,
                iterations=settings.iterations,
                num_threads=self.num_threads,
                random_state=self.seed,
            )
            self._model.fit(reviews.matrix(), show_progress=False)
        # A product without reviews keeps what it was started with; it has nothing to say.
        self._model.item_factors[self.counts == 0] = 0
        self.num_parameters = self._model.user_factors.size + self._model.item_factors.size

    def _score(self, histories: Histories) -> FloatArray:
        from threadpoolctl import threadpool_limits

        weights = histories.matrix(self.reviews.num_products, self.settings.recency)
        with threadpool_limits(1, "blas"):
            users = self._model.recalculate_user(np.arange(len(histories)), weights)
        scores: FloatArray = users @ self._model.item_factors.T
        return scores


class PureSvdBaseline(Baseline):
    """Truncated SVD of the review matrix (Cremonesi, Koren, Turrin 2010), by scipy; scores are x V V'."""

    settings: PureSvdSettings

    def _fit(self, reviews: TrainingReviews) -> None:
        from scipy.sparse.linalg import svds

        matrix = reviews.matrix().astype(np.float64)
        dim = min(self.settings.dim, min(matrix.shape) - 1)
        _, _, products = svds(matrix, k=dim, random_state=np.random.default_rng(self.seed))
        self._products = np.ascontiguousarray(products.T, dtype=np.float32)  # [num_products, dim]
        self.num_parameters = self._products.size

    def _score(self, histories: Histories) -> FloatArray:
        users = histories.matrix(self.reviews.num_products, self.settings.recency) @ self._products
        scores: FloatArray = users @ self._products.T
        return scores


class FixedUsersBaseline(Baseline):
    """Has a vector for each training user and can make none for others; they get popular products."""

    def can_answer(self, histories: Histories) -> BoolArray:
        """Whether the user was fitted."""
        inside = histories.user_index >= 0
        able: BoolArray = inside & self.known_users[np.where(inside, histories.user_index, 0)]
        return able

    def _keep(self, users: FloatArray, products: FloatArray) -> None:
        """Takes what a subclass has learned, float32 `[num_users, dim]` and `[num_products, dim]`."""
        self.users, self.products = users, products
        self.num_parameters = users.size + products.size

    def _score(self, histories: Histories) -> FloatArray:
        scores: FloatArray = self.users[histories.user_index] @ self.products.T
        return scores


class BprBaseline(FixedUsersBaseline):
    """Matrix factorisation by Bayesian personalised ranking (Rendle et al. 2009), of the library `implicit`."""

    settings: BprSettings

    def _fit(self, reviews: TrainingReviews) -> None:
        from implicit.cpu.bpr import BayesianPersonalizedRanking

        settings = self.settings
        model = BayesianPersonalizedRanking(
            factors=settings.dim,
            learning_rate=settings.learning_rate,
            regularization=settings.regularization,
            iterations=settings.iterations,
            num_threads=1,  # more of them write over each other, and no two runs are equal
            random_state=self.seed,
        )
        model.fit(reviews.matrix(), show_progress=False)
        self._keep(np.array(model.user_factors), np.array(model.item_factors))


class LightFmBaseline(FixedUsersBaseline):
    """LightFM with the WARP loss (Kula 2015; Weston et al. 2011), of the library `rectools-lightfm`."""

    settings: LightFmSettings

    def _fit(self, reviews: TrainingReviews) -> None:
        from lightfm import LightFM

        settings = self.settings
        model = LightFM(
            no_components=settings.dim, loss="warp", learning_rate=settings.learning_rate, random_state=self.seed
        )
        # One thread: more of them write over each other, and no two runs are equal.
        model.fit(reviews.matrix().tocoo(), epochs=settings.epochs, num_threads=1)
        ones = np.ones((reviews.num_users, 1), dtype=np.float32)
        products = np.hstack([model.item_embeddings, model.item_biases[:, None]])
        self._keep(np.hstack([model.user_embeddings, ones]), products)
