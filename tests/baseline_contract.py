"""What every recommender that is measured must hold; a test class inherits it and says whom it tests."""

from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from rec_sys.baselines.catalogue import make_baseline
from rec_sys.baselines.contract import Baseline
from rec_sys.baselines.reviews import Histories, TrainingReviews
from rec_sys.baselines.settings import BaselineSettings
from rec_sys.evaluation.ranks import NO_PRODUCT, rank_products
from tests.text_width import TEXT_DIM

SIZE = 24  # users, and products
COLD_PRODUCT = SIZE  # one more, that nobody has reviewed


def checkerboard(seed: int = 0) -> TrainingReviews:
    """User u has reviewed every product of their parity but the product u, in any order.

    So the one product that belongs in front of user u is product u: all others of that parity are known to them, and
    nobody of their parity has touched one of the other.
    """
    random = np.random.default_rng(seed)
    users, products = np.divmod(np.arange(SIZE * SIZE), SIZE)
    kept = random.permutation(np.flatnonzero((users % 2 == products % 2) & (users != products)))
    users, products = users[kept].astype(np.int32), products[kept].astype(np.int32)
    vectors = random.normal(size=(len(kept), TEXT_DIM)) * 0.02
    vectors[np.arange(len(kept)), products % 2] += 1  # what is written tells the parity, and nothing else
    return TrainingReviews(
        num_users=SIZE,
        num_products=SIZE + 1,
        user_index=users,
        product_index=products,
        rating=np.full(len(kept), 5, dtype=np.float32),
        timestamp=np.arange(len(kept), dtype=np.int64) * 86_400_000,
        has_time=True,
        text_row=np.arange(len(kept), dtype=np.int32),
        text_vectors=(vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16),
    )


def history_of(products: list[int], reviews: TrainingReviews) -> Histories:
    """Somebody who is not in the data and has reviewed these products; each text is another's of that product."""
    found = [np.flatnonzero(reviews.product_index == product) for product in products]
    rows = [int(edges[0]) if len(edges) else -1 for edges in found]
    offsets = np.array([0, len(products)])
    return Histories(
        np.array([-1], dtype=np.int32), offsets, np.array(products, dtype=np.int32), np.array(rows, dtype=np.int32)
    )


def best_products(baseline: Baseline, histories: Histories, k: int) -> npt.NDArray[np.int32]:
    """The best k products outside each history, as every ranking here lists them."""
    return rank_products(baseline.score(histories), k, histories.rows(), histories.products)


