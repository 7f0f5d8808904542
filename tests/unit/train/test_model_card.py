"""The model card says what the metrics and the settings say."""

import numpy as np
from scipy import sparse

from rec_sys.data.dataset import DatasetSummary
from rec_sys.entry import compose_settings
from rec_sys.modules.hybrid_score import MemoryTerm
from rec_sys.modules.memory import CoReviewMemory
from rec_sys.score_terms import AGE_BOUNDS, RepeatRates
from rec_sys.scoring import ScoreFormula, ShortHistory
from rec_sys.settings import Settings
from rec_sys.train.model_card import write_card

SUMMARY = DatasetSummary(
    name="shop",
    fingerprint="f00",
    rows_read=13,
    duplicates_merged=1,
    rows_set_aside=2,
    reasons={},
    num_reviews=1_234,
    num_users=50,
    num_products=20,
    has_time=False,
    has_rating=True,
    has_text=True,
    has_product_text=False,
)
METRICS = {
    "validation": {"ndcg_at_10_masked": 0.5, "num_queries": 40.0},
    "test": {"ndcg_at_10_masked": 0.25, "rmse": 1.5, "num_queries": 41.0},
    "baselines": {"popular": {"ndcg_at_10_masked": 0.125}, "rating_mean": {"rmse": 1.75}},
    "standard_error": {"test": {"ndcg_at_10_masked": 0.01}, "popular": {"ndcg_at_10_masked": 0.02}},
}


def card(*overrides: str, memory_term: MemoryTerm | None = None) -> str:
    return write_card(SUMMARY, METRICS, compose_settings(overrides, Settings), memory_term, "shop-1", "minilm")


def test_the_figures_stand_beside_those_of_the_baselines_with_their_errors() -> None:
    text = card()
    assert "| ndcg_at_10_masked | 0.2500 ± 0.0100 | 0.1250 ± 0.0200 | 0.5000 |" in text
    assert "| rmse | 1.5000 | 1.7500 | - |" in text
    assert text.count("± standard error over the questions") == 1  # there are none of the stars
    assert "1,234 reviews, 50 users, 20 products" in text
    assert "Missing: times (an order instead), texts of products." in text
    assert "40 validation and 41 test questions" in text


def test_split_refit_and_memory_are_said_as_they_were() -> None:
    memory = CoReviewMemory(sparse.csr_matrix(np.eye(20, dtype=np.float32)))
    formula = ScoreFormula(temperature=0.07, memory_weight=40, recency=0.9)
    with_memory = card("evaluation.refit=true", "seed=7", memory_term=MemoryTerm(memory, formula, 50))
    assert "20 weights between 20 products, counted 40 times" in with_memory
    assert "trained again on train and validation split" in with_memory
    assert "seed 7" in with_memory
    alone = card("evaluation=global_time", "model.memory=none")
    assert "no memory" in alone
    assert "trained on the train split" in alone
    assert "without other users' future" not in alone


def test_the_terms_beside_the_memory_are_named_where_they_are() -> None:
    memory = CoReviewMemory(sparse.csr_matrix(np.eye(20, dtype=np.float32)))
    plain = ScoreFormula(temperature=0.07, memory_weight=40, recency=0.9)
    rates = RepeatRates(rates=((0.1, 0.2, 0.3),) * (len(AGE_BOUNDS) + 1), by_time=True, weight=30)
    terms = {"popularity_weight": 4.0, "popularity_half_life": 365.0, "repeats": rates}
    short = (ShortHistory(memory=0.25, popularity=4),)
    text = card(memory_term=MemoryTerm(memory, plain.model_copy(update=terms | {"short": short}), 50))
    assert "- popularity before the cut, 1 at most: 4 times, a review halving its weight in 365 days" in text
    assert "- repeats: how often such a product of a history was the next one again, counted 30 times" in text
    assert "- histories of 1: the memory 0.25 times as much, popularity 4 more" in text
    without = card(memory_term=MemoryTerm(memory, plain, 50))
    assert not any(f"- {name}" in without for name in ("popularity", "repeats", "histories"))


def test_a_ranker_that_gained_too_little_is_said_too() -> None:
    stage = {"before": 0.25, "after": 0.2501, "error": 0.01, "num_queries": 1_200}
    metrics = METRICS | {"ranker": {"library": "xgboost", "adopted": False, "earlier": stage, "validation": stage}}
    text = write_card(SUMMARY, metrics, compose_settings([], Settings), None, "shop-1", "minilm")
    assert "A ranker (xgboost) was left out, as it gained too little: masked NDCG@10 0.2500 -> 0.2501 on 1,200" in text
    assert "ranker (" not in card()
