"""Questions that cannot be meant, or that do not fit the index, are refused in words; plans fetch enough."""

from collections.abc import Sequence
from uuid import UUID

import numpy as np
import pytest

from rec_sys.contracts import TEXT_DIM, IndexVector, InputError, PayloadField
from rec_sys.settings import EdgeIndex
from rec_sys.vector_database.catalogue import point_id
from rec_sys.vector_database.contract import (
    Diversity,
    IndexVersion,
    ProductFilter,
    ProductQuery,
    SimilarTo,
    TextMeaning,
    UserTaste,
)
from rec_sys.vector_database.search_request import DiversePlan, SearchPlan, StoredPoint
from rec_sys.vector_database.searching import answer

SETTINGS = EdgeIndex(backend="edge")
VECTOR = np.array([0.6, 0.8], dtype=np.float32)
GRAPH = {IndexVector.GRAPH: [0.6, 0.8]}


class Recorder:
    """A version that holds one product, and keeps the plans that it is asked to run."""

    def __init__(self, has_memory: bool = True, exact: bool = True) -> None:
        self.plans: list[SearchPlan] = []
        self.diverse: list[DiversePlan] = []
        self.version = IndexVersion(
            name="v",
            bundle="b",
            created="2026-01-01T00:00:00+00:00",
            num_products=5,
            dim=2,
            temperature=0.5,
            text_encoder="none",
            has_memory=has_memory,
            exact=exact,
        )

    def query(self, plans: Sequence[SearchPlan]) -> list[list[StoredPoint]]:
        self.plans += plans
        return [[StoredPoint(point_id("a"), 1.5, {PayloadField.ASIN: "a"}, GRAPH, {3: 2.0, 4: 9.0})] for _ in plans]

    def diversify(self, plan: DiversePlan) -> list[UUID]:
        self.diverse.append(plan)
        return [*plan.points]

    def retrieve(self, points: Sequence[UUID], vectors: Sequence[str] = ()) -> list[StoredPoint]:
        known = StoredPoint(point_id("a"), 0.0, {PayloadField.ASIN: "a"}, GRAPH, {})
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
    assert recorder.plans == []


def test_a_users_vector_is_scaled_so_that_its_product_is_the_score() -> None:
    recorder = Recorder()
    answer(recorder, [ProductQuery(UserTaste(VECTOR, {3: 0.5}), ProductFilter(not_seen=["a", "b"]))], SETTINGS)
    (plan,) = recorder.plans
    assert plan.vector == pytest.approx([1.2, 1.6])
    assert plan.memory == ([3], [0.5])
    assert plan.excluded == {point_id("a"), point_id("b")}


def test_a_hit_says_how_much_of_its_score_the_memory_gave() -> None:
    (answered,) = answer(Recorder(), [ProductQuery(UserTaste(VECTOR, {3: 0.5, 1: 1.0}))], SETTINGS)
    assert (answered.hits[0].score, answered.hits[0].memory_score) == (1.5, 1.0)
    assert answered.version.name == "v"


@pytest.mark.parametrize("recorder", [Recorder(has_memory=False), Recorder()])
def test_without_weights_or_without_a_memory_only_the_vector_is_searched(recorder: Recorder) -> None:
    weights = {} if recorder.version.has_memory else {3: 0.5}
    (answered,) = answer(recorder, [ProductQuery(UserTaste(VECTOR, weights))], SETTINGS)
    assert recorder.plans[0].memory is None
    assert answered.hits[0].memory_score == 0


def test_enough_is_fetched_for_a_late_page() -> None:
    recorder = Recorder()
    answer(recorder, [ProductQuery(UserTaste(VECTOR, {3: 1.0}), limit=20, offset=400)], SETTINGS)
    assert recorder.plans[0].candidates == 420 + SETTINGS.candidates


def test_a_graph_is_followed_only_in_versions_that_have_one() -> None:
    exact, followed = Recorder(), Recorder(exact=False)
    for recorder in (exact, followed):
        answer(recorder, [ProductQuery(UserTaste(VECTOR))], SETTINGS)
    assert (exact.plans[0].search_width, followed.plans[0].search_width) == (None, SETTINGS.hnsw_search_width)


def test_a_product_is_not_among_those_like_it() -> None:
    recorder = Recorder()
    answer(recorder, [ProductQuery(SimilarTo("a"))], SETTINGS)
    (plan,) = recorder.plans
    assert (plan.name, plan.vector, plan.excluded) == (IndexVector.GRAPH, pytest.approx([0.6, 0.8]), {point_id("a")})


def test_what_one_vector_answers_is_diversified_by_qdrant_and_keeps_its_scores() -> None:
    recorder = Recorder()
    query = ProductQuery(UserTaste(VECTOR), limit=3, diversity=Diversity(0.3, candidates=40))
    (answered,) = answer(recorder, [query], SETTINGS)
    assert (recorder.plans[0].limit, recorder.plans[0].offset, recorder.plans[0].vectors) == (40, 0, [])
    assert (recorder.diverse[0].strength, recorder.diverse[0].limit) == (0.3, 3)
    assert recorder.diverse[0].vector == pytest.approx([0.6, 0.8])
    assert [(hit.product.asin, hit.score) for hit in answered.hits] == [("a", 1.5)]


def test_with_a_memory_the_models_own_scores_are_diversified() -> None:
    recorder = Recorder()
    query = ProductQuery(UserTaste(VECTOR, {3: 0.5}), limit=3, diversity=Diversity(0.3, candidates=40))
    (answered,) = answer(recorder, [query], SETTINGS)
    assert recorder.plans[0].vectors == [IndexVector.MEMORY, IndexVector.GRAPH]
    assert recorder.diverse == []
    assert [(hit.product.asin, hit.score, hit.memory_score) for hit in answered.hits] == [("a", 1.5, 1.0)]


def test_a_text_is_compared_with_texts() -> None:
    recorder = Recorder()
    answer(recorder, [ProductQuery(TextMeaning(np.ones(TEXT_DIM, dtype=np.float32)))], SETTINGS)
    assert (recorder.plans[0].name, recorder.plans[0].memory) == (IndexVector.TEXT, None)
