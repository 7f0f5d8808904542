"""Popularity and repeats: each by hand, and as further rows of the memory."""

import numpy as np
import pytest
from scipy import sparse

from rec_sys.score_terms import (
    RepeatRates,
    popularity_of,
    repeat_scores,
    term_weights,
    with_terms,
    without_terms,
)
from rec_sys.scoring import score_products

TABLE = tuple((row + 0.1, row + 0.2, row + 0.3) for row in range(6))
BY_TIME = RepeatRates(rates=TABLE, by_time=True, weight=2.0)


def test_the_newest_review_of_a_product_carries_what_its_age_and_count_say() -> None:
    products, newer = np.array([4, 7, 4, 4, 2]), np.array([0, 1, 2, 3, 4])
    age = np.array([0.0, 7.0, 40.0, 41.0, 400.0])
    added = BY_TIME.of_reviews(products, newer, age)
    np.testing.assert_allclose(added, [2 * 0.3, 2 * 2.1, 0, 0, 2 * 5.1], rtol=1e-6)
    backwards = BY_TIME.of_reviews(products[::-1], newer[::-1], age[::-1])
    np.testing.assert_array_equal(backwards[::-1], added)


def test_without_a_time_the_place_is_the_age() -> None:
    places = RepeatRates(rates=TABLE, by_time=False)
    added = places.of_reviews(np.arange(9), np.arange(9), np.full(9, 400.0))
    np.testing.assert_allclose(added[[0, 1, 7]], [0.1, 1.1, 2.1], rtol=1e-6)
    unknown = BY_TIME.of_reviews(np.array([3, 5]), np.array([0, 1]), np.array([0.0, -1.0]))
    np.testing.assert_allclose(unknown, [2 * 0.1, 2 * 1.1], rtol=1e-6)


def test_many_histories_are_scored_as_each_alone_and_no_further_back_than_is_read() -> None:
    offsets, products = np.array([0, 3, 3, 6]), np.array([1, 0, 1, 3, 3, 2])
    age = np.array([50.0, 2.0, 0.0, 500.0, 1.0, 0.0])
    scores = repeat_scores(BY_TIME, offsets, products, age, 4, limit=2).toarray()
    expected = np.zeros((3, 4))
    for row, (start, end) in ((0, (1, 3)), (2, (4, 6))):
        expected[row, products[start:end]] = BY_TIME.of_reviews(
            products[start:end], np.arange(end - start)[::-1], age[start:end]
        )
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


def test_popularity_fades_and_the_most_popular_has_one() -> None:
    product, day = np.array([0, 0, 1, 3]), np.array([0, 0, 10, 10])
    np.testing.assert_allclose(popularity_of(product, 5), [1, 0.5, 0, 0.5, 0])
    np.testing.assert_allclose(popularity_of(product, 5, day, half_life=5.0), [0.5, 1, 0, 1, 0])
    weighed = popularity_of(product, 5, weight=np.array([1, 1, 4, 1], dtype=np.float32))
    np.testing.assert_allclose(weighed, [0.5, 1, 0, 0.25, 0])
    np.testing.assert_array_equal(popularity_of(product[:0], 5, day[:0], half_life=5.0), np.zeros(5))


@pytest.mark.parametrize("repeats", [True, False])
def test_the_rows_beside_the_memory_score_as_the_terms_do(repeats: bool) -> None:
    memory = sparse.csr_matrix(np.array([[0, 2, 0], [1, 0, 3], [0, 0, 0]], dtype=np.float32))
    popularity = np.array([0.5, 1, 0], dtype=np.float32)
    rows = with_terms(memory, popularity, repeats)
    query = term_weights(3, 4.0, np.array([2, 1, 3]), np.array([0.5, 0, 9], dtype=np.float32) * repeats) | {1: 1.0}
    weights = sparse.csr_matrix((list(query.values()), ([0] * len(query), list(query))), shape=(1, 7))
    towers = np.zeros((1, 2), dtype=np.float32), np.zeros((3, 2), dtype=np.float32)
    scores = score_products(*towers, 1.0, weights, rows)
    np.testing.assert_allclose(scores[0], [1 + 2, 4, 3 + 0.5 * repeats])

    alone, found = without_terms(rows)
    np.testing.assert_array_equal(alone.toarray(), memory.toarray())
    np.testing.assert_array_equal(found, popularity)
    assert with_terms(memory, None, repeats=False) is memory
    assert without_terms(memory) == (memory, None)
