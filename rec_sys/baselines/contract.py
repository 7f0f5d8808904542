"""What a baseline must offer to be measured: one contract, so that each is fitted, asked and timed in the same way.

A baseline's answer is a function of a user's history wherever its method allows it, so that users and reviews that it
was not fitted on are answered too. Whoever it cannot answer gets popular products, and the answer says so.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, Self

import numpy as np
import numpy.typing as npt

from rec_sys import ragged
from rec_sys.baselines.reviews import Histories, TrainingReviews
from rec_sys.data.interactions import BoolArray, FloatArray, IntArray, SmallIntArray
from rec_sys.evaluation.ranks import NO_PRODUCT, rank_products
from rec_sys.settings import Section

if TYPE_CHECKING:
    from torch import nn

POPULAR: Final = "popular"
_SCORED_AT_ONCE: Final = 1024


@dataclass(frozen=True)
class Recommendations:
    """What a baseline offers, one row for each user or product asked about.

    Attributes:
        products: int32 `[num_asked, k]`, best first; `NO_PRODUCT` where fewer than k products are left.
        scores: float32 `[num_asked, k]`, higher is better, -inf beside `NO_PRODUCT`.
        sources: Of each row, who answered: the baseline's name, or `popular` where the baseline had nothing to go by.
        reasons: Of each row, why it has fewer than k products; empty where it has k.
    """

    products: SmallIntArray
    scores: FloatArray
    sources: tuple[str, ...]
    reasons: tuple[str, ...]


class Baseline(ABC):
    """A recommender to be measured; a subclass says how it learns and how it scores.

    Args:
        seed: Seeds whatever it draws.
        num_threads: Threads it may use; 0 = every core.
    """

    name: str = "baseline"

    def __init__(self, seed: int = 0, num_threads: int = 0) -> None:
        self.seed = seed
        self.num_threads = num_threads

    def fit(self, reviews: TrainingReviews) -> Self:
        """Learns from reviews, and from nothing else."""
        self.reviews = reviews
        self.counts = reviews.counts()
        self.known_users: BoolArray = np.bincount(reviews.user_index, minlength=reviews.num_users) > 0
        self._fit(reviews)
        return self

    def score(self, histories: Histories) -> FloatArray:
        """Scores of all products, those of the history included.

        Returns:
            float32 `[num_histories, num_products]`, higher is better; -inf for products that the baseline cannot name.
        """
        able = self.can_answer(histories)
        if able.all():
            return self._score(histories)
        scores = np.tile(self.counts.astype(np.float32), (len(histories), 1))
        if able.any():
            scores[able] = self._score(histories.take(np.flatnonzero(able)))
        return scores

    def can_answer(self, histories: Histories) -> BoolArray:
        """bool `[num_histories]`: whether the baseline has anything to go by; the others get popular products.

        Here: some product of the history was among the training reviews.
        """
        known = np.append(self.counts, 0)[histories.products] > 0
        return ragged.count_in_rows(histories.offsets, known) > 0

    def recommend(
        self, users: npt.NDArray[np.integer], k: int, filter_viewed: bool = True, histories: Histories | None = None
    ) -> Recommendations:
        """The best products for users.

        Args:
            users: `[num_users_asked]` user indices; one that is not in the data has no history.
            k: Products wanted for each.
            filter_viewed: Leave out the products of the history.
            histories: What the users reviewed before; None = their training reviews.

        Raises:
            ValueError: k is not positive.
        """
        asked = self.reviews.histories_of(users) if histories is None else histories
        nothing = np.empty(0, dtype=np.int64)
        hidden = (asked.rows(), asked.products) if filter_viewed else (nothing, nothing)
        names = np.where(self.can_answer(asked), self.name, POPULAR)
        return self._list(lambda rows: self.score(asked.take(rows)), len(asked), k, hidden, names)

    def recommend_to_items(self, products: npt.NDArray[np.integer], k: int) -> Recommendations:
        """The products that go best with each of the given ones, those themselves left out.

        Args:
            products: `[num_products_asked]` product indices.
            k: Products wanted for each.

        Raises:
            ValueError: k is not positive, or there is no such product.
        """
        products = np.asarray(products)
        if len(products) and not (products.min() >= 0 and products.max() < self.reviews.num_products):
            raise ValueError(f"product indices must lie in 0 to {self.reviews.num_products - 1}")
        names = np.where(self.counts[products] > 0, self.name, POPULAR)
        hidden = (np.arange(len(products)), products)
        return self._list(lambda rows: self._score_beside(products[rows]), len(products), k, hidden, names)

    @property
    def num_parameters(self) -> int:
        """How many numbers were learned."""
        return 0

    @abstractmethod
    def _fit(self, reviews: TrainingReviews) -> None:
        """Learns; `counts` and `known_users` are there already."""

    @abstractmethod
    def _score(self, histories: Histories) -> FloatArray:
        """As `score`, for histories that the baseline can answer."""

    def _score_beside(self, products: npt.NDArray[np.integer]) -> FloatArray:
        """As `score`, for products instead of users; here a user who has reviewed that product alone."""
        return self.score(Histories.of_single_products(products))

    def _list(
        self,
        score: "Scorer",
        num_asked: int,
        k: int,
        hidden: tuple[IntArray, npt.NDArray[np.integer]],
        names: npt.NDArray[np.str_],
    ) -> Recommendations:
        if k < 1:
            raise ValueError(f"k={k} must be at least 1")
        products = np.full((num_asked, k), NO_PRODUCT, dtype=np.int32)
        best = np.full((num_asked, k), -np.inf, dtype=np.float32)
        for start in range(0, num_asked, _SCORED_AT_ONCE):
            rows = np.arange(start, min(start + _SCORED_AT_ONCE, num_asked))
            scores = score(rows)
            hidden_rows, hidden_products = hidden
            inside = (hidden_rows >= start) & (hidden_rows < start + len(rows))
            products[rows] = rank_products(scores, k, hidden_rows[inside] - start, hidden_products[inside])
            chosen = np.take_along_axis(scores, np.maximum(products[rows], 0), axis=1)
            best[rows] = np.where(products[rows] == NO_PRODUCT, -np.inf, chosen)
        found = (products != NO_PRODUCT).sum(axis=1)
        reasons = tuple("" if count == k else f"only {count} products are left to name" for count in found)
        return Recommendations(products, best, tuple(names.tolist()), reasons)


class NetworkBaseline(Baseline):
    """A baseline that learns one torch network; a subclass's `_fit` sets `_net`.

    Args:
        settings: The baseline's own.
        seed: Seeds whatever it draws.
        num_threads: Threads it may use; 0 = every core.
    """

    settings: Section
    _net: "nn.Module"

    def __init__(self, settings: Section, seed: int = 0, num_threads: int = 0) -> None:
        super().__init__(seed, num_threads)
        self.settings = settings

    @property
    def num_parameters(self) -> int:
        """The network's."""
        return sum(weight.numel() for weight in self._net.parameters())


class Scorer(Protocol):
    """Scores some of the rows asked for."""

    def __call__(self, rows: IntArray) -> FloatArray:
        """int64 `[batch]` to float32 `[batch, num_products]`."""
