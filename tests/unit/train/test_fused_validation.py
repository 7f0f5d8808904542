"""Towers beside the memory: the figure that training watches, and what is clear beyond the error."""

import numpy as np
import pytest

from rec_sys.data.queries import Queries
from rec_sys.evaluation.ranking import evaluate_ranking
from rec_sys.modules.hybrid_score import MemoryTerm
from rec_sys.modules.memory import fit_memories
from rec_sys.scoring import ScoreFormula
from rec_sys.settings import MemorySettings
from rec_sys.train.fused_validation import FusedValidation, TowerGain

NUM_PRODUCTS, NUM_QUERIES = 40, 60
WEIGHTS = (0.0, 1.0, 4.0, 16.0)


@pytest.fixture
def queries() -> Queries:
    """Users with three earlier reviews and one target, which is the next product after their newest."""
    history = np.random.default_rng(2).integers(0, NUM_PRODUCTS, (NUM_QUERIES, 3))
    return Queries(
        user_index=np.arange(NUM_QUERIES, dtype=np.int32),
        bound=np.full(NUM_QUERIES, 10**6, dtype=np.int64),
        target_offsets=np.arange(NUM_QUERIES + 1),
        target_products=((history[:, -1] + 1) % NUM_PRODUCTS).astype(np.int32),
        target_edges=np.zeros(NUM_QUERIES, dtype=np.int64),
        history_offsets=np.arange(0, 3 * NUM_QUERIES + 1, 3),
        history_products=history.ravel().astype(np.int32),
        num_cold=0,
    )


@pytest.fixture
def fused(queries: Queries) -> FusedValidation:
    random = np.random.default_rng(3)
    user, product = random.integers(0, 50, 600), random.integers(0, NUM_PRODUCTS, 600)
    formula = ScoreFormula(temperature=0.07, recency=0.9)
    memories = fit_memories(user, product, 50, NUM_PRODUCTS, MemorySettings(), (1.0, 300.0))
    terms = {l2: MemoryTerm(memory, formula, 5) for l2, memory in memories.items()}
    return FusedValidation(queries, terms, WEIGHTS, 16)


def towers(queries: Queries, strength: float) -> object:
    """Logits that know the answer to every second question, or noise."""
    noise = np.random.default_rng(5).normal(size=(NUM_QUERIES, NUM_PRODUCTS)).astype(np.float32)
    noise[np.arange(0, NUM_QUERIES, 2), queries.target_products[::2]] += strength
    return lambda rows: noise[rows]


def test_the_memory_alone_is_measured_as_the_evaluation_measures_it(queries: Queries, fused: FusedValidation) -> None:
    figures = {
        l2: evaluate_ranking(lambda rows, term=term: term.unweighted(queries, rows), queries, NUM_PRODUCTS, (10,))
        for l2, term in fused.terms.items()
    }
    best = max(figures, key=lambda l2: figures[l2].metrics["ndcg_at_10_masked"])
    assert fused.l2 == best
    assert fused.memory_figure == pytest.approx(figures[best].metrics["ndcg_at_10_masked"])
    assert fused.memory_alone.formula.memory_weight == 1.0


def test_towers_that_know_more_add_clearly_and_noise_does_not(queries: Queries, fused: FusedValidation) -> None:
    term, gain = fused.measure(towers(queries, 50.0))
    assert gain.is_clear
    assert gain.fused > 0.5
    assert gain.memory == fused.memory_figure
    measured = evaluate_ranking(
        lambda rows: towers(queries, 50.0)(rows) + term.score(queries, rows), queries, NUM_PRODUCTS, (10,)
    )
    assert gain.fused == pytest.approx(measured.metrics["ndcg_at_10_masked"])
    strong = FusedValidation(queries, fused.terms, (16.0,), 16)  # the memory drowns what they say
    assert not strong.measure(towers(queries, 0.0))[1].is_clear


def test_after_an_epoch_only_the_neighbours_of_its_weight_are_tried(queries: Queries, fused: FusedValidation) -> None:
    known = towers(queries, 50.0)
    best, _ = fused.measure(known)
    assert best.formula.memory_weight < WEIGHTS[-1]
    far, _ = fused.measure(known, last=WEIGHTS[-1])
    assert far.formula.memory_weight in WEIGHTS[-2:]
    assert fused.measure(known, last=best.formula.memory_weight)[0].formula == best.formula


def test_some_questions_are_measured_as_among_all(queries: Queries, fused: FusedValidation) -> None:
    asked: list[int] = []

    def noting(rows: np.ndarray) -> np.ndarray:
        asked.extend(rows.tolist())
        return towers(queries, 50.0)(rows)

    _, gain = fused.measure(noting, most=25)
    assert asked == list(range(0, NUM_QUERIES, 3))
    alone = (
        evaluate_ranking(lambda rows: fused.memory_alone.score(queries, rows), queries, NUM_PRODUCTS, (10,))
        .per_query["ndcg_at_10_masked"]
        .to_numpy()
    )
    assert gain.memory == pytest.approx(alone[asked].mean())
    assert gain.error > fused.measure(towers(queries, 50.0))[1].error


def test_a_gain_is_clear_beyond_its_error() -> None:
    assert TowerGain(memory=0.100, fused=0.104, error=0.003).is_clear
    assert not TowerGain(memory=0.100, fused=0.104, error=0.004).is_clear
    assert "0.1040" in str(TowerGain(0.1, 0.104, 0.004))
