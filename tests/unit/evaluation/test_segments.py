"""Figures by part: each query and target counts where it belongs, and the parts make up the whole."""

import numpy as np
import polars as pl
import pytest

from rec_sys.evaluation.ranking import evaluate_ranking
from rec_sys.evaluation.segments import by_history_length, by_product_popularity, warm_and_cold
from tests.unit.evaluation.test_ranking import make_queries

SCORES = np.random.default_rng(0).random((6, 8)).astype(np.float32)
LENGTHS = [1, 2, 2, 4, 12, 25]
TARGETS = [[0], [1], [2], [3], [4], [5]]
TRAIN_COUNTS = np.array([0, 1, 4, 6, 30, 200, 9, 9])


def result() -> tuple[pl.DataFrame, pl.DataFrame]:
    histories = [[7] * length for length in LENGTHS]
    found = evaluate_ranking(lambda rows: SCORES[rows], make_queries(TARGETS, histories), num_products=8, ks=(3,))
    return found.per_query, found.targets


def test_histories_fall_into_bands_that_make_up_the_whole() -> None:
    per_query, _ = result()
    bands = by_history_length(per_query, np.array(LENGTHS), k=3)
    assert [(band["label"], band["num_queries"]) for band in bands] == [
        ("1 to 2", 3),
        ("3 to 4", 1),
        ("10 to 19", 1),
        ("20 and more", 1),
    ]
    whole = sum(float(band["recall_at_3"]) * float(band["num_queries"]) for band in bands) / len(LENGTHS)
    assert whole == pytest.approx(per_query["recall_at_3"].mean())
    assert "recall_at_3_error" in bands[0]
    assert "recall_at_3_error" not in bands[1]  # one query says nothing of its spread


def test_products_fall_into_bands_by_their_train_reviews() -> None:
    _, targets = result()
    labels = [band["label"] for band in by_product_popularity(targets, TRAIN_COUNTS, k=3)]
    assert labels == ["0", "1 to 4", "5 to 19", "20 to 99", "100 and more"]


def test_a_product_without_train_reviews_is_cold_and_the_others_are_warm() -> None:
    _, targets = result()
    parts = warm_and_cold(targets, TRAIN_COUNTS, (3,))
    assert parts["cold_products"]["num_queries"] == 1
    assert parts["warm_products"]["num_queries"] == 5
    none_cold = warm_and_cold(targets, TRAIN_COUNTS + 1, (3,))
    assert set(none_cold) == {"warm_products"}
