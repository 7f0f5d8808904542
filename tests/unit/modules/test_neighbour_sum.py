"""The sum over neighbours is a matrix product, and so is its gradient."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rec_sys.modules.review_graph_model import NeighbourSum
from tests.review_graphs import make_builder, make_graph, random_table


@settings(max_examples=20)
@given(st.integers(0, 1000), st.integers(0, 60))
def test_it_is_a_matrix_product_forwards_and_backwards(seed: int, before: int) -> None:
    hop = make_builder(make_graph(random_table(seed))[0]).build_products(np.arange(11), before).hop
    assert hop is not None
    number = len(hop.neighbours.index)
    inputs = torch.randn(number, 5, requires_grad=True)
    matrix = torch.zeros(11, number)
    row = torch.repeat_interleave(torch.arange(11), hop.offsets.diff())
    matrix.index_put_((row, hop.neighbour), hop.weight, accumulate=True)
    summed = NeighbourSum.apply(inputs, hop)
    torch.testing.assert_close(summed, matrix @ inputs)
    upstream = torch.randn(11, 5)
    summed.backward(upstream)
    torch.testing.assert_close(inputs.grad, matrix.T @ upstream)
