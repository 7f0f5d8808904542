"""What DSSM learns to predict is drawn by weight."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from rec_sys.baselines.dssm import _one_of_each

DRAWS = 20_000


@pytest.mark.parametrize("weights", [[0.1, 0.2, 0.7], [1.0, 1.0, 1.0]])
def test_a_product_is_drawn_as_often_as_it_weighs(weights: list[float]) -> None:
    matrix = csr_matrix(np.array([[9, 0, 0, 0], [0, *weights], [0, 0, 0, 5]], dtype=np.float32))
    drawn = _one_of_each(matrix, np.full(DRAWS, 1), np.random.default_rng(0))
    shares = np.bincount(drawn, minlength=4) / DRAWS
    np.testing.assert_allclose(shares, [0, *np.array(weights) / np.sum(weights)], atol=0.015)


def test_each_row_gives_one_of_its_own() -> None:
    matrix = csr_matrix(np.eye(4, dtype=np.float32)[[2, 0, 3, 1]])
    assert _one_of_each(matrix, np.array([3, 0, 2, 1]), np.random.default_rng(1)).tolist() == [1, 2, 3, 0]
