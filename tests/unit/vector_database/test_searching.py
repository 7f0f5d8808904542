"""Questions that cannot be meant, or that do not fit the index, are refused in words; requests fetch enough."""

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rec_sys.contracts import IndexVector, InputError
from rec_sys.settings import EdgeIndex
from rec_sys.vector_database.catalogue import point_id
from rec_sys.vector_database.contract import (
    Diversity,
    IndexVersion,
    ProductDetails,
    ProductFilter,
    ProductQuery,
    SimilarTo,
    TextMeaning,
    UserTaste,
)
from rec_sys.vector_database.search_request import DiversityRequest, SearchRequest, StoredPoint
from rec_sys.vector_database.searching import answer, order_diversely
from tests.text_width import TEXT_DIM

SETTINGS = EdgeIndex(backend="edge", folder=Path("index"))
VECTOR = np.array([0.6, 0.8], dtype=np.float32)
GRAPH = {IndexVector.GRAPH: [0.6, 0.8]}


class Recorder:
    """A version that holds one product, and keeps the requests that it is asked to run."""

    def __init__(self, has_memory: bool = True, exact: bool = True) -> None:
        self.requests: list[SearchRequest] = []
        self.diverse: list[DiversityRequest] = []
        self.version = IndexVersion(
            name="v",
            bundle="b",
            created="2026-01-01T00:00:00+00:00",
            num_products=5,
            dim=2,
            text_dim=TEXT_DIM,
            temperature=0.5,
            text_encoder="none",
            has_memory=has_memory,
            exact=exact,
        )

    def query(self, requests: Sequence[SearchRequest]) -> list[list[StoredPoint]]:
        self.requests += requests
        return [[StoredPoint(point_id("a"), 1.5, ProductDetails("a"), GRAPH, {3: 2.0, 4: 9.0})] for _ in requests]

    def diversify(self, request: DiversityRequest) -> list[UUID]:
        self.diverse.append(request)
        return [*request.points]

    def retrieve(self, points: Sequence[UUID], vectors: Sequence[str] = ()) -> list[StoredPoint]:
        known = StoredPoint(point_id("a"), 0.0, ProductDetails("a"), GRAPH, {})
        return [known] if known.id in points else []

    def count(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("query", "where"),
    [
        (ProductQuery(UserTaste(VECTOR), limit=0), "limit"),
        (ProductQuery(UserTaste(VECTOR), offset=-1), "offset"),
        (ProductQuery(UserTaste(VECTOR), ProductFilter(min_price=2, max_price=1)), "filter: min_price, max_price"),
        (ProductQuery(UserTaste(VECTOR), diversity=Diversity(strength=1.5)), "diversity: strength"),
        (ProductQuery(UserTaste(VECTOR), offset=95, diversity=Diversity()), "offset, limit"),
        (ProductQuery(UserTaste(np.ones(3, dtype=np.float32))), "the user vector"),
        (ProductQuery(UserTaste(np.ones((1, 2), dtype=np.float32))), "the user vector"),
        (ProductQuery(UserTaste(np.array([1, np.nan], dtype=np.float32))), "the user vector"),
        (ProductQuery(UserTaste(VECTOR, {5: 1.0})), "the review weights"),
        (ProductQuery(UserTaste(VECTOR, {-1: 1.0})), "the review weights"),
        (ProductQuery(UserTaste(VECTOR, {1: float("inf")})), "the review weights"),
        (ProductQuery(TextMeaning(VECTOR)), "the text vector"),
        (ProductQuery(SimilarTo("unknown")), "index version v"),
        (ProductQuery(SimilarTo("a", "text")), "index version v"),
    ],
)
def test_a_question_that_does_not_fit_is_refused_where_it_does_not(query: ProductQuery, where: str) -> None:
    recorder = Recorder()
    with pytest.raises(InputError) as refused:
        answer(recorder, [query], SETTINGS)
    assert refused.value.where == where
    assert recorder.requests == []


def test_a_users_vector_is_scaled_so_that_its_product_is_the_score() -> None:
    recorder = Recorder()
    answer(recorder, [ProductQuery(UserTaste(VECTOR, {3: 0.5}), ProductFilter(not_seen=["a", "b"]))], SETTINGS)
    (request,) = recorder.requests
    assert request.vector == pytest.approx([1.2, 1.6])
    assert request.memory == ([3], [0.5])
    assert request.excluded == {point_id("a"), point_id("b")}


def test_a_hit_says_how_much_of_its_score_the_memory_gave() -> None:
    (answered,) = answer(Recorder(), [ProductQuery(UserTaste(VECTOR, {3: 0.5, 1: 1.0}))], SETTINGS)
    assert (answered.hits[0].score, answered.hits[0].memory_score) == (1.5, 1.0)
    assert answered.version.name == "v"


