"""Baselines that know nothing of the user: chance, and what everyone reviews."""

import numpy as np

from rec_sys.baselines.contract import Baseline
from rec_sys.baselines.reviews import Histories, TrainingReviews
from rec_sys.baselines.settings import PopularRecentSettings
from rec_sys.contracts import MILLISECONDS_A_DAY
from rec_sys.data.interactions import BoolArray, FloatArray, mix


class UnpersonalBaseline(Baseline):
    """Answers everybody, a history or not."""

    def can_answer(self, histories: Histories) -> BoolArray:
        """Always."""
        return np.ones(len(histories), dtype=np.bool_)


class RandomBaseline(UnpersonalBaseline):
    """Scores drawn by a hash of user and product: the same for a user in whatever batch they stand."""

    def _fit(self, reviews: TrainingReviews) -> None:
        self._products = np.arange(reviews.num_products)

    def _score(self, histories: Histories) -> FloatArray:
        shape = (len(histories), len(self._products))
        users = np.repeat(histories.user_index.astype(np.int64) + 1, shape[1])
        drawn = mix(users, np.tile(self._products, shape[0]), self.seed)
        return (drawn >> np.uint64(40)).astype(np.float32).reshape(shape)  # the 24 bits that a float32 holds exactly


class PopularBaseline(UnpersonalBaseline):
    """Ranks products by their number of training reviews, or what these weigh; equal counts stay ties."""

    def see(self, reviews: TrainingReviews) -> None:
        """See `Baseline`."""
        super().see(reviews)
        self._fit(reviews)

    def _fit(self, reviews: TrainingReviews) -> None:
        self._weights = reviews.popularity()
        self.num_parameters = len(self._weights)

    def _score(self, histories: Histories) -> FloatArray:
        return np.broadcast_to(self._weights, (len(histories), len(self._weights)))


class PopularRecentBaseline(PopularBaseline):
    """Popularity in which a review halves its weight every so many days.

    Raises:
        ValueError: When fitted on reviews without times.
    """

    settings: PopularRecentSettings

    def _fit(self, reviews: TrainingReviews) -> None:
        if not reviews.has_time:
            raise ValueError("recent popularity needs times, and this data has only an order within each user")
        age_days = (reviews.timestamp.max() - reviews.timestamp) / MILLISECONDS_A_DAY
        weights = 0.5 ** (age_days / self.settings.half_life_days)
        if reviews.weight is not None:
            weights = weights * reviews.weight
        total = np.bincount(reviews.product_index, weights=weights, minlength=reviews.num_products)
        self._weights = total.astype(np.float32)
        self.num_parameters = len(self._weights)
