"""The new order of candidates, among scores that others keep."""

import numpy as np

from rec_sys.evaluation.ranks import rank_products, rank_targets
from rec_sys.ranker.reordering import permute_scores

NONE = np.zeros(0, dtype=np.int64)


def test_candidates_change_places_and_all_others_stay() -> None:
    scores = np.array([[9, 8, 7, 6, 5], [1, 2, 3, 4, 5]], dtype=np.float32)
    row, product = np.array([0, 0, 0, 1, 1]), np.array([0, 2, 3, 4, 3])
    permute_scores(scores, row, product, np.array([1, 2, 3, 1, 2], dtype=np.float32))
    assert rank_products(scores, 5, NONE, NONE).tolist() == [[3, 1, 2, 0, 4], [3, 4, 2, 1, 0]]
    np.testing.assert_allclose(np.sort(scores[0]), [5, 6, 7, 8, 9], rtol=1e-6)


def test_equal_scores_get_an_order_above_those_that_tie_with_them() -> None:
    scores = np.zeros((1, 5), dtype=np.float32)
    permute_scores(scores, np.array([0, 0, 0]), np.array([0, 1, 2]), np.array([1, 3, 2], dtype=np.float32))
    ranks, _ = rank_targets(scores, np.zeros(5, dtype=np.int64), np.arange(5), NONE, NONE)
    assert ranks.tolist() == [3, 1, 2, 4.5, 4.5]


def test_rows_with_fewer_candidates_or_none_are_ordered_too() -> None:
    scores = np.array([[3, 2, 1], [3, 2, 1], [3, 2, 1]], dtype=np.float32)
    permute_scores(scores, np.array([0, 0, 2]), np.array([0, 1, 2]), np.array([1, 2, 0], dtype=np.float32))
    assert rank_products(scores, 3, NONE, NONE).tolist() == [[1, 0, 2], [0, 1, 2], [0, 1, 2]]
    permute_scores(scores, NONE, NONE, np.zeros(0, dtype=np.float32))
