"""What validation chooses of popularity and repeats, against the evaluation of each choice."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from rec_sys.data.queries import Queries
from rec_sys.evaluation.ranking import evaluate_ranking
from rec_sys.modules.hybrid_score import MemoryTerm
from rec_sys.modules.memory import CoReviewMemory
from rec_sys.score_terms import RepeatRates
from rec_sys.scoring import ScoreFormula
from rec_sys.train.term_choice import _surest, choose_popularity, choose_rare, choose_repeats

NUM_PRODUCTS, NUM_QUERIES = 40, 300
LOGITS = np.random.default_rng(0).normal(size=(NUM_QUERIES, NUM_PRODUCTS)).astype(np.float32)
POPULAR = np.linspace(1, 0, NUM_PRODUCTS, dtype=np.float32)
SILENT = MemoryTerm(
    CoReviewMemory(sparse.csr_matrix((NUM_PRODUCTS, NUM_PRODUCTS), dtype=np.float32)), ScoreFormula(temperature=1), 50
)


def queries_of(targets: np.ndarray, history: np.ndarray) -> Queries:
    number = np.arange(NUM_QUERIES)
    return Queries(
        user_index=number.astype(np.int32),
        bound=number,
        target_offsets=np.arange(NUM_QUERIES + 1),
        target_products=targets.astype(np.int32),
        target_edges=number,
        history_offsets=np.arange(NUM_QUERIES + 1),
        history_products=history.astype(np.int32),
        num_cold=0,
        history_edges=number,
    )


def figure(term: MemoryTerm, queries: Queries, name: str) -> float:
    scored = evaluate_ranking(lambda rows: LOGITS[rows] + term.score(queries, rows), queries, NUM_PRODUCTS, (10,))
    return scored.metrics[name]


def chosen_popularity(targets: np.ndarray) -> tuple[MemoryTerm, Queries]:
    queries = queries_of(targets, np.full(NUM_QUERIES, 39))
    offered = {90.0: POPULAR[::-1].copy(), 365.0: POPULAR}
    towers = LOGITS.__getitem__
    term = choose_popularity(towers, queries, SILENT, POPULAR[::-1].copy(), offered, (0.0, 5.0), (0.0, 1.0, 4.0), 128)
    return term, queries


@pytest.mark.parametrize("helps", [True, False])
def test_rare_products_are_placed_unless_the_whole_is_worse(helps: bool) -> None:
    queries = queries_of(np.full(NUM_QUERIES, 7 if helps else 8), np.full(NUM_QUERIES, 39))
    lent = np.zeros((NUM_PRODUCTS, NUM_PRODUCTS), dtype=np.float32)
    lent[39, 7] = 3
    plain = replace(SILENT, formula=SILENT.formula.model_copy(update={"memory_weight": 1.0}))
    term = choose_rare(LOGITS.__getitem__, queries, plain, CoReviewMemory(sparse.csr_matrix(lent)), 128)
    assert term.rare == helps
    better = figure(term, queries, "ndcg_at_10_masked") > figure(plain, queries, "ndcg_at_10_masked") + 0.1
    assert better == helps


def test_popularity_is_taken_where_it_finds_what_is_asked_for() -> None:
    term, queries = chosen_popularity(np.random.default_rng(1).integers(0, 6, NUM_QUERIES))
    assert (term.formula.popularity_half_life, term.formula.popularity_weight) == (365.0, 4.0)
    np.testing.assert_array_equal(term.popularity, POPULAR)
    assert figure(term, queries, "ndcg_at_10_masked") > figure(SILENT, queries, "ndcg_at_10_masked") + 0.1


def test_popularity_is_left_out_where_it_is_no_help() -> None:
    term, _ = chosen_popularity(LOGITS.argmax(axis=1))
    assert term.formula.popularity_weight == 0
    assert term.popularity is None


def test_of_choices_as_good_as_the_best_the_surest_is_taken() -> None:
    random = np.random.default_rng(3)
    plain = random.random(400) * 0.1
    wild = plain + 0.010 + random.normal(size=400) * 0.3
    sure = plain + 0.008 + random.normal(size=400) * 0.001
    poor = plain + 0.0001 * random.random(400)
    wild += 0.010 - (wild - plain).mean()
    assert _surest(np.array([wild, sure]), plain) == 1
    assert _surest(np.array([sure + 0.01, poor]), plain) == 0  # surely worse than the best
    assert _surest(np.array([plain, plain]), plain) == 0


@pytest.mark.parametrize("share", [0.0, 0.6])
def test_repeats_get_a_weight_where_they_happen_and_masked_figures_stay(share: float) -> None:
    random = np.random.default_rng(5)
    history = random.integers(0, NUM_PRODUCTS, NUM_QUERIES)
    other = (history + random.integers(1, NUM_PRODUCTS, NUM_QUERIES)) % NUM_PRODUCTS
    queries = queries_of(np.where(random.random(NUM_QUERIES) < share, history, other), history)
    rates = RepeatRates(rates=((0.5, 0.5, 0.5),) * 6, by_time=False)
    term = choose_repeats(LOGITS.__getitem__, queries, SILENT, rates, (0.0, 1.0, 30.0, 300.0), 128)

    def masked(one: MemoryTerm) -> float:
        return figure(one, queries, "ndcg_at_10_masked")

    assert masked(term) == masked(SILENT)
    if share == 0:
        assert term.formula.repeats is None
    else:
        assert term.formula.repeats is not None
        assert term.formula.repeats.weight == 30.0  # 300 is no better
        assert figure(term, queries, "ndcg_at_10") > figure(SILENT, queries, "ndcg_at_10") + 0.3


def test_where_what_was_looked_at_stays_in_masked_rankings_they_choose_the_weight_of_repeats() -> None:
    """Twelve orders, which a masked ranking leaves out, and a look, whose product is ordered next."""
    orders = 12
    history = np.array([np.random.default_rng(one).permutation(NUM_PRODUCTS)[: orders + 1] for one in range(100)])
    edges = np.arange(history.size)
    looked = edges % (orders + 1) == orders
    queries = replace(
        queries_of(history[np.arange(NUM_QUERIES) % 100, -1], np.zeros(NUM_QUERIES)),
        history_offsets=np.arange(NUM_QUERIES + 1) * (orders + 1),
        history_products=np.tile(history.ravel(), 3).astype(np.int32),
        history_edges=np.tile(edges, 3),
        history_known=np.tile(~looked, 3),
    )
    rates = RepeatRates(rates=((0.2,) * 3,) * 6 + ((0.5,) * 3,) * 6, by_time=False, evidence_bounds=(0.5,))
    silent = replace(SILENT, weight=np.where(looked, 0.1, 1.0).astype(np.float32))
    term = choose_repeats(LOGITS.__getitem__, queries, silent, rates, (0.0, 100.0), 128)
    assert term.formula.repeats is not None
    assert figure(term, queries, "ndcg_at_10_masked") > 0.9
    assert figure(term, queries, "ndcg_at_10") < figure(SILENT, queries, "ndcg_at_10")


def test_rates_are_of_one_row_for_each_age_and_kind_of_evidence() -> None:
    with pytest.raises(ValueError, match="one row for each age"):
        RepeatRates(rates=((0.5, 0.5, 0.5),) * 6, by_time=False, evidence_bounds=(0.5,))
