"""Exact ranks and best lists, against the definition written as plainly as it can be."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rec_sys.evaluation.ranks import NO_PRODUCT, rank_products, rank_targets

NOTHING = np.empty(0, dtype=np.int64)


def rank_by_definition(scores: npt.NDArray[np.float32], target: int, left_out: set[int]) -> float:
    """One row's rank, counted product by product."""
    if target in left_out:
        return math.inf
    own = float(scores[target])
    rivals = [float(scores[rival]) for rival in range(len(scores)) if rival != target and rival not in left_out]
    return 1 + sum(score > own for score in rivals) + 0.5 * sum(score == own for score in rivals)


def test_ties_share_their_mean_rank_and_history_is_left_out() -> None:
    scores = np.array([[5, 3, 3, 1], [2, 2, 2, 2]], dtype=np.float32)
    unmasked, masked = rank_targets(
        scores,
        target_rows=np.array([0, 0, 1]),
        target_products=np.array([2, 3, 0]),
        history_rows=np.array([0, 0, 1, 1]),
        history_products=np.array([0, 1, 3, 3]),  # the second row's review stands twice and counts once
    )
    assert unmasked.tolist() == [2.5, 4.0, 2.5]
    assert masked.tolist() == [1.0, 2.0, 2.0]


def test_a_target_that_the_mask_removes_can_never_be_hit() -> None:
    scores = np.array([[9.0, 1.0]], dtype=np.float32)
    unmasked, masked = rank_targets(scores, np.array([0]), np.array([0]), np.array([0]), np.array([0]))
    assert unmasked.tolist() == [1.0]
    assert masked.tolist() == [math.inf]


@st.composite
def score_tables(draw: st.DrawFn) -> tuple[npt.NDArray[np.float32], list[tuple[int, int]], list[tuple[int, int]]]:
    """A few distinct values, so that ties are the rule, with targets and histories anywhere."""
    num_rows, num_products = draw(st.integers(1, 4)), draw(st.integers(1, 60))
    values = st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 2.0])
    scores = draw(arrays(np.float32, (num_rows, num_products), elements=values))
    pairs = st.tuples(st.integers(0, num_rows - 1), st.integers(0, num_products - 1))
    return scores, draw(st.lists(pairs, min_size=1, max_size=100)), draw(st.lists(pairs, max_size=100))


@given(score_tables())
def test_ranks_equal_their_definition(
    table: tuple[npt.NDArray[np.float32], list[tuple[int, int]], list[tuple[int, int]]],
) -> None:
    scores, targets, history = table
    target_rows, target_products = np.array(targets, dtype=np.int32).T
    history_rows, history_products = np.array(history, dtype=np.int32).reshape(-1, 2).T
    unmasked, masked = rank_targets(scores, target_rows, target_products, history_rows, history_products)
    for place, (row, product) in enumerate(targets):
        seen = {other for owner, other in history if owner == row}
        assert unmasked[place] == rank_by_definition(scores[row], product, set())
        assert masked[place] == rank_by_definition(scores[row], product, seen)


@given(score_tables(), st.integers(1, 8))
def test_lists_hold_the_best_products_outside_the_history_in_order(
    table: tuple[npt.NDArray[np.float32], list[tuple[int, int]], list[tuple[int, int]]], length: int
) -> None:
    scores, _, history = table
    history_rows, history_products = np.array(history, dtype=np.int32).reshape(-1, 2).T
    lists = rank_products(scores, length, history_rows, history_products)
    for row, listed in enumerate(lists):
        left = [
            product
            for product in range(scores.shape[1])
            if (row, product) not in history and scores[row, product] > -np.inf
        ]
        best = sorted(left, key=lambda product: (-scores[row, product], product))[:length]
        assert listed.tolist() == best + [NO_PRODUCT] * (length - len(best))


@pytest.mark.parametrize("num_products", [1_000, 999, 17])
def test_lists_of_a_wide_catalogue_equal_a_full_sort(num_products: int) -> None:
    scores = np.random.default_rng(3).standard_normal((30, num_products)).astype(np.float32)
    lists = rank_products(scores, 5, NOTHING, NOTHING)
    assert (lists == np.argsort(-scores, axis=1)[:, :5]).all()


def test_the_scores_given_are_left_as_they_were() -> None:
    scores = np.array([[1.0, 2.0, 3.0]], dtype=np.float32)
    rank_products(scores, 2, np.array([0]), np.array([2]))
    assert scores.tolist() == [[1.0, 2.0, 3.0]]


def test_a_score_that_is_not_a_number_is_named() -> None:
    scores = np.array([[0.0, 1.0], [2.0, np.nan]], dtype=np.float32)
    with pytest.raises(ValueError, match="row 1, product 1 is NaN"):
        rank_targets(scores, np.array([0]), np.array([0]), NOTHING, NOTHING)
