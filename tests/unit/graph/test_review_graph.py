"""The graph on disk and as PyG sees it."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from rec_sys.data.interactions import Interactions
from rec_sys.graph.review_graph import ReviewGraph, assemble_graph, build_adjacency, load_graph, name_graph, save_graph
from tests.review_graphs import make_graph, make_interactions, random_table
from tests.text_width import TEXT_DIM


def assert_same(left: ReviewGraph, right: ReviewGraph) -> None:
    for field in fields(Interactions):
        ours, theirs = (getattr(graph.interactions, field.name) for graph in (left, right))
        np.testing.assert_array_equal(ours, theirs)
        assert getattr(ours, "dtype", type(ours)) == getattr(theirs, "dtype", type(theirs))
    for name in ("text_vectors", "text_row", "product_text_vectors"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))
        assert getattr(left, name).dtype == getattr(right, name).dtype
    for name in ("by_user", "by_product"):
        for part in ("offsets", "edges"):
            np.testing.assert_array_equal(getattr(getattr(left, name), part), getattr(getattr(right, name), part))


@pytest.mark.parametrize("num_reviews", [0, 1, 50])
def test_a_graph_comes_back_from_disk_as_it_was(tmp_path: Path, num_reviews: int) -> None:
    for product_text in (False, True):
        graph, _ = make_graph(random_table(3, num_reviews=num_reviews), product_text=product_text)
        save_graph(graph, tmp_path / f"graph {product_text}")
        assert_same(load_graph(tmp_path / f"graph {product_text}"), graph)


def test_a_graph_without_any_text_comes_back_from_disk(tmp_path: Path) -> None:
    graph = assemble_graph(make_interactions(random_table(3))[0])
    save_graph(graph, tmp_path / "graph")
    loaded = load_graph(tmp_path / "graph")
    assert_same(loaded, graph)
    assert not loaded.has_text
    assert not loaded.has_product_text
    assert loaded.has_rating


def test_vectors_of_any_float_type_are_halved_on_disk(tmp_path: Path) -> None:
    table = random_table(3, num_reviews=20)
    interactions, order = make_interactions(table)
    wide = np.random.default_rng(0).normal(size=(20, TEXT_DIM))
    save_graph(assemble_graph(interactions, wide, order.astype(np.int32)), tmp_path / "graph")
    loaded = load_graph(tmp_path / "graph")
    np.testing.assert_array_equal(loaded.text_vectors, wide.astype(np.float16))


def test_the_columns_of_a_loaded_graph_stay_on_disk(tmp_path: Path) -> None:
    save_graph(make_graph(random_table(3))[0], tmp_path / "graph")
    loaded = load_graph(tmp_path / "graph")
    assert isinstance(loaded.text_vectors, np.memmap)
    assert isinstance(loaded.interactions.timestamp, np.memmap)


def test_the_edges_of_a_node_are_those_that_name_it_in_time_order() -> None:
    node_of_edge = np.array([2, 0, 2, 2, 0, 1], dtype=np.int32)
    adjacency = build_adjacency(node_of_edge, np.array([0, 2, 4, 5]), 4)
    assert adjacency.offsets.tolist() == [0, 1, 2, 4, 4]
    assert adjacency.edges.tolist() == [4, 5, 0, 2]


def test_a_graph_is_named_by_what_shapes_it() -> None:
    names = {name_graph(text=text, tie_break="hash", seed=seed) for text in ("a", "b") for seed in (0, 1)}
    assert len(names) == 4
    assert name_graph(seed=0, text="a", tie_break="hash") in names


def test_a_graph_without_stars_says_so() -> None:
    table = random_table(1)
    table.rating[:] = np.nan
    assert not make_graph(table)[0].has_rating
