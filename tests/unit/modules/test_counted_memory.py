"""The counted memory against its formula, written out pair by pair."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rec_sys.contracts import MILLISECONDS_A_DAY
from rec_sys.modules.counted_memory import KnownReviews, count_memory, mean_texts
from rec_sys.settings import MemorySettings
from tests.text_width import TEXT_DIM

NUM_USERS, NUM_PRODUCTS = 6, 9
SETTINGS = MemorySettings(
    method="counts",
    neighbours=NUM_PRODUCTS,
    session=2.0,
    session_days=5.0,
    author_power=0.5,
    product_power=0.25,
    text=1.5,
)


def some_reviews(seed: int) -> KnownReviews:
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 40))
    return KnownReviews(
        user_index=random.integers(0, NUM_USERS, count).astype(np.int32),
        product_index=random.integers(0, NUM_PRODUCTS, count).astype(np.int32),
        timestamp=np.sort(random.integers(0, 60, count)) * MILLISECONDS_A_DAY,
        text_row=random.integers(-1, 5, count).astype(np.int32),
        text_vectors=random.normal(size=(5, TEXT_DIM)).astype(np.float16),
    )


def by_hand(reviews: KnownReviews, settings: MemorySettings) -> np.ndarray:
    assert reviews.timestamp is not None
    user, product, day = reviews.user_index, reviews.product_index, reviews.timestamp / MILLISECONDS_A_DAY
    means = mean_texts(reviews, NUM_PRODUCTS)
    weights = np.zeros((NUM_PRODUCTS, NUM_PRODUCTS))
    for one in range(len(user)):
        for other in range(len(user)):
            if user[one] == user[other] and product[one] != product[other]:
                sitting = 1 + settings.session * np.exp(-abs(day[one] - day[other]) / settings.session_days)
                weights[product[one], product[other]] += (user == user[one]).sum() ** -settings.author_power * sitting
    for i in range(NUM_PRODUCTS):
        weights[i] *= max((product == i).sum(), 1) ** -settings.product_power
        weights[i] *= np.maximum(1 + settings.text * means @ means[i], 0)
    return weights


@given(seed=st.integers(0, 10_000))
def test_every_weight_is_the_formula_s(seed: int) -> None:
    reviews = some_reviews(seed)
    found = count_memory(reviews, NUM_USERS, NUM_PRODUCTS, SETTINGS).matrix.toarray()
    np.testing.assert_allclose(found, by_hand(reviews, SETTINGS), rtol=1e-4, atol=1e-5)


def test_without_times_every_pair_counts_alike() -> None:
    timed = some_reviews(3)
    timeless = KnownReviews(timed.user_index, timed.product_index, None, timed.text_row, timed.text_vectors)
    calm = SETTINGS.model_copy(update={"session": 0.0})
    np.testing.assert_array_equal(
        count_memory(timeless, NUM_USERS, NUM_PRODUCTS, SETTINGS).matrix.toarray(),
        count_memory(timed, NUM_USERS, NUM_PRODUCTS, calm).matrix.toarray(),
    )


def test_only_the_strongest_neighbours_are_kept() -> None:
    reviews = some_reviews(4)
    whole = count_memory(reviews, NUM_USERS, NUM_PRODUCTS, SETTINGS).matrix.toarray()
    two = SETTINGS.model_copy(update={"neighbours": 2})
    few = count_memory(reviews, NUM_USERS, NUM_PRODUCTS, two).matrix.toarray()
    assert (np.count_nonzero(whole, axis=0) > 2).any()
    np.testing.assert_array_equal(np.sort(few, axis=0)[-2:], np.sort(whole, axis=0)[-2:])
    assert (np.count_nonzero(few, axis=0) <= 2).all()


def test_what_is_said_of_every_product_says_nothing_of_any() -> None:
    common, own = np.zeros((2, TEXT_DIM)), np.eye(2, TEXT_DIM, k=5)
    common[:, 0] = 10
    reviews = KnownReviews(
        user_index=np.zeros(2, np.int32),
        product_index=np.array([0, 1], np.int32),
        timestamp=None,
        text_row=np.array([0, 1], np.int32),
        text_vectors=(common + own).astype(np.float16),
    )
    means = mean_texts(reviews, 3)
    assert means[0] @ means[1] == pytest.approx(-1)  # once the common part is gone, the two differ wholly
    assert not means[2].any()  # nobody wrote about it