@pytest.mark.parametrize("recorder", [Recorder(has_memory=False), Recorder()])
def test_without_weights_or_without_a_memory_only_the_vector_is_searched(recorder: Recorder) -> None:
    weights = {} if recorder.version.has_memory else {3: 0.5}
    (answered,) = answer(recorder, [ProductQuery(UserTaste(VECTOR, weights))], SETTINGS)
    assert recorder.requests[0].memory is None
    assert answered.hits[0].memory_score == 0


def test_enough_is_fetched_for_a_late_page() -> None:
    recorder = Recorder()
    answer(recorder, [ProductQuery(UserTaste(VECTOR, {3: 1.0}), limit=20, offset=400)], SETTINGS)
    assert recorder.requests[0].candidates == 420 + SETTINGS.candidates


def test_a_graph_is_followed_only_in_versions_that_have_one() -> None:
    exact, followed = Recorder(), Recorder(exact=False)
    for recorder in (exact, followed):
        answer(recorder, [ProductQuery(UserTaste(VECTOR))], SETTINGS)
    assert (exact.requests[0].search_width, followed.requests[0].search_width) == (None, SETTINGS.hnsw_search_width)


def test_a_product_is_not_among_those_like_it() -> None:
    recorder = Recorder()
    answer(recorder, [ProductQuery(SimilarTo("a"))], SETTINGS)
    (request,) = recorder.requests
    assert (request.name, request.vector, request.excluded) == (
        IndexVector.GRAPH,
        pytest.approx([0.6, 0.8]),
        {point_id("a")},
    )


def test_what_one_vector_answers_is_diversified_by_qdrant_and_keeps_its_scores() -> None:
    recorder = Recorder()
    query = ProductQuery(UserTaste(VECTOR), limit=3, diversity=Diversity(0.3, candidates=40))
    (answered,) = answer(recorder, [query], SETTINGS)
    assert (recorder.requests[0].limit, recorder.requests[0].offset, recorder.requests[0].vectors) == (40, 0, [])
    assert (recorder.diverse[0].strength, recorder.diverse[0].limit) == (0.3, 3)
    assert recorder.diverse[0].vector == pytest.approx([0.6, 0.8])
    assert [(hit.product.asin, hit.score) for hit in answered.hits] == [("a", 1.5)]


def test_with_a_memory_the_models_own_scores_are_diversified() -> None:
    recorder = Recorder()
    query = ProductQuery(UserTaste(VECTOR, {3: 0.5}), limit=3, diversity=Diversity(0.3, candidates=40))
    (answered,) = answer(recorder, [query], SETTINGS)
    assert recorder.requests[0].vectors == [IndexVector.MEMORY, IndexVector.GRAPH]
    assert recorder.diverse == []
    assert [(hit.product.asin, hit.score, hit.memory_score) for hit in answered.hits] == [("a", 1.5, 1.0)]


def test_a_text_is_compared_with_texts() -> None:
    recorder = Recorder()
    answer(recorder, [ProductQuery(TextMeaning(np.ones(TEXT_DIM, dtype=np.float32)))], SETTINGS)
    assert (recorder.requests[0].name, recorder.requests[0].memory) == (IndexVector.TEXT, None)


# ---- the rule of marginal relevance, against a version that is too plain to be wrong ----


def unit_vectors(random: np.random.Generator, count: int) -> np.ndarray:
    vectors = random.normal(size=(count, 3)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@given(seed=st.integers(0, 2**31), count=st.integers(0, 12), limit=st.integers(0, 15), strength=st.floats(0, 1))
def test_each_product_is_the_best_of_those_left_given_those_chosen(
    seed: int, count: int, limit: int, strength: float
) -> None:
    random = np.random.default_rng(seed)
    vectors, relevance = unit_vectors(random, count), random.normal(size=count).astype(np.float32)
    order = order_diversely(relevance, vectors, strength, limit)
    assert len(order) == len(set(order)) == min(count, limit)
    for place, row in enumerate(order):
        left = [other for other in range(count) if other not in order[:place]]
        worth = {
            other: (1 - strength) * relevance[other]
            - strength * max(float(vectors[other] @ vectors[earlier]) for earlier in order[:place])
            if place
            else relevance[other]
            for other in left
        }
        assert worth[row] >= max(worth.values()) - 1e-5


def test_without_strength_the_order_is_the_relevance() -> None:
    random = np.random.default_rng(0)
    relevance = random.normal(size=20).astype(np.float32)
    assert order_diversely(relevance, unit_vectors(random, 20), 0, 20) == np.argsort(-relevance).tolist()


def test_a_product_like_the_first_gives_way_to_another() -> None:
    vectors = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0]], dtype=np.float32)
    relevance = np.array([0.9, 0.8, 0.5], dtype=np.float32)
    assert order_diversely(relevance, vectors, 0.5, 3) == [0, 2, 1]
