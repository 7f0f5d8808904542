"""The graph of products that follow one another, against a slow reading of it."""

from collections import defaultdict

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rec_sys.graph.product_hop import Neighbours, ProductHop
from rec_sys.graph.review_graph import ReviewGraph
from tests.review_graphs import make_builder, make_graph, random_table

NUM_REVIEWS, NUM_PRODUCTS = 60, 6

# Edge id of the newer review, older product, newer product, user, weight.
Transition = tuple[int, int, int, int, float]


def some_graph(seed: int) -> ReviewGraph:
    """Reviews without weights, or, of odd seeds, events."""
    size = {"num_reviews": NUM_REVIEWS, "num_users": 7, "num_products": NUM_PRODUCTS}
    return make_graph(random_table(seed, **size, are_events=bool(seed % 2)))[0]


def slow_transitions(graph: ReviewGraph, visible: npt.NDArray[np.bool_]) -> list[Transition]:
    columns = graph.interactions
    says = np.ones(columns.num_reviews) if columns.weight is None else columns.weight
    last: dict[int, int] = {}
    found = []
    for edge in np.flatnonzero(visible):
        user, product = int(columns.user_index[edge]), int(columns.product_index[edge])
        older = last.get(user, edge)
        if columns.product_index[older] != product:
            weight = float(says[older]) * float(says[edge])
            found.append((int(edge), int(columns.product_index[older]), product, user, weight))
        last[user] = int(edge)
    return found


def slow_rows(transitions: list[Transition], products: npt.NDArray[np.int64], limit: int) -> list[dict[int, float]]:
    """For each product its neighbours' summed weights, by the newest `limit` of its transitions."""
    half = defaultdict(list)
    degree: dict[int, float] = defaultdict(float)
    for edge, older, newer, _, weight in transitions:
        for product, other in ((older, newer), (newer, older)):
            half[product].append((edge, other, weight))
            degree[product] += weight
    rows = []
    for product in products:
        row: dict[int, float] = defaultdict(float)
        for _, other, weight in sorted(half[int(product)])[::-1][:limit]:
            row[other] += weight / np.sqrt(degree[int(product)] * degree[other])
        rows.append(dict(row))
    return rows


def rows_of(found: Neighbours, num_rows: int) -> list[dict[int, float]]:
    rows: list[dict[int, float]] = [defaultdict(float) for _ in range(num_rows)]
    for row, product, weight in zip(found.row, found.product, found.weight, strict=True):
        if weight:
            rows[row][int(product)] += float(weight)
    return [dict(row) for row in rows]


def assert_rows(found: Neighbours, expected: list[dict[int, float]]) -> None:
    assert (np.diff(found.row) >= 0).all()
    for row, slow in zip(rows_of(found, len(expected)), expected, strict=True):
        assert row == pytest.approx(slow, rel=1e-4)


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(0, NUM_REVIEWS), st.integers(1, 30))
def test_a_product_reads_its_newest_transitions_before_a_bound(seed: int, before: int, limit: int) -> None:
    graph = some_graph(seed)
    random = np.random.default_rng(seed)
    visible = random.random(NUM_REVIEWS) < 0.8
    products = random.permutation(NUM_PRODUCTS)[:4].astype(np.int64)
    earlier = [transition for transition in slow_transitions(graph, visible) if transition[0] < before]
    assert_rows(ProductHop(graph, visible, limit).read(products, before), slow_rows(earlier, products, limit))


@settings(max_examples=40)
@given(st.integers(0, 10_000))
def test_hidden_users_leave_neither_an_edge_nor_a_degree(seed: int) -> None:
    graph = some_graph(seed)
    visible = np.random.default_rng(seed).random(NUM_REVIEWS) < 0.8
    hidden = np.random.default_rng(seed).choice(7, 3, replace=False)
    others = [transition for transition in slow_transitions(graph, visible) if transition[3] not in hidden]
    hop = ProductHop(graph, visible, limit=1000)
    for products in (np.arange(NUM_PRODUCTS), np.array([1, 4])):
        assert_rows(hop.read_without(np.tile(hidden, 2), products), slow_rows(others, products, limit=1000))


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.booleans())
def test_blocks_hold_the_same_edges_sorted_both_ways(seed: int, hides: bool) -> None:
    builder = make_builder(some_graph(seed), transitions=5)
    random = np.random.default_rng(seed)
    assert builder.hop is not None
    hidden = random.choice(7, 2, replace=False)
    for products in (np.arange(NUM_PRODUCTS), np.sort(random.permutation(NUM_PRODUCTS)[:3])):
        block = builder.build_products(products, 40, hidden_users=hidden if hides else None)
        assert block.hop is not None
        hop = block.hop
        row = np.repeat(np.arange(len(products)), np.diff(hop.offsets))
        product = hop.neighbours.index[hop.neighbour].numpy()
        found = Neighbours(row, product, hop.weight.numpy())
        if hides:
            expected = rows_of(builder.hop.read_without(hidden, products), len(products))
        else:
            expected = rows_of(builder.hop.read(products, 40), len(products))
        assert_rows(found, expected)
        np.testing.assert_array_equal(hop.back_row, row[hop.back_order])
        back = np.repeat(np.arange(len(hop.neighbours.index)), np.diff(hop.back_offsets))
        np.testing.assert_array_equal(back, hop.neighbour[hop.back_order])


def test_nobody_follows_anybody_in_an_empty_graph() -> None:
    hop = ProductHop(some_graph(0), np.zeros(NUM_REVIEWS, dtype=bool), limit=3)
    assert len(hop.read(np.arange(NUM_PRODUCTS), NUM_REVIEWS).row) == 0
    assert len(hop.read_without(np.array([1]), np.arange(NUM_PRODUCTS)).row) == 0
