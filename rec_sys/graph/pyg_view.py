"""The review graph as PyG sees it, for whoever wants to run another PyG model on it."""

from typing import TYPE_CHECKING

import numpy as np

from rec_sys.graph.review_graph import ReviewGraph

if TYPE_CHECKING:
    from torch_geometric.data import HeteroData


def view_as_hetero_data(graph: ReviewGraph, before: int | None = None) -> "HeteroData":
    """The graph as `HeteroData`, edges in time order.

    Args:
        graph: The graph.
        before: Only edges with a smaller id; None = all.

    Returns:
        Node types `user` (only `num_nodes`: a user is their reviews) and `product` (`x`: float32
        `[num_products, 384]`, the product text's vector); edge types `(user, reviews, product)` and
        `(product, reviewed_by, user)`, each with `edge_index` int64 `[2, num_edges]`, `text` float32
        `[num_edges, 384]` (zero where missing), `rating` float32 `[num_edges]` (NaN where missing) and `time` int64
        `[num_edges]`.
    """
    import torch
    from torch_geometric.data import HeteroData

    columns = graph.interactions
    stop = columns.num_reviews if before is None else before
    row = np.asarray(graph.text_row[:stop])
    text = np.zeros((stop, graph.product_text_vectors.shape[1]), dtype=np.float32)
    text[row >= 0] = graph.text_vectors[row[row >= 0]]
    user, product = (
        torch.from_numpy(column[:stop].astype(np.int64)) for column in (columns.user_index, columns.product_index)
    )
    data = HeteroData()
    data["user"].num_nodes = columns.num_users
    data["product"].x = torch.from_numpy(graph.product_text_vectors.astype(np.float32))
    for edge_type, ends in (
        (("user", "reviews", "product"), (user, product)),
        (("product", "reviewed_by", "user"), (product, user)),
    ):
        data[edge_type].edge_index = torch.stack(ends)
        data[edge_type].text = torch.from_numpy(text)
        data[edge_type].rating = torch.from_numpy(np.array(columns.rating[:stop]))
        data[edge_type].time = torch.from_numpy(np.array(columns.timestamp[:stop]))
    return data
