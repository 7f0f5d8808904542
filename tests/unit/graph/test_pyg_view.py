"""The graph as PyG's HeteroData."""

import numpy as np
import pytest

from rec_sys.graph.pyg_view import view_as_hetero_data
from tests.review_graphs import make_graph, random_table


@pytest.mark.parametrize("before", [None, 0, 17])
def test_the_view_holds_the_edges_before_the_bound_both_ways(before: int | None) -> None:
    graph, order = make_graph(random_table(6), product_text=True)
    columns = graph.interactions
    data = view_as_hetero_data(graph, before)
    stop = columns.num_reviews if before is None else before
    there, back = data["user", "reviews", "product"], data["product", "reviewed_by", "user"]
    assert data.validate()
    assert data["user"].num_nodes == columns.num_users
    np.testing.assert_array_equal(there.edge_index[0], columns.user_index[:stop])
    np.testing.assert_array_equal(there.edge_index[1], columns.product_index[:stop])
    np.testing.assert_array_equal(back.edge_index, there.edge_index.flip(0))
    np.testing.assert_array_equal(data["product"].x, graph.product_text_vectors.astype(np.float32))
    for edge in range(stop):
        has_text = columns.body_index[edge] >= 0
        expected = graph.text_vectors[order[edge]].astype(np.float32) * has_text
        np.testing.assert_array_equal(there.text[edge], expected)
    for edges in (there, back):
        np.testing.assert_array_equal(edges.rating, columns.rating[:stop])
        np.testing.assert_array_equal(edges.time, columns.timestamp[:stop])
    np.testing.assert_array_equal(back.text, there.text)
