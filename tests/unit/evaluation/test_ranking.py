"""Ranking metrics that one can work out by hand."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rec_sys.data.queries import Queries
from rec_sys.evaluation.ranking import evaluate_ranking


def make_queries(targets: list[list[int]], histories: list[list[int]]) -> Queries:
    """One query a user, asked once."""

    def offsets(lists: list[list[int]]) -> npt.NDArray[np.int64]:
        return np.cumsum([0, *map(len, lists)], dtype=np.int64)

    target_products = np.array([product for products in targets for product in products], dtype=np.int32)
    return Queries(
        user_index=np.arange(100, 100 + len(targets), dtype=np.int32),
        bound=np.zeros(len(targets), dtype=np.int64),
        target_offsets=offsets(targets),
        target_products=target_products,
        target_edges=np.arange(len(target_products), dtype=np.int64),
        history_offsets=offsets(histories),
        history_products=np.array([product for products in histories for product in products], dtype=np.int32),
        num_cold=0,
    )


# Products 0 to 5; the best product of each row stands at its highest score.
SCORES = np.array([[6, 5, 4, 3, 2, 1], [1, 2, 3, 4, 5, 6], [9, 9, 9, 0, 0, 0]], dtype=np.float32)


def score(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    return SCORES[rows]


def test_single_targets_give_the_metrics_of_their_rank() -> None:
    queries = make_queries(targets=[[2], [5], [1]], histories=[[0, 1], [], [3]])
    result = evaluate_ranking(score, queries, num_products=6, ks=(1, 3))
    # Unmasked ranks 3, 1, 2 (three share 1 to 3); masked ranks 1, 1, 2.
    assert result.metrics["recall_at_1"] == pytest.approx(1 / 3)
    assert result.metrics["recall_at_3"] == pytest.approx(1)
    assert result.metrics["mrr_at_3"] == pytest.approx((1 / 3 + 1 + 1 / 2) / 3)
    assert result.metrics["ndcg_at_3"] == pytest.approx((1 / 2 + 1 + 1 / np.log2(3)) / 3)
    assert result.metrics["recall_at_1_masked"] == pytest.approx(2 / 3)
    assert result.metrics["ndcg_at_3_masked"] == pytest.approx((1 + 1 + 1 / np.log2(3)) / 3)
    assert result.metrics["mrr_at_1_masked"] == pytest.approx(2 / 3)
    assert result.metrics["num_queries"] == 3


def test_several_targets_are_measured_against_the_best_order_of_them() -> None:
    queries = make_queries(targets=[[0, 5, 3]], histories=[[]])
    metrics = evaluate_ranking(score, queries, num_products=6, ks=(2, 4)).metrics
    # Ranks 1, 6 and 4.
    assert metrics["recall_at_2"] == pytest.approx(1 / 3)
    assert metrics["recall_at_4"] == pytest.approx(2 / 3)
    assert metrics["ndcg_at_2"] == pytest.approx(1 / (1 + 1 / np.log2(3)))
    assert metrics["ndcg_at_4"] == pytest.approx((1 + 1 / np.log2(5)) / (1 + 1 / np.log2(3) + 1 / np.log2(4)))
    assert metrics["mrr_at_4"] == pytest.approx(1)


def test_a_target_reviewed_twice_counts_once() -> None:
    once = evaluate_ranking(score, make_queries([[4, 0]], [[]]), num_products=6, ks=(2,)).metrics
    twice = evaluate_ranking(score, make_queries([[4, 0, 4]], [[]]), num_products=6, ks=(2,)).metrics
    assert once == twice
    assert once["recall_at_2"] == pytest.approx(1 / 2)


def test_a_target_in_its_own_history_is_a_hit_unmasked_and_a_miss_masked() -> None:
    metrics = evaluate_ranking(score, make_queries([[0]], [[0]]), num_products=6, ks=(5,)).metrics
    assert (metrics["recall_at_5"], metrics["recall_at_5_masked"]) == (1, 0)
    assert (metrics["ndcg_at_5_masked"], metrics["mrr_at_5_masked"]) == (0, 0)


def test_coverage_is_the_share_of_the_catalogue_in_the_masked_lists() -> None:
    queries = make_queries(targets=[[3], [0]], histories=[[0, 1], [5]])
    result = evaluate_ranking(score, queries, num_products=6, ks=(1, 2))
    assert result.top_products.tolist() == [[2, 3], [4, 3]]
    assert result.metrics["coverage_at_1"] == pytest.approx(2 / 6)
    assert result.metrics["coverage_at_2"] == pytest.approx(3 / 6)


def test_values_a_query_give_means_and_standard_errors() -> None:
    queries = make_queries(targets=[[0], [0], [3]], histories=[[], [], []])
    result = evaluate_ranking(score, queries, num_products=6, ks=(1,))
    assert result.per_query["user_index"].to_list() == [100, 101, 102]
    assert result.per_query["recall_at_1"].to_list() == [1, 0, 0]
    assert result.standard_error["recall_at_1"] == pytest.approx(np.sqrt(1 / 3) / np.sqrt(3))
    assert set(result.standard_error) == set(result.metrics) - {"coverage_at_1", "num_queries"}


def test_one_query_has_no_standard_error() -> None:
    assert evaluate_ranking(score, make_queries([[0]], [[]]), num_products=6).standard_error == {}


def test_lists_longer_than_the_catalogue_are_allowed() -> None:
    result = evaluate_ranking(score, make_queries([[5]], [[1]]), num_products=6, ks=(20,))
    assert result.metrics["recall_at_20"] == 1
    assert result.top_products[0, :5].tolist() == [0, 2, 3, 4, 5]
    assert (result.top_products[0, 5:] == -1).all()


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.integers(1, 9))
def test_the_batch_size_changes_nothing(seed: int, query_batch: int) -> None:
    random = np.random.default_rng(seed)
    table = random.integers(0, 4, (8, 30)).astype(np.float32)
    targets = [random.integers(0, 30, random.integers(1, 4)).tolist() for _ in range(8)]
    histories = [random.integers(0, 30, random.integers(0, 6)).tolist() for _ in range(8)]
    queries = make_queries(targets, histories)
    whole = evaluate_ranking(lambda rows: table[rows], queries, num_products=30)
    parts = evaluate_ranking(lambda rows: table[rows], queries, num_products=30, query_batch=query_batch)
    assert parts.metrics == whole.metrics
    assert parts.per_query.equals(whole.per_query)
    assert (parts.top_products == whole.top_products).all()


def test_what_cannot_be_ranked_is_refused() -> None:
    with pytest.raises(ValueError, match="no queries"):
        evaluate_ranking(score, make_queries([], []), num_products=6)
    with pytest.raises(ValueError, match="at least one target"):
        evaluate_ranking(score, make_queries([[1], []], [[], []]), num_products=6)
    with pytest.raises(ValueError, match=r"shape \(1, 6\), expected \(1, 7\)"):
        evaluate_ranking(score, make_queries([[1]], [[]]), num_products=7)
