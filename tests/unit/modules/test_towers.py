"""Both towers over real blocks, in their sparse and their dense form."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rec_sys.graph.block_builder import BlockBuilder
from rec_sys.modules.review_graph_model import ReviewGraphModel
from rec_sys.modules.tower_export import ProductTowerExport, UserTowerExport
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

CONVOLUTIONS = ["transformer_conv", "gat"]


def make_model(convolution: str = "transformer_conv", **changes: Any) -> ReviewGraphModel:
    """A model that has forgotten its zero initialisations, so that no part of it is silent."""
    torch.manual_seed(0)
    settings = small_model_settings(convolution=convolution, **changes)
    model = ReviewGraphModel(11, TEXT_DIM, settings, small_graph_settings()).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() == 1 or name.endswith("place.evidence"):
                weight.add_(torch.randn_like(weight) * 0.3)
            if name.endswith("_id.weight"):
                weight[-1].zero_()
    return model


same_model = cache(make_model)  # for tests that only ask


def some_builder(seed: int, product_text: bool = True) -> BlockBuilder:
    table = random_table(seed, has_time=bool(seed % 2), are_events=seed % 3 == 0)
    graph, _ = make_graph(table, product_text=product_text)
    return make_builder(graph)


@settings(max_examples=20)
@given(st.integers(0, 1000), st.sampled_from(CONVOLUTIONS), st.booleans())
def test_the_exported_user_tower_is_the_trained_one(seed: int, convolution: str, product_text: bool) -> None:
    builder, model = some_builder(seed, product_text), same_model(convolution)
    users = np.arange(builder.graph.interactions.num_users)  # the last has no review
    block = builder.build_users(users, np.random.default_rng(seed).integers(0, 61, len(users)))
    with torch.inference_mode():
        sparse = model.user_tower.to_ranking(model.encode_users(block))
        inputs = model.product_tower.read_inputs(block.products.index, block.products.text, block.products.has_text)
        inputs = pad_edges(block.edges, inputs[block.product_of_edge], len(users), 5)
        dense, weights = UserTowerExport(model)(inputs, *pad_reviews(block, len(users), 5))
    torch.testing.assert_close(sparse, dense, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(sparse.norm(dim=1), torch.ones(len(users)))
    has_any = torch.bincount(block.edges.row, minlength=len(users)) > 0
    assert not has_any[-1]
    torch.testing.assert_close(weights.sum(dim=1), has_any.float(), atol=1e-6, rtol=0)


@settings(max_examples=20)
@given(st.integers(0, 1000), st.sampled_from(CONVOLUTIONS), st.integers(0, 60))
def test_the_exported_product_tower_is_the_trained_one_without_ids(seed: int, convolution: str, before: int) -> None:
    builder, model = some_builder(seed), same_model(convolution)
    block = builder.build_products(np.arange(11), before)
    with torch.inference_mode():
        hidden = model.encode_products(block, hide_ids=torch.ones(11, dtype=torch.bool))
        products = block.products
        dense, _ = ProductTowerExport(model)(
            products.text.float(), products.has_text, block.activity, *pad_reviews(block, 11, 3)
        )
    torch.testing.assert_close(model.product_tower.to_ranking(hidden), dense, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("convolution", CONVOLUTIONS)
def test_users_depend_on_their_own_reviews_alone(convolution: str) -> None:
    builder, model = some_builder(1), make_model(convolution)
    with torch.inference_mode():
        alone = torch.cat(
            [model.encode_users(builder.build_users(np.array([user]), np.array([60]))) for user in range(9)]
        )
        together = model.encode_users(builder.build_users(np.arange(9)[::-1].copy(), np.full(9, 60)))
    torch.testing.assert_close(alone.flip(0), together, atol=1e-5, rtol=1e-5)
    assert torch.pdist(alone).min() > 1e-3  # and no two users are the same


def test_hidden_ids_change_the_candidates_and_a_product_may_be_known_by_its_id_alone() -> None:
    builder, model = some_builder(1), make_model()
    block = builder.build_products(np.arange(11), 60)
    hide = torch.zeros(11, dtype=torch.bool)
    hide[4] = True
    with torch.inference_mode():
        change = (model.encode_products(block) - model.encode_products(block, hide)).abs().amax(dim=1)
    assert change[4] > 1e-2
    assert (change[torch.arange(11) != 4] == 0).all()


def test_a_hidden_id_is_the_zero_vector_before_and_after_an_optimiser_step() -> None:
    builder, model = some_builder(1), make_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    block = builder.build_products(np.arange(11), 60)
    users = builder.build_users(np.arange(8), np.full(8, 60))
    for _ in range(2):
        assert (model.product_tower.output_id.weight[11] == 0).all()
        assert (model.product_tower.input_id.weight[11] == 0).all()
        before = model.product_tower.output_id.weight.detach().clone()
        hidden = model.encode_products(block, hide_ids=torch.arange(11) % 2 == 0)
        model.rank(model.encode_users(users), hidden).square().sum().backward()
        optimizer.step()
        assert not torch.equal(model.product_tower.output_id.weight, before)


def test_without_product_ids_the_tables_are_zero_and_stay_so() -> None:
    model = make_model(product_ids=False)
    for table in (model.product_tower.input_id, model.product_tower.output_id):
        assert not table.weight.requires_grad
        assert (table.weight == 0).all()


def test_a_product_without_any_review_is_what_is_known_of_it() -> None:
    builder, model = some_builder(1), make_model()
    nothing = builder.build_products(np.arange(11), 0)
    assert len(nothing.edges.row) == 0
    with torch.inference_mode():
        hidden = model.encode_products(nothing)
        tower = model.product_tower
        described = tower.output_id.weight[:11] + tower.activity(nothing.activity)
        text = torch.from_numpy(builder.graph.product_text_vectors)
        described = described + tower.output_text(text, (text != 0).any(dim=1).float())
    torch.testing.assert_close(hidden, described)


def test_an_empty_history_answers_with_the_learned_stranger() -> None:
    builder, model = some_builder(1), make_model()
    with torch.inference_mode():
        hidden = model.encode_users(builder.build_users(np.array([3, 8]), np.array([0, 60])))
        stranger = model.user_tower.feed_forward(model.user_tower.unknown)
    torch.testing.assert_close(hidden, stranger.expand(2, -1))


@pytest.mark.parametrize("convolution", CONVOLUTIONS)
def test_every_part_of_the_model_learns_from_a_full_block(convolution: str) -> None:
    model = make_model(convolution, fit_temperature=True)
    builder = some_builder(3)  # of events
    users = builder.build_users(np.arange(9), np.full(9, 60))
    products = builder.build_products(np.arange(11), 60)
    later = builder.build_users(np.arange(9), np.full(9, -1), backwards=True)
    hidden, answers = model.encode_users(users) + model.encode_users(later), model.encode_products(products)
    stars = model.rate(hidden, answers[:9], users.user_offset, torch.zeros(9))
    (model.rank(hidden, answers).square().sum() + stars.square().sum()).backward()
    silent = [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    # PyG makes a projection of the destination that it does not use without a root weight.
    assert [name for name in silent if "lin_skip" not in name] == []


def test_text_dim_is_what_the_projections_take() -> None:
    assert make_model().product_tower.input_text.linear.in_features == TEXT_DIM
