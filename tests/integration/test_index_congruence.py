"""The same hundred questions to both back ends; the folder in process and the server must not be told apart."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rec_sys.vector_database.catalogue import Catalogue
from rec_sys.vector_database.contract import (
    Diversity,
    ProductAnswer,
    ProductFilter,
    ProductIndex,
    ProductQuery,
    UserTaste,
)
from rec_sys.vector_database.exact import ExactRanking
from rec_sys.vector_database.publication import compare, draw_users
from rec_sys.vector_database.searching import order_diversely
from tests.product_indexes import BACK_ENDS, draw_questions, make_catalogue, new_product, open_back_end

QUESTIONS = 100


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return make_catalogue(tmp_path_factory.mktemp("bundle") / "bundle", 400)


@pytest.fixture(scope="module")
def edge(catalogue: Catalogue) -> Iterator[ProductIndex]:
    yield from serve("edge", catalogue)


@pytest.fixture(scope="module", params=[name for name in BACK_ENDS if name != "edge"])
def server(request: pytest.FixtureRequest, catalogue: Catalogue) -> Iterator[ProductIndex]:
    yield from serve(request.param, catalogue)


def serve(back_end: str, catalogue: Catalogue) -> Iterator[ProductIndex]:
    """The catalogue, and two products that came later."""
    with open_back_end(back_end) as opened:
        opened.publisher.publish(catalogue)
        # Between published products, so that no two scores are equal and the order is not a matter of luck.
        one, other = catalogue.vectors[3] + catalogue.vectors[4], catalogue.vectors[9] + catalogue.vectors[10]
        later = [
            dataclasses.replace(new_product("B-LATER-1", one / np.linalg.norm(one), price=12.0), memory={4: 20.0}),
            new_product(catalogue.asins[9], other / np.linalg.norm(other), brand="Brand 1", rating_mean=5.0),
        ]
        opened.index.upsert(later)
        yield opened.index


def assert_same(first: ProductAnswer, second: ProductAnswer) -> None:
    """The same products in the same order with the same scores."""
    assert [hit.score for hit in first.hits] == pytest.approx([hit.score for hit in second.hits], abs=2e-4)
    assert [hit.memory_score for hit in first.hits] == pytest.approx(
        [hit.memory_score for hit in second.hits], abs=2e-4
    )
    assert [hit.product for hit in first.hits] == [hit.product for hit in second.hits]


def test_a_hundred_questions_with_filters_have_the_same_answers(
    edge: ProductIndex, server: ProductIndex, catalogue: Catalogue
) -> None:
    questions = draw_questions(catalogue, QUESTIONS, seed=0)
    answers = zip(edge.search_many(questions), server.search_many(questions), strict=True)
    found = 0
    for first, second in answers:
        assert_same(first, second)
        found += len(first.hits)
    assert found > 5 * QUESTIONS  # the filters do not leave the answers empty


def test_later_pages_are_the_same(edge: ProductIndex, server: ProductIndex, catalogue: Catalogue) -> None:
    for question in draw_questions(catalogue, 10, seed=1):
        later = dataclasses.replace(question, offset=35)
        assert_same(edge.search(later), server.search(later))


def test_diverse_answers_are_the_same(edge: ProductIndex, server: ProductIndex, catalogue: Catalogue) -> None:
    for question in draw_questions(catalogue, 12, seed=2):
        diverse = dataclasses.replace(question, limit=8, diversity=Diversity(0.6, 40))
        assert_same(edge.search(diverse), server.search(diverse))


def test_qdrants_marginal_relevance_is_the_rule_that_the_memory_is_diversified_by(
    edge: ProductIndex, catalogue: Catalogue
) -> None:
    untouched = ProductFilter(not_seen=("B-LATER-1", catalogue.asins[9]))
    for user in draw_users(catalogue, 10, seed=3):
        assert isinstance(user.by, UserTaste)
        query = ProductQuery(UserTaste(user.by.vector), untouched, limit=12)
        best = edge.search(dataclasses.replace(query, limit=50)).hits
        rows = [hit.product.product_index for hit in best]
        relevance = np.array([hit.score for hit in best], dtype=np.float32) * np.float32(catalogue.temperature)
        expected = order_diversely(relevance, catalogue.vectors[rows], 0.4, 12)
        diverse = edge.search(dataclasses.replace(query, diversity=Diversity(0.4, 50))).hits
        assert [hit.product.product_index for hit in diverse] == [rows[row] for row in expected]


def test_many_questions_at_once_are_answered_as_one_by_one(edge: ProductIndex, catalogue: Catalogue) -> None:
    questions = draw_questions(catalogue, 20, seed=4)
    assert edge.search_many(questions) == [edge.search(question) for question in questions]


def test_the_hybrid_answers_of_a_real_sized_catalogue_are_the_exact_ones(tmp_path: Path) -> None:
    big = make_catalogue(tmp_path / "bundle", 9_922, dim=128, neighbours=40)
    users = draw_users(big, 40, seed=5)
    with open_back_end("edge") as opened:
        opened.publisher.publish(big)
        agreement = compare(opened.index.search_many(users), users, ExactRanking(big))
    assert agreement.recall >= 0.99
    assert agreement.worst_score_error < 1e-5
