"""What training exports answers like what it trained: both convolutions, over blocks of a real graph."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor

from rec_sys.contracts import TowerFile
from rec_sys.modules.review_graph_model import ReviewGraphModel
from rec_sys.modules.tower_export import export_towers
from tests.review_graphs import (
    make_builder,
    make_graph,
    pad_edges,
    pad_reviews,
    random_table,
    small_graph_settings,
    small_model_settings,
)
from tests.text_width import TEXT_DIM

NUM_USERS, NUM_PRODUCTS = 9, 11


def ask(model: bytes, inputs: list[Tensor]) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    return session.run(None, {name: value.numpy() for name, value in zip(names, inputs, strict=True)})


@pytest.mark.parametrize("convolution", ["transformer_conv", "gat"])
def test_onnxruntime_answers_as_message_passing_does(convolution: str) -> None:
    torch.manual_seed(0)
    model = ReviewGraphModel(
        NUM_PRODUCTS, TEXT_DIM, small_model_settings(convolution=convolution), small_graph_settings()
    ).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            # Vectors that start at zero could hide a difference; the row of unknown products stays zero.
            weight.add_(torch.randn_like(weight) * 0.2 * ("_id." not in name))
    towers = export_towers(model, user_reviews=5, product_reviews=3)
    for has_time in (True, False):
        builder = make_builder(make_graph(random_table(3, has_time=has_time), product_text=True)[0])
        users = builder.build_users(np.arange(NUM_USERS), np.full(NUM_USERS, 60))  # the last has no review
        products = builder.build_products(np.arange(NUM_PRODUCTS), 60)
        with torch.inference_mode():
            hidden = model.encode_users(users)
            in_history = users.products
            read = model.product_tower.read_inputs(in_history.index, in_history.text, in_history.has_text)
            unknown = model.encode_products(products, hide_ids=torch.ones(NUM_PRODUCTS, dtype=torch.bool))
        read = pad_edges(users.edges, read[users.product_of_edge], NUM_USERS, 5)
        vectors, weights = ask(towers[TowerFile.USER], [read, *pad_reviews(users, NUM_USERS, 5)])
        np.testing.assert_allclose(vectors, model.user_tower.to_ranking(hidden).detach(), atol=1e-5)
        np.testing.assert_allclose(weights.sum(axis=1), [1] * 8 + [0], atol=1e-5)
        described = [products.products.text.float(), products.products.has_text, products.activity]
        vectors, _ = ask(towers[TowerFile.PRODUCT], [*described, *pad_reviews(products, NUM_PRODUCTS, 3)])
        np.testing.assert_allclose(vectors, model.product_tower.to_ranking(unknown).detach(), atol=1e-5)