class BaselineContract:
    """The promises; `TestName(BaselineContract)` keeps them for one baseline.

    Attributes:
        name: Of the baseline.
        changes: Settings that suit so few reviews.
        knows_users: Its answer depends on who asks.
        answers_cold_start_users: It answers a history of somebody it was not fitted on.
    """

    name: ClassVar[str]
    changes: ClassVar[dict[str, Any]] = {}
    knows_users: ClassVar[bool] = False
    answers_cold_start_users: ClassVar[bool] = True
    num_asked: ClassVar[int] = 1  # products of one kind in the history that must lead to others of it

    def make(self, epochs: int | None = None) -> Baseline:
        """The baseline before it is fitted; with `epochs` as long as that, where it is learnt in epochs."""
        settings = BaselineSettings().of(self.name)
        values = settings.model_dump() | self.changes
        if epochs is not None and "epochs" in values:
            values["epochs"] = epochs
        changed = type(settings).model_validate(values)
        return make_baseline(self.name, changed, seed=3, num_threads=1)

    @pytest.fixture(scope="class")
    def reviews(self) -> TrainingReviews:
        return checkerboard()

    @pytest.fixture(scope="class")
    def baseline(self, reviews: TrainingReviews) -> Baseline:
        return self.make().fit(reviews)

    @cached_property
    def users(self) -> npt.NDArray[np.int64]:
        return np.arange(SIZE)

    @pytest.fixture(scope="class")
    def histories(self, reviews: TrainingReviews) -> Histories:
        return reviews.histories_of(np.arange(SIZE))

    def test_every_product_gets_a_score_from_every_user(self, baseline: Baseline, histories: Histories) -> None:
        scores = baseline.score(histories)
        assert (scores.shape, scores.dtype) == ((SIZE, SIZE + 1), np.float32)
        assert not np.isnan(scores).any()
        assert (scores < np.inf).all()

    def test_what_was_reviewed_has_a_score_too_and_is_left_out_by_the_ranking_alone(
        self, baseline: Baseline, histories: Histories
    ) -> None:
        scores = baseline.score(histories)
        reviewed = np.isfinite(scores[histories.rows(), histories.products])
        assert set(histories.rows()[reviewed].tolist()) == set(range(SIZE))
        listed = best_products(baseline, histories, SIZE)
        for user in self.users:
            assert not set(histories.take(np.array([user])).products.tolist()) & set(listed[user].tolist())

    def test_a_list_ends_where_nothing_is_left_to_name(self, baseline: Baseline, histories: Histories) -> None:
        left = np.isfinite(baseline.score(histories))
        left[histories.rows(), histories.products] = False
        for listed, count in zip(best_products(baseline, histories, 3 * SIZE), left.sum(axis=1), strict=True):
            assert count > 0
            assert len(set(listed[:count].tolist())) == count
            assert (listed[:count] != NO_PRODUCT).all()
            assert (listed[count:] == NO_PRODUCT).all()

    def test_learning_and_answering_leave_the_reviews_as_they_were(
        self, baseline: Baseline, reviews: TrainingReviews, histories: Histories
    ) -> None:
        baseline.score(histories)
        fresh = checkerboard()
        for name in ("user_index", "product_index", "timestamp", "text_row", "text_vectors"):
            assert np.array_equal(getattr(reviews, name), getattr(fresh, name)), name
        assert np.array_equal(histories.products, fresh.histories_of(self.users).products)

    def test_asking_again_gives_the_same_answer(self, baseline: Baseline, histories: Histories) -> None:
        first = baseline.score(histories).copy()
        baseline.score(histories.take(np.array([7, 2])))
        assert np.array_equal(baseline.score(histories), first)

    def test_one_seed_gives_one_answer(self, reviews: TrainingReviews, histories: Histories) -> None:
        first, second = (self.make(epochs=5).fit(reviews).score(histories) for _ in range(2))
        assert np.array_equal(first, second)

    def test_a_user_s_scores_do_not_depend_on_who_asks_beside_them(
        self, baseline: Baseline, reviews: TrainingReviews
    ) -> None:
        histories = reviews.histories_of(self.users)
        together = baseline.score(histories)
        assert together.shape == (SIZE, SIZE + 1)
        for rows in ([5], [3, 20, 4]):
            np.testing.assert_allclose(
                baseline.score(histories.take(np.array(rows))), together[rows], rtol=1e-4, atol=1e-5
            )

    def test_unknown_users_get_popular_products(self, baseline: Baseline, reviews: TrainingReviews) -> None:
        unknown = reviews.histories_of(np.array([10**6, -1]))
        assert unknown.lengths().tolist() == [0, 0]
        self.assert_popular(baseline, unknown)

    def test_an_empty_history_gets_popular_products(self, baseline: Baseline, reviews: TrainingReviews) -> None:
        self.assert_popular(baseline, history_of([], reviews))

    def test_a_cold_start_user_s_history_is_answered_or_popular_products_stand_in(
        self, baseline: Baseline, reviews: TrainingReviews
    ) -> None:
        asked = history_of([1, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23], reviews)
        if not self.answers_cold_start_users:
            self.assert_popular(baseline, asked)
        else:
            assert baseline.can_answer(asked).all()
            assert not self.knows_users or best_products(baseline, asked, 1).tolist() == [[3]]

    def test_one_product_leads_to_others_of_its_kind(self, baseline: Baseline, reviews: TrainingReviews) -> None:
        alike = []
        for product in range(SIZE):
            asked = history_of([(product + 2 * step) % SIZE for step in range(self.num_asked)], reviews)
            assert baseline.can_answer(asked).all() == self.answers_cold_start_users
            [listed] = best_products(baseline, asked, 4)
            assert NO_PRODUCT not in listed
            assert product not in listed
            alike += (listed % 2 == product % 2).tolist()
        assert not (self.knows_users and self.answers_cold_start_users) or np.mean(alike) > 0.9

    def test_a_history_of_a_product_without_reviews_gets_popular_ones(
        self, baseline: Baseline, reviews: TrainingReviews
    ) -> None:
        self.assert_popular(baseline, history_of([COLD_PRODUCT], reviews))

    def test_parameters_are_counted_once_it_has_learned(self, baseline: Baseline) -> None:
        assert baseline.num_parameters >= 0
        assert isinstance(baseline.num_parameters, int)
        assert not self.knows_users or baseline.num_parameters > 0

    def assert_popular(self, baseline: Baseline, asked: Histories) -> None:
        """A baseline that knows users says that it cannot answer, and counts of reviews are the scores."""
        assert baseline.can_answer(asked).all() != self.knows_users
        assert (best_products(baseline, asked, 4) != NO_PRODUCT).all()
        if self.knows_users:
            counts = np.bincount(baseline.reviews.product_index, minlength=SIZE + 1)
            assert (baseline.score(asked) == counts).all()


class PersonalBaselineContract(BaselineContract):
    """The promises of a baseline that looks at what the user reviewed."""

    knows_users = True

    def test_the_one_product_that_is_missing_on_the_checkerboard_is_offered(
        self, baseline: Baseline, histories: Histories
    ) -> None:
        assert best_products(baseline, histories, 1)[:, 0].tolist() == self.users.tolist()
