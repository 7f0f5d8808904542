"""Blocks against a slow reading of what a question may read."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rec_sys.contracts import MILLISECONDS_A_DAY
from rec_sys.graph.block_builder import BlockBuilder
from rec_sys.graph.blocks import Edges, Reviews
from rec_sys.graph.rating_offsets import RatingOffsets, fit_rating_offsets
from tests.review_graphs import ReviewTable, make_builder, make_graph, random_table
from tests.text_width import TEXT_DIM

seeds = st.integers(0, 10_000)


def random_builder(seed: int, **changes: Any) -> BlockBuilder:
    random = np.random.default_rng(seed)
    table = random_table(seed, num_bodies=8, num_reviews=50, has_time=bool(seed % 3))
    graph, _ = make_graph(table, product_text=True)
    user_side, product_side, visible = (random.random(50) < share for share in (0.9, 0.6, 0.7))
    masks = {"user_side": user_side, "product_side": product_side, "text_visible": visible}
    return make_builder(graph, **(masks | changes))


def text_of_edge(builder: BlockBuilder, edge: int, hidden: bool) -> npt.NDArray[np.float16] | None:
    row = builder.graph.text_row[edge]
    visible = builder.text_visible is None or builder.text_visible[edge]
    return builder.graph.text_vectors[row] if row >= 0 and visible and not hidden else None


def assert_edge(
    builder: BlockBuilder, edges: Edges, reviews: Reviews, place: int, edge: int, newest: int, hidden: bool
) -> None:
    """One edge of a block says what its review says."""
    columns = builder.graph.interactions
    review = edges.review[place]
    expected = text_of_edge(builder, edge, hidden)
    assert reviews.has_text[review] == (expected is not None)
    np.testing.assert_array_equal(reviews.text[review], np.zeros(TEXT_DIM) if expected is None else expected)
    assert reviews.rating[review] == (0 if np.isnan(columns.rating[edge]) else columns.rating[edge])
    days = (columns.timestamp[newest] - columns.timestamp[edge]) / MILLISECONDS_A_DAY
    assert edges.age[place] == (days if columns.has_time else -1)


@settings(max_examples=40)
@given(seeds, st.booleans())
def test_user_blocks_hold_the_newest_reviews_of_each_history(seed: int, asks: bool) -> None:
    builder = random_builder(seed)
    columns = builder.graph.interactions
    random = np.random.default_rng(seed + 1)
    users = random.integers(0, columns.num_users, 8)
    before = random.integers(0, columns.num_reviews + 1, 8)
    asked = random.integers(-2, 8, 8).astype(np.int32)
    asked[asked == -1] = -2
    block = builder.build_users(users, before, asked if asks else None)
    assert block.num_queries == 8
    product_offset = builder.offsets.of_products()
    place = 0
    for query in range(8):
        newest_first = builder.sampler.last_reviews_of_users(users[query : query + 1], before[query : query + 1], 5)[0]
        newest_first = newest_first[newest_first >= 0]
        for distance, edge in enumerate(newest_first):
            assert block.edges.row[place] == query
            assert block.edges.distance[place] == distance
            product = block.products.index[block.product_of_edge[place]]
            assert product == columns.product_index[edge]
            hidden = asks and columns.body_index[edge] == asked[query]
            assert_edge(builder, block.edges, block.reviews, place, edge, newest_first[0], hidden)
            place += 1
        known = (
            columns.rating[newest_first] - builder.offsets.mean - product_offset[columns.product_index[newest_first]]
        )
        known = known[~np.isnan(known)]
        assert block.user_offset[query] == pytest.approx(known.sum() / (len(known) + 5), abs=1e-6)
    assert len(block.edges.row) == len(block.edges.age) == len(block.product_of_edge) == place
    # Each product once, each review once for hidden and once for open.
    assert len(block.products.index.unique()) == len(block.products.index)
    assert len(block.reviews.rating) <= 2 * columns.num_reviews
    assert sorted(block.edges.review.unique().tolist()) == list(range(len(block.reviews.rating)))
    of_products = builder.graph.product_text_vectors[block.products.index.numpy()]
    np.testing.assert_array_equal(block.products.text, of_products)
    np.testing.assert_array_equal(block.products.has_text, of_products.any(axis=1))


@settings(max_examples=40)
@given(seeds, st.booleans(), st.integers(0, 50))
def test_product_blocks_hold_the_newest_reviews_before_the_bound(seed: int, asks: bool, before: int) -> None:
    builder = random_builder(seed)
    columns = builder.graph.interactions
    random = np.random.default_rng(seed + 1)
    products = np.sort(random.choice(columns.num_products, 7, replace=False))
    asked = random.integers(0, 8, 3).astype(np.int32)
    block = builder.build_products(products, before, asked if asks else None)
    np.testing.assert_array_equal(block.products.index, products)
    place = 0
    seen = np.flatnonzero(make_visible(builder)[:before])
    for row, product in enumerate(products):
        edges = [edge for edge in seen[::-1] if columns.product_index[edge] == product]
        for distance, edge in enumerate(edges[:3]):
            assert (block.edges.row[place], block.edges.distance[place]) == (row, distance)
            hidden = asks and columns.body_index[edge] in asked
            assert_edge(builder, block.edges, block.reviews, place, edge, edges[0], hidden)
            place += 1
        against_mean = (len(edges) + 1) / (len(seen) / columns.num_products + 1)
        recency = [0.0, 0.0]
        if edges and columns.has_time:
            days = (columns.timestamp[seen[-1]] - columns.timestamp[edges[0]]) / MILLISECONDS_A_DAY
            recency = [np.exp(-days / 30), np.exp(-days / 365)]
        expected = [np.log(against_mean), float(not edges), *recency]
        assert block.activity[row].tolist() == pytest.approx(expected, abs=1e-6)
    assert len(block.edges.row) == place


def make_visible(builder: BlockBuilder) -> npt.NDArray[np.bool_]:
    visible = np.zeros(builder.graph.interactions.num_reviews, dtype=bool)
    visible[builder.sampler.by_product.edges] = True
    return visible


def two_users_of_one_text() -> ReviewTable:
    """User 0 and user 1 wrote body 0 on day 1; user 0 wrote body 1 and user 1 body 0 again later."""
    return ReviewTable(
        2, 3,
        user=np.array([0, 1, 0, 1]), product=np.array([0, 0, 1, 2]), day=np.array([1, 1, 2, 3]),
        body=np.array([0, 0, 1, 0]), rating=np.array([5, 1, 3, 2], dtype=np.float32),
        vector=np.eye(4, TEXT_DIM, dtype=np.float16),
    )  # fmt: skip


def test_a_review_may_be_hidden_from_one_question_and_open_to_another() -> None:
    graph, _ = make_graph(two_users_of_one_text())
    builder = make_builder(graph)
    # The same history, once asked about body 0 and once about body 1.
    block = builder.build_users(np.array([0, 0]), np.array([4, 4]), np.array([0, 1], dtype=np.int32))
    read = block.reviews.has_text[block.edges.review].tolist()
    assert block.edges.row.tolist() == [0, 0, 1, 1]
    assert read == [1, 0, 0, 1]
    assert block.reviews.rating[block.edges.review].tolist() == [3, 5, 3, 5]
    assert len(block.reviews.rating) == 4


def test_a_review_that_several_questions_share_is_read_once() -> None:
    graph, _ = make_graph(two_users_of_one_text())
    block = make_builder(graph).build_users(np.array([0, 0, 0]), np.array([4, 4, 4]))
    assert len(block.edges.row) == 6
    assert len(block.reviews.rating) == 2


def test_the_asked_text_is_hidden_on_other_users_reviews_of_the_products_too() -> None:
    graph, _ = make_graph(two_users_of_one_text())
    builder = make_builder(graph)
    block = builder.build_products(np.arange(3), 4, np.array([0], dtype=np.int32))
    assert block.reviews.has_text[block.edges.review].tolist() == [0, 0, 1, 0]
    assert (block.reviews.text[block.reviews.has_text == 0] == 0).all()


def test_a_question_without_a_text_hides_nothing() -> None:
    table = replace(two_users_of_one_text(), body=np.array([0, -1, 1, -1]))
    block = make_builder(make_graph(table)[0]).build_users(np.array([0]), np.array([4]), np.array([-2], dtype=np.int32))
    assert block.reviews.has_text.tolist() == [1, 1]


def test_without_stars_and_text_products_read_nothing_and_ratings_are_zero() -> None:
    table = replace(random_table(1), body=np.full(60, -1), vector=np.zeros((0, TEXT_DIM), dtype=np.float16))
    table.rating[:] = np.nan
    graph, _ = make_graph(table)
    builder = make_builder(graph)
    assert builder.offsets.mean == 0
    block = builder.build_products(np.arange(11), 60)
    assert len(block.edges.row) == 0
    assert (block.activity == 0).all()
    users = builder.build_users(np.arange(9), np.full(9, 60))
    assert (users.user_offset == 0).all()
    assert (users.reviews.rating == 0).all()
    assert len(users.edges.row) > 0


def test_a_question_without_any_history_has_a_row_and_no_edge() -> None:
    builder = make_builder(make_graph(random_table(1))[0])
    block = builder.build_users(np.array([0, 8, 1]), np.array([0, 60, 0]))
    assert block.num_queries == 3
    assert [len(column) for column in (block.edges.row, block.products.index, block.reviews.rating)] == [0, 0, 0]
    assert block.user_offset.tolist() == [0, 0, 0]


@settings(max_examples=60)
@given(seeds, st.sampled_from([0.0, 0.5, 5.0]))
def test_offsets_are_shrunken_means_and_leave_one_out_equals_a_refit(seed: int, pseudo_counts: float) -> None:
    graph, _ = make_graph(random_table(seed, num_reviews=25))
    columns = graph.interactions
    edges = np.flatnonzero(np.random.default_rng(seed).random(25) < 0.8)
    offsets = fit_rating_offsets(graph, edges, pseudo_counts)
    rated = edges[~np.isnan(columns.rating[edges])]
    mean = columns.rating[rated].mean(dtype=np.float64) if len(rated) else 0.0
    assert offsets.mean == pytest.approx(mean)

    def refit(used: npt.NDArray[np.int64], product: int) -> float:
        stars = [columns.rating[edge] - mean for edge in used if columns.product_index[edge] == product]
        weight = len(stars) + pseudo_counts
        return sum(stars) / weight if weight else 0.0

    of_products = offsets.of_products()
    assert of_products.tolist() == pytest.approx([refit(rated, number) for number in range(11)], abs=1e-5)
    without = offsets.of_products_without(columns.product_index[edges], columns.rating[edges])
    expected = [refit(rated[rated != edge], columns.product_index[edge]) for edge in edges]
    assert without.tolist() == pytest.approx(expected, abs=1e-5)
    assert without.dtype == of_products.dtype == np.float32


def test_the_only_review_of_a_product_leaves_no_offset_behind() -> None:
    # 4.3 has no exact float: without pseudo-counts the smallest rest, divided by nothing, would be hundreds of stars.
    stars = np.float32(4.3)
    offsets = RatingOffsets(2.7123456789, np.array([float(stars) - 2.7123456789]), np.array([1.0]), 0.0)
    assert offsets.of_products_without(np.array([0], np.int32), np.array([stars])).tolist() == [0]
