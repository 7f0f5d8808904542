"""The score's formula: each part by hand, and together as every room that ranks computes it."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import sparse

from rec_sys.scoring import ScoreFormula, is_from_memory, memory_parts, score_products

MEMORY = sparse.csr_matrix(np.array([[0, 5, 0, -1], [0, 0, 2, 0], [0, 0, 0, 0], [1, 0, 0, 0]], dtype=np.float32))


def test_the_memory_hears_newer_reviews_more_and_those_of_one_session_most() -> None:
    formula = ScoreFormula(temperature=0.07, memory_weight=4.0, recency=0.5, session=1.0, session_days=7.0)
    newer, age = np.arange(3), np.array([0.0, 7.0, -1.0])  # the last review has no time
    weights = formula.weigh_reviews(newer, age)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, [1 * 2, 0.5 * (1 + np.exp(-1)), 0.25], rtol=1e-6)
    plain = formula.model_copy(update={"session": 0.0})
    np.testing.assert_allclose(plain.weigh_reviews(newer, age), [1, 0.5, 0.25], rtol=1e-6)


def test_a_history_weighs_its_newest_reviews_most_and_forgets_beyond_the_limit() -> None:
    formula = ScoreFormula(temperature=0.07, recency=0.5)
    weights = formula.weigh_histories(np.array([0, 3, 3, 5]), np.array([4, 7, 2, 5, 5]), 8, limit=2).toarray()

    expected = np.zeros((3, 8))
    expected[0, 7], expected[0, 2] = 0.5, 1.0
    expected[2, 5] = 1.5
    np.testing.assert_allclose(weights, expected)


def test_many_histories_are_weighed_as_each_alone() -> None:
    formula = ScoreFormula(temperature=0.07, recency=0.8, session=2.0, session_days=3.0)
    offsets, products = np.array([0, 2, 5]), np.array([1, 3, 0, 2, 3])
    age = np.array([4.0, 0.0, 9.0, 1.0, 0.0])
    weights = formula.weigh_histories(offsets, products, 4, limit=10, age=age).toarray()
    for row, (start, end) in enumerate([(0, 2), (2, 5)]):
        alone = formula.weigh_reviews(np.arange(end - start)[::-1], age[start:end])
        np.testing.assert_array_equal(weights[row, products[start:end]], alone)


def test_the_score_is_the_cosine_over_the_temperature_plus_the_memory_and_falls_into_its_parts() -> None:
    users = np.array([[0.8, 0.6], [0, 1]], dtype=np.float32)
    products = np.array([[1, 0], [1, 0], [0, 1], [0.6, 0.8]], dtype=np.float32)
    history = sparse.csr_matrix(np.array([[1, 0, 0, 0.5], [0, 0, 0, 0]], dtype=np.float32))
    scores = score_products(users, products, 0.5, history, MEMORY)
    assert scores == pytest.approx(np.array([[1.6 + 0.5, 1.6 + 5, 1.2, 1.92 - 1], [0, 0, 2, 1.6]]), abs=1e-6)

    towers = score_products(users, products, 0.5)
    reviewed, scored = np.repeat([0, 3], 4), np.tile(np.arange(4), 2)
    parts = memory_parts(np.repeat([1, 0.5], 4).astype(np.float32), reviewed, scored, MEMORY).reshape(2, 4).sum(axis=0)
    np.testing.assert_allclose(towers[0] + parts, scores[0], rtol=1e-6)
    np.testing.assert_array_equal(is_from_memory(scores[0], parts), [False, True, False, False])


def test_without_a_memory_the_towers_rank_alone() -> None:
    vectors = np.eye(2, dtype=np.float32)
    np.testing.assert_allclose(score_products(vectors, vectors, 0.5), 2 * np.eye(2))
    history = sparse.csr_matrix(np.ones((2, 2), dtype=np.float32))
    np.testing.assert_allclose(score_products(vectors, vectors, 0.5, history, None), 2 * np.eye(2))
    assert memory_parts(np.ones(2, dtype=np.float32), np.array([0, 1]), np.array([1, 0]), None).tolist() == [0, 0]


@pytest.mark.parametrize("numbers", [{"temperature": 0.0}, {"temperature": 0.1, "burst": 1.0}, {}])
def test_numbers_that_are_none_of_the_formula_are_refused(numbers: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        ScoreFormula.model_validate(numbers)
