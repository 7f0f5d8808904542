import numpy as np
import pytest

from rec_sys.contracts import MILLISECONDS_A_DAY
from rec_sys.data.splits import Queries
from rec_sys.evaluation.ranking import evaluate_ranking
from rec_sys.modules.hybrid_score import Fusion, SessionWeight, choose_fusion
from rec_sys.modules.memory import CoReviewMemory, fit_memory
from rec_sys.settings import MemorySettings

NUM_PRODUCTS, NUM_QUERIES = 40, 33


@pytest.fixture
def queries() -> Queries:
    """Users with one to four earlier reviews and one or two targets."""
    random = np.random.default_rng(2)
    history, targets = random.integers(1, 5, NUM_QUERIES), random.integers(1, 3, NUM_QUERIES)
    return Queries(
        user_index=np.arange(NUM_QUERIES, dtype=np.int32),
        bound=np.full(NUM_QUERIES, 10**6, dtype=np.int64),
        target_offsets=np.concatenate([[0], np.cumsum(targets)]),
        target_products=_distinct(random, targets),
        target_edges=np.zeros(targets.sum(), dtype=np.int64),
        history_offsets=np.concatenate([[0], np.cumsum(history)]),
        history_products=random.integers(0, NUM_PRODUCTS, history.sum()).astype(np.int32),
        num_cold=0,
    )


def _distinct(random: np.random.Generator, counts: np.ndarray) -> np.ndarray:
    return np.concatenate([random.permutation(NUM_PRODUCTS)[:count] for count in counts]).astype(np.int32)


@pytest.fixture
def memories() -> dict[float, CoReviewMemory]:
    random = np.random.default_rng(3)
    user, product = random.integers(0, 50, 600), random.integers(0, NUM_PRODUCTS, 600)
    return {l2: fit_memory(user, product, 50, NUM_PRODUCTS, MemorySettings(), l2) for l2 in (1.0, 30.0)}


def test_every_choice_is_measured_as_the_evaluation_measures_it(
    queries: Queries, memories: dict[float, CoReviewMemory]
) -> None:
    logits = np.random.default_rng(4).normal(size=(NUM_QUERIES, NUM_PRODUCTS)).astype(np.float32)
    weights = (0.0, 2.0, 50.0)

    l2, fusion, figures = choose_fusion(lambda rows: logits[rows], queries, memories, weights, 0.9, 3, query_batch=10)

    for strength, memory in memories.items():
        for weight in weights:
            fused = Fusion(memory, weight, 0.9, 3)
            measured = evaluate_ranking(
                lambda rows, fused=fused: logits[rows] + fused.score(queries, rows), queries, NUM_PRODUCTS, (10,)
            )
            expected = measured.metrics["ndcg_at_10_masked"]
            assert figures[f"{strength:g}/{weight:g}"] == pytest.approx(expected, abs=1e-6)
    assert figures[f"{l2:g}/{fusion.weight:g}"] == max(figures.values())
    assert len(set(figures.values())) > 3


def test_a_memory_that_says_nothing_is_given_no_weight(queries: Queries, memories: dict[float, CoReviewMemory]) -> None:
    silent = CoReviewMemory(memories[1.0].matrix * 0)
    logits = np.random.default_rng(4).normal(size=(NUM_QUERIES, NUM_PRODUCTS)).astype(np.float32)

    _, fusion, _ = choose_fusion(lambda rows: logits[rows], queries, {1.0: silent}, (0.0, 10.0), 0.9, 3, 16)

    assert fusion.weight == 0.0


def test_reviews_of_the_newest_day_weigh_more_than_their_place_says(memories: dict[float, CoReviewMemory]) -> None:
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
    memory = memories[1.0]
    rows = np.array([0])
    expected = np.zeros(NUM_PRODUCTS)
    weights = 0.5 ** np.array([2, 1, 0]) * (1 + 3 * np.exp(-np.array([100, 5, 0]) / 7))
    for product, weight in zip(history, weights, strict=True):
        expected += 2 * weight * memory.matrix.toarray()[product]

    found = Fusion(memory, 2.0, 0.5, 10, SessionWeight(day, 3.0, 7.0)).score(queries, rows)

    np.testing.assert_allclose(found[0], expected, rtol=1e-5)
    plain = Fusion(memory, 2.0, 0.5, 10).score(queries, rows)
    np.testing.assert_array_equal(
        Fusion(memory, 2.0, 0.5, 10, SessionWeight(None, 3.0, 7.0)).score(queries, rows), plain
    )
    np.testing.assert_array_equal(
        Fusion(memory, 2.0, 0.5, 10, SessionWeight(day, 0.0, 7.0)).score(queries, rows), plain
    )
    assert not np.allclose(found, plain)
