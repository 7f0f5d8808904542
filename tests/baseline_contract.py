"""What every recommender that is measured must hold; a test class inherits it and says whom it tests."""

from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from rec_sys.baselines.catalogue import BaselineSettings, make_baseline
from rec_sys.baselines.contract import POPULAR, Baseline
from rec_sys.baselines.reviews import Histories, TrainingReviews
from rec_sys.evaluation.ranks import NO_PRODUCT

SIZE = 24  # users, and products
COLD_PRODUCT = SIZE  # one more, that nobody has reviewed
TEXT_DIM = 384


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
    rows = [int(np.flatnonzero(reviews.product_index == product)[0]) for product in products]
    offsets = np.array([0, len(products)])
    return Histories(
        np.array([-1], dtype=np.int32), offsets, np.array(products, dtype=np.int32), np.array(rows, dtype=np.int32)
    )


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

    def make(self) -> Baseline:
        settings = BaselineSettings().of(self.name)
        changed = type(settings).model_validate(settings.model_dump() | self.changes)
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

    def test_a_list_has_the_length_asked_for_best_first_and_nothing_twice(self, baseline: Baseline) -> None:
        found = baseline.recommend(self.users, 5)
        assert (found.products.shape, found.products.dtype) == ((SIZE, 5), np.int32)
        assert (found.scores.shape, found.scores.dtype) == ((SIZE, 5), np.float32)
        assert (len(found.sources), len(found.reasons)) == (SIZE, SIZE)
        for products, scores in zip(found.products, found.scores, strict=True):
            listed = products[products != NO_PRODUCT]
            assert len(set(listed.tolist())) == len(listed) > 0
            assert ((listed >= 0) & (listed <= SIZE)).all()
            assert (np.diff(scores[: len(listed)]) <= 0).all()

    def test_what_was_reviewed_is_offered_only_when_asked_for(
        self, baseline: Baseline, reviews: TrainingReviews
    ) -> None:
        hidden = baseline.recommend(self.users, SIZE, filter_viewed=True)
        shown = baseline.recommend(self.users, SIZE + 1, filter_viewed=False)
        for user in self.users:
            seen = set(reviews.product_index[reviews.user_index == user].tolist())
            assert not seen & set(hidden.products[user].tolist())
            assert seen & set(shown.products[user].tolist())

    def test_a_short_list_says_why(self, baseline: Baseline) -> None:
        found = baseline.recommend(self.users, 3 * SIZE)
        for products, scores, reason in zip(found.products, found.scores, found.reasons, strict=True):
            count = int((products != NO_PRODUCT).sum())
            assert (products[count:] == NO_PRODUCT).all()
            assert np.isneginf(scores[count:]).all()
            assert reason == f"only {count} products are left to name"
        assert set(baseline.recommend(self.users, 2).reasons) == {""}

    def test_a_list_of_nothing_is_refused(self, baseline: Baseline) -> None:
        with pytest.raises(ValueError, match="k=0"):
            baseline.recommend(self.users, 0)

    def test_one_seed_gives_one_answer(self, baseline: Baseline, reviews: TrainingReviews) -> None:
        histories = reviews.histories_of(self.users)
        assert np.array_equal(self.make().fit(reviews).score(histories), baseline.score(histories))

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

    def test_unknown_users_get_popular_products_and_are_told_so(self, baseline: Baseline) -> None:
        found = baseline.recommend(np.array([10**6, -1]), 4)
        if self.knows_users:
            assert found.sources == (POPULAR, POPULAR)
        assert (found.products != NO_PRODUCT).all()
        assert COLD_PRODUCT not in found.products or not self.knows_users

    def test_an_empty_history_gets_popular_products(self, baseline: Baseline, reviews: TrainingReviews) -> None:
        empty = history_of([], reviews)
        found = baseline.recommend(np.array([-1]), 3, histories=empty)
        assert found.sources == ((POPULAR,) if self.knows_users else (self.name,))
        assert (found.products != NO_PRODUCT).all()

    def test_a_stranger_s_history_is_answered_or_the_stand_in_is_named(
        self, baseline: Baseline, reviews: TrainingReviews
    ) -> None:
        asked = history_of([1, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23], reviews)
        found = baseline.recommend(np.array([-1]), 1, histories=asked)
        if not self.answers_cold_start_users:
            assert found.sources == (POPULAR,)
        else:
            assert found.sources == (self.name,)
            assert not self.knows_users or found.products.tolist() == [[3]]

    def test_products_beside_a_product_are_others(self, baseline: Baseline) -> None:
        found = baseline.recommend_to_items(np.arange(SIZE), 4)
        assert found.products.shape == (SIZE, 4)
        assert NO_PRODUCT not in found.products
        for product, listed in enumerate(found.products):
            assert product not in listed
        same_parity = found.products % 2 == np.arange(SIZE)[:, None] % 2
        assert not self.knows_users or same_parity.mean() > 0.9

    def test_a_product_without_reviews_gets_popular_ones_beside_it(self, baseline: Baseline) -> None:
        found = baseline.recommend_to_items(np.array([COLD_PRODUCT]), 2)
        assert found.sources == (POPULAR,)
        assert (found.products != NO_PRODUCT).all()

    def test_a_product_that_does_not_exist_is_refused(self, baseline: Baseline) -> None:
        with pytest.raises(ValueError, match="product indices"):
            baseline.recommend_to_items(np.array([SIZE + 1]), 2)


class PersonalBaselineContract(BaselineContract):
    """The promises of a baseline that looks at what the user reviewed."""

    knows_users = True

    def test_the_one_product_that_is_missing_on_the_checkerboard_is_offered(self, baseline: Baseline) -> None:
        assert baseline.recommend(self.users, 1).products[:, 0].tolist() == self.users.tolist()
