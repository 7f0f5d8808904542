"""Towers out of the memory alone: they order as the memory does, and know what is popular and what texts say."""

import numpy as np
import pytest
import torch
from scipy import sparse

from rec_sys.graph.blocks import UserBlock
from rec_sys.modules.memory import CoReviewMemory
from rec_sys.modules.memory_towers import factorise, set_memory_towers
from rec_sys.modules.review_graph_model import ReviewGraphModel
from tests.review_graphs import make_builder, make_graph, random_table, small_graph_settings, small_model_settings
from tests.text_width import TEXT_DIM

NUM_PRODUCTS = 15
REVIEWED = np.arange(NUM_PRODUCTS) * 3


def memory_of_rank(rank: int, silent: tuple[int, ...] = ()) -> CoReviewMemory:
    random = np.random.default_rng(0)
    matrix = random.normal(size=(NUM_PRODUCTS, rank)) @ random.normal(size=(rank, NUM_PRODUCTS))
    matrix[list(silent)] = matrix[:, list(silent)] = 0
    return CoReviewMemory(sparse.csr_matrix(matrix.astype(np.float32)))


def model_of(memory: CoReviewMemory, texts: torch.Tensor | None = None, **changes: object) -> ReviewGraphModel:
    settings = small_model_settings(tower="none", **changes)
    model = ReviewGraphModel(NUM_PRODUCTS, TEXT_DIM, settings, small_graph_settings())
    texts = torch.zeros(NUM_PRODUCTS, TEXT_DIM) if texts is None else texts
    set_memory_towers(model, memory, REVIEWED, texts, seed=0)
    return model.eval()


def cosines(model: ReviewGraphModel, block: UserBlock, texts: torch.Tensor | None = None) -> np.ndarray:
    """float `[num_queries, num_products]`."""
    texts = torch.zeros(NUM_PRODUCTS, TEXT_DIM) if texts is None else texts
    tower = model.product_tower
    with torch.no_grad():
        products = tower.output_id.weight[:-1] + tower.output_text(texts, (texts != 0).any(dim=1).float())
        users = model.encode_users(block)
        return (model.user_tower.to_ranking(users) @ tower.to_ranking(products).T).numpy()


def some_users() -> tuple[UserBlock, np.ndarray]:
    """Histories, and each product's share in them: the mean, and the newest product once more."""
    graph, _ = make_graph(random_table(4, num_reviews=60, num_products=NUM_PRODUCTS))
    builder = make_builder(graph)
    block = builder.build_users(np.arange(5, dtype=np.int32), np.array([60, 60, 60, 60, 0]))  # nothing before 0
    shares = np.zeros((5, NUM_PRODUCTS))
    index = block.products.index[block.product_of_edge].numpy()
    row = block.edges.row.numpy()
    np.add.at(shares, (row, index), 1 / np.bincount(row, minlength=5)[row])
    np.add.at(shares, (row[block.edges.distance.numpy() == 0], index[block.edges.distance.numpy() == 0]), 1.0)
    return block, shares


def test_factors_that_are_wide_enough_multiply_to_the_memory() -> None:
    memory = memory_of_rank(4)
    inputs, outputs = factorise(memory, 6, seed=0)
    np.testing.assert_allclose(inputs @ outputs.T, memory.matrix.toarray(), atol=1e-4)
    np.testing.assert_allclose(inputs[:, 4:], 0, atol=1e-2)


@pytest.mark.parametrize("convolution", ["transformer_conv", "gat"])
def test_users_order_products_as_the_memory_does_but_for_the_length_of_the_factors(convolution: str) -> None:
    memory = memory_of_rank(5)
    block, shares = some_users()
    found = cosines(model_of(memory, convolution=convolution), block)
    lengths = np.linalg.norm(factorise(memory, 15, seed=0)[1], axis=1)
    remembered = shares @ memory.matrix.toarray() / lengths
    for row in np.flatnonzero(shares.any(axis=1)):
        # What is popular moves them a little.
        assert np.corrcoef(found[row], remembered[row])[0, 1] > 0.95


def test_somebody_unknown_gets_what_is_popular() -> None:
    block, shares = some_users()
    nobody = np.flatnonzero(~shares.any(axis=1))
    assert len(nobody)
    order = np.argsort(-cosines(model_of(memory_of_rank(5, silent=(0, 7))), block)[nobody[0]])
    np.testing.assert_array_equal(order, np.argsort(-REVIEWED))


def test_a_product_without_a_vector_stands_where_its_text_does() -> None:
    texts = torch.from_numpy(np.random.default_rng(1).normal(size=(NUM_PRODUCTS, TEXT_DIM))).float()
    model = model_of(memory_of_rank(5), texts)
    tower = model.product_tower
    placed = tower.to_ranking(tower.output_text(texts, torch.ones(NUM_PRODUCTS)))
    with_vector = tower.to_ranking(tower.output_id.weight[:-1] + tower.output_text(texts, torch.ones(NUM_PRODUCTS)))
    likeness = (placed @ with_vector.T).detach().numpy()
    assert np.mean(likeness.argmax(axis=1) == np.arange(NUM_PRODUCTS)) > 0.6


def test_somebody_unknown_gets_no_new_product_before_one_that_has_reviews() -> None:
    texts = torch.from_numpy(np.random.default_rng(1).normal(size=(NUM_PRODUCTS, TEXT_DIM))).float()
    model = model_of(memory_of_rank(5), texts)
    block, shares = some_users()
    stranger = model.encode_users(block)[np.flatnonzero(~shares.any(axis=1))[0]]
    others = torch.from_numpy(np.random.default_rng(2).normal(size=(40, TEXT_DIM))).float()
    for has_text in (0.0, 1.0):
        new = model.product_tower.to_ranking(model.product_tower.output_text(others, torch.full((40,), has_text)))
        # Of those reviewed the least has three reviews; the first has none.
        assert float((new @ stranger).abs().max()) < 1e-6
    assert np.partition(cosines(model, block, texts)[np.flatnonzero(~shares.any(axis=1))[0]], 1)[1] > 1e-3


def test_the_towers_never_overrule_the_memory() -> None:
    model = model_of(memory_of_rank(5))
    assert 1 / model.temperature < 1e-6
    assert model.rating_scale.item() == 0
