"""The memory's term of the score, for histories as the questions of a split hold them."""

import numpy as np
import pytest

from rec_sys.contracts import MILLISECONDS_A_DAY
from rec_sys.data.queries import Queries
from rec_sys.modules.hybrid_score import MemoryTerm
from rec_sys.modules.memory import CoReviewMemory, fit_memories
from rec_sys.scoring import ScoreFormula, ShortHistory
from rec_sys.settings import MemorySettings

NUM_PRODUCTS = 40


@pytest.fixture
def memory() -> CoReviewMemory:
    random = np.random.default_rng(3)
    user, product = random.integers(0, 50, 600), random.integers(0, NUM_PRODUCTS, 600)
    return fit_memories(user, product, 50, NUM_PRODUCTS, MemorySettings(), (1.0,))[1.0]


def test_reviews_of_the_newest_day_weigh_more_than_their_place_says(memory: CoReviewMemory) -> None:
    day = np.array([0, 95, 100, 100]) * MILLISECONDS_A_DAY
    history = np.array([3, 5, 8], dtype=np.int32)
    queries = Queries(
        user_index=np.zeros(1, dtype=np.int32),
        bound=np.array([3]),
        target_offsets=np.array([0, 1]),
        target_products=np.array([1], dtype=np.int32),
        target_edges=np.array([3]),
        history_offsets=np.array([0, 3]),
        history_products=history,
        num_cold=0,
        history_edges=np.array([0, 1, 2]),
    )
    rows = np.array([0])
    expected = np.zeros(NUM_PRODUCTS)
    weights = 0.5 ** np.array([2, 1, 0]) * (1 + 3 * np.exp(-np.array([100, 5, 0]) / 7))
    for product, weight in zip(history, weights, strict=True):
        expected += 2 * weight * memory.matrix.toarray()[product]

    formula = ScoreFormula(temperature=0.07, memory_weight=2.0, recency=0.5, session=3.0, session_days=7.0)
    found = MemoryTerm(memory, formula, 10, day).score(queries, rows)

    np.testing.assert_allclose(found[0], expected, rtol=1e-5)
    without = formula.model_copy(update={"session": 0.0})
    plain = MemoryTerm(memory, without, 10).score(queries, rows)
    np.testing.assert_array_equal(MemoryTerm(memory, formula, 10, None).score(queries, rows), plain)
    np.testing.assert_array_equal(MemoryTerm(memory, without, 10, day).score(queries, rows), plain)
    assert not np.allclose(found, plain)

    says = np.array([0.1, 1.0, 3.0], dtype=np.float32)
    lighter = MemoryTerm(memory, formula, 10, day, says).score(queries, rows)
    events = sum(2 * weights[at] * says[at] * memory.matrix.toarray()[history[at]] for at in range(3))
    np.testing.assert_allclose(lighter[0], events, rtol=1e-5)


def test_users_without_a_history_are_given_nothing(memory: CoReviewMemory) -> None:
    nobody = np.array([0, 0, 0])
    queries = Queries(
        user_index=np.arange(2, dtype=np.int32),
        bound=np.array([3, 3]),
        target_offsets=np.arange(3),
        target_products=np.array([1, 2], dtype=np.int32),
        target_edges=np.array([3, 4]),
        history_offsets=nobody,
        history_products=np.zeros(0, dtype=np.int32),
        num_cold=0,
    )
    formula = ScoreFormula(temperature=0.07, memory_weight=2.0, session=3.0)
    found = MemoryTerm(memory, formula, 10, np.arange(5)).score(queries, np.array([0, 1]))
    np.testing.assert_array_equal(found, np.zeros((2, NUM_PRODUCTS)))


def test_short_histories_have_weights_of_their_own(memory: CoReviewMemory) -> None:
    offsets = np.array([0, 0, 1, 3, 6])  # nothing, one review, two, three
    queries = Queries(
        user_index=np.arange(4, dtype=np.int32),
        bound=np.full(4, 9),
        target_offsets=np.arange(5),
        target_products=np.arange(4, dtype=np.int32),
        target_edges=np.full(4, 9),
        history_offsets=offsets,
        history_products=np.array([3, 5, 8, 3, 5, 8], dtype=np.int32),
        num_cold=0,
        history_edges=np.arange(6),
    )
    popularity = np.linspace(0, 1, NUM_PRODUCTS, dtype=np.float32)
    formula = ScoreFormula(temperature=0.07, memory_weight=2.0, recency=0.5, popularity_weight=1.0)
    short = (ShortHistory(memory=0.25, popularity=3.0), ShortHistory(memory=0.0))
    rows = np.array([3, 0, 1, 2])
    usual = MemoryTerm(memory, formula, 10, popularity=popularity).score(queries, rows)
    weighed = formula.model_copy(update={"short": short})
    found = MemoryTerm(memory, weighed, 10, popularity=popularity).score(queries, rows)
    np.testing.assert_allclose(found[:2], usual[:2], rtol=1e-6)
    np.testing.assert_allclose(found[2], 0.25 * (usual[2] - popularity) + 4 * popularity, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[3], popularity, rtol=1e-6)
    assert not ScoreFormula(temperature=1).reads_popularity
    assert ScoreFormula(temperature=1, short=short).reads_popularity
