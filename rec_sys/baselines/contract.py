"""What a baseline must offer to be measured: one contract, so that each is fitted, asked and timed in the same way.

A baseline's answer is a function of a user's history wherever its method allows it, so that users and reviews that it
was not fitted on are answered too. Whoever it cannot answer gets popular products.
"""

from abc import ABC, abstractmethod
from typing import Any, Final, Self

import numpy as np

from rec_sys import ragged
from rec_sys.baselines.reviews import Histories, TrainingReviews
from rec_sys.data.interactions import BoolArray, FloatArray
from rec_sys.settings import Section

POPULAR: Final = "popular"


class Baseline(ABC):
    """A recommender to be measured; a subclass says how it learns and how it scores.

    Args:
        settings: The baseline's own.
        seed: Seeds whatever it draws.
        num_threads: Threads it may use; 0 = every core.

    Attributes:
        num_parameters: How many numbers were learned; `_fit` sets it.
    """

    name: str = "baseline"
    num_parameters: int = 0
    settings: Section

    def __init__(self, settings: Section, seed: int = 0, num_threads: int = 0) -> None:
        self.settings = settings
        self.seed = seed
        self.num_threads = num_threads

    def fit(self, reviews: TrainingReviews) -> Self:
        """Learns from reviews, and from nothing else."""
        self.reviews = reviews
        self._popular = reviews.popularity()
        self.counts = reviews.counts()
        self.known_users: BoolArray = np.bincount(reviews.user_index, minlength=reviews.num_users) > 0
        self._fit(reviews)
        return self

    def see(self, reviews: TrainingReviews) -> None:
        """Takes notice of all reviews by now, in a walk through time: popular products are those of now.

        Nothing else is learned anew.
        """
        self._popular = reviews.popularity()

    def score(self, histories: Histories) -> FloatArray:
        """Scores of all products, those of the history included.

        Returns:
            float32 `[num_histories, num_products]`, higher is better; -inf for products that the baseline cannot name.
        """
        able = self.can_answer(histories)
        if able.all():
            return self._score(histories)
        scores = np.tile(self._popular, (len(histories), 1))
        if able.any():
            scores[able] = self._score(histories.take(np.flatnonzero(able)))
        return scores

    def can_answer(self, histories: Histories) -> BoolArray:
        """bool `[num_histories]`: whether the baseline has anything to go by; the others get popular products.

        Here: some product of the history was among the training reviews.
        """
        known = np.append(self.counts, 0)[histories.products] > 0
        return ragged.count_in_rows(histories.offsets, known) > 0

    @abstractmethod
    def _fit(self, reviews: TrainingReviews) -> None:
        """Learns; `counts` and `known_users` are there already."""

    @abstractmethod
    def _score(self, histories: Histories) -> FloatArray:
        """As `score`, for histories that the baseline can answer."""


class NetworkBaseline(Baseline):
    """A baseline that learns one torch network; a subclass's `_fit` sets `_net`."""

    _net: Any  # a torch.nn.Module, whose parts have no types

    def fit(self, reviews: TrainingReviews) -> Self:
        """Learns from reviews, and from nothing else."""
        super().fit(reviews)
        self.num_parameters = int(sum(weight.numel() for weight in self._net.parameters()))
        return self
