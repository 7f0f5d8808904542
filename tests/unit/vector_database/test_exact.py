"""The exact ranking, against sums that can be done by hand."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from rec_sys.contracts import PayloadField
from rec_sys.vector_database.catalogue import Catalogue
from rec_sys.vector_database.contract import ProductFilter, ProductQuery, SimilarTo, TextMeaning, UserTaste
from rec_sys.vector_database.exact import ExactRanking
from tests.product_indexes import make_catalogue
from tests.text_width import TEXT_DIM

NEVER = -np.inf


@pytest.fixture
def catalogue() -> Catalogue:
    """Four products: the first two point one way, the third another, the fourth between; none but two have a text."""
    text = np.zeros((4, TEXT_DIM), dtype=np.float32)
    text[0, :2], text[2, :2] = (3, 4), (1, 0)
    memory = sparse.csr_matrix(np.array([[0, 5, 0, -1], [0, 0, 2, 0], [0, 0, 0, 0], [1, 0, 0, 0]], dtype=np.float32))
    return Catalogue(
        identity="four",
        created="2026-01-01T00:00:00+00:00",
        data_name="four",
        temperature=0.5,
        text_encoder="given",
        details=pl.DataFrame(
            {
                PayloadField.ASIN: ["a", "b", "c", "d"],
                PayloadField.BRAND: ["Fen", "Gib", None, "Fen"],
                PayloadField.CATEGORIES: [["x", "y"], ["x"], [], ["y", "z"]],
                PayloadField.PRICE: [10.0, 19.99, None, 30.0],
                PayloadField.RATING_MEAN: [4.5, None, 3.0, 4.0],
            }
        ),
        vectors=np.array([[1, 0], [1, 0], [0, 1], [0.6, 0.8]], dtype=np.float32),
        text=text,
        memory=memory,
    )


def test_a_score_is_the_cosine_over_the_temperature_plus_the_weighted_memory(catalogue: Catalogue) -> None:
    users = np.array([[0.8, 0.6], [0, 1]], dtype=np.float32)
    scores = ExactRanking(catalogue).scores(users, [{0: 1.0, 3: 0.5}, {}])
    assert scores == pytest.approx(np.array([[1.6 + 0.5, 1.6 + 5, 1.2, 1.92 - 1], [0, 0, 2, 1.6]]), abs=1e-6)


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        (UserTaste(np.array([0, 1], dtype=np.float32), {1: 1.0}), [0, 0, 2 + 2, 1.6]),
        (SimilarTo("a"), [NEVER, 1, 0, 0.6]),
        (SimilarTo("c", "text"), [0.6, NEVER, NEVER, NEVER]),
        (TextMeaning(np.eye(1, TEXT_DIM, 1, dtype=np.float32)[0]), [0.8, NEVER, 0, NEVER]),
    ],
)
def test_each_kind_of_question_has_its_scores(
    catalogue: Catalogue, by: UserTaste | SimilarTo | TextMeaning, expected: list[float]
) -> None:
    assert ExactRanking(catalogue).query_scores([ProductQuery(by)])[0] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("wanted", "passed"),
    [
        (ProductFilter(), "abcd"),
        (ProductFilter(not_seen=("b", "unknown")), "acd"),
        (ProductFilter(categories_any=("x", "z")), "abd"),
        (ProductFilter(categories_all=("x", "y")), "a"),
        (ProductFilter(brands=("Fen",)), "ad"),
        (ProductFilter(min_price=19.99), "bd"),
        (ProductFilter(max_price=19.99), "ab"),
        (ProductFilter(min_rating=4.0), "ad"),
        (ProductFilter(min_rating=4.0, max_price=12, brands=("Fen", "Gib"), not_seen=("a",)), ""),
    ],
)
def test_filters_let_through_what_they_say(catalogue: Catalogue, wanted: ProductFilter, passed: str) -> None:
    assert [asin for asin, ok in zip("abcd", ExactRanking(catalogue).matching(wanted), strict=True) if ok] == [*passed]


def test_the_best_are_sorted_and_leave_out_what_was_seen(catalogue: Catalogue) -> None:
    scores = np.array([[1, 4, 3, 2], [9, 8, 7, 6]], dtype=np.float32)
    products, values = ExactRanking(catalogue).best(scores, 3, [np.array([1]), np.array([0, 1])])
    assert products.tolist()[0] == [2, 3, 0]
    assert products.tolist()[1][:2] == [2, 3]
    assert values.tolist() == [[3, 2, 1], [7, 6, NEVER]]


def test_more_products_than_there_are_cannot_be_best(catalogue: Catalogue) -> None:
    products, _ = ExactRanking(catalogue).best(np.zeros((1, 4), dtype=np.float32), 10)
    assert sorted(products[0]) == [0, 1, 2, 3]


def test_many_users_at_once_have_the_scores_of_each_alone(tmp_path: Path) -> None:
    catalogue = make_catalogue(tmp_path / "bundle", 80)
    exact = ExactRanking(catalogue)
    weights = [{index: 0.9**index} for index in range(5)]
    together = exact.scores(catalogue.vectors[:5], weights)
    alone = [exact.scores(catalogue.vectors[[index]], [weights[index]])[0] for index in range(5)]
    assert together == pytest.approx(np.stack(alone), abs=1e-5)


@pytest.mark.parametrize(("columns", "limit"), [(5, 9), (200, 3), (1_280, 10), (2_003, 10), (2_003, 1)])
def test_the_best_of_many_are_those_of_a_full_sort(catalogue: Catalogue, columns: int, limit: int) -> None:
    random = np.random.default_rng(columns)
    scores = random.normal(size=(20, columns)).astype(np.float32)
    scores[0, 3:] = -np.inf  # fewer than are asked for
    scores[1] = 1  # all alike
    scores[2, :] = np.arange(columns)
    expected = np.sort(scores, axis=1)[:, ::-1][:, :limit]
    not_seen = [np.array([columns - 1]) if row == 2 else np.zeros(0, dtype=np.int64) for row in range(20)]
    expected[2] = np.append(np.arange(columns - 2, -1, -1), -np.inf)[: expected.shape[1]]
    products, values = ExactRanking(catalogue).best(scores.copy(), limit, not_seen)
    assert np.array_equal(values, expected)
    assert all(len(set(row)) == len(row) for row in products.tolist())
    unseen = np.isfinite(values[2])
    assert np.array_equal(scores[2][products[2][unseen]], values[2][unseen])
