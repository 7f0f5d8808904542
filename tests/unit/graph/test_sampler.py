"""The sampler against a slow reading of "the newest L visible reviews before"."""

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from rec_sys.graph.review_graph import ReviewGraph
from rec_sys.graph.sampler import TemporalSampler
from tests.review_graphs import make_graph, random_table

Bools = npt.NDArray[np.bool_]


def slow_last(node_of_edge: npt.NDArray[np.int32], visible: Bools, node: int, before: int, limit: int) -> list[int]:
    edges = [edge for edge in range(before) if node_of_edge[edge] == node and visible[edge]]
    newest = edges[::-1][:limit]
    return newest + [-1] * (limit - len(newest))


def some_graph(seed: int, num_reviews: int) -> ReviewGraph:
    return make_graph(random_table(seed, num_reviews=num_reviews, num_users=7, num_products=5))[0]


@settings(max_examples=100)
@given(st.integers(0, 10_000), st.integers(0, 40), st.integers(0, 9), st.integers(0, 3))
def test_it_finds_what_a_slow_search_finds(seed: int, num_reviews: int, limit: int, masks: int) -> None:
    graph = some_graph(seed, num_reviews)
    columns = graph.interactions
    random = np.random.default_rng(seed)
    user_side, product_side = (random.random(num_reviews) < share for share in (0.7, 0.4))
    sampler = TemporalSampler(graph, user_side if masks & 1 else None, product_side if masks & 2 else None)
    user_side = user_side if masks & 1 else np.ones(num_reviews, bool)
    product_side = product_side if masks & 2 else np.ones(num_reviews, bool)
    before = random.integers(0, num_reviews + 1, 12)
    users, products = random.integers(0, columns.num_users, 12), random.integers(0, columns.num_products, 12)

    found = sampler.last_reviews_of_users(users, before, limit)
    assert found.shape == (12, limit)
    for row, (user, bound) in enumerate(zip(users, before, strict=True)):
        assert found[row].tolist() == slow_last(columns.user_index, user_side, user, bound, limit)
    found = sampler.next_reviews_of_users(users, before, limit)
    for row, (user, bound) in enumerate(zip(users, before, strict=True)):
        later = [edge for edge in range(bound + 1, num_reviews) if columns.user_index[edge] == user and user_side[edge]]
        assert found[row].tolist() == (later + [-1] * limit)[:limit]
    found = sampler.last_reviews_of_products(products, before, limit)
    for row, (product, bound) in enumerate(zip(products, before, strict=True)):
        assert found[row].tolist() == slow_last(columns.product_index, product_side, product, bound, limit)
        slow = np.flatnonzero((columns.product_index == product) & product_side)
        assert sampler.count_reviews_of_products(products, int(bound))[row] == (slow < bound).sum()
        seen = np.flatnonzero(product_side[:bound])
        assert sampler.product_side_before(int(bound)) == (len(seen), seen.max(initial=-1))


def test_no_rows_no_limit_and_no_edges_are_all_answered() -> None:
    nobody = np.zeros(0, dtype=np.int64)
    everyone = np.arange(5)
    for graph in (some_graph(0, 30), some_graph(0, 0)):
        hidden = np.zeros(graph.interactions.num_reviews, dtype=bool)
        for sampler in (TemporalSampler(graph), TemporalSampler(graph, hidden, hidden)):
            assert sampler.last_reviews_of_users(nobody, nobody, 4).shape == (0, 4)
            assert sampler.last_reviews_of_users(everyone, np.full(5, 30), 0).shape == (5, 0)
        assert (sampler.last_reviews_of_products(everyone, np.full(5, 30), 3) == -1).all()
        assert (sampler.count_reviews_of_products(everyone, 30) == 0).all()
        assert sampler.product_side_before(30) == (0, -1)


def test_a_node_without_reviews_beside_one_with_many_stays_empty() -> None:
    table = random_table(4, num_reviews=200, num_users=3, num_products=4)  # the last user and product have none
    sampler = TemporalSampler(make_graph(table)[0])
    bounds = np.full(3, 200)
    assert (sampler.last_reviews_of_users(np.array([2, 1, 0]), bounds, 150)[0] == -1).all()
    assert (sampler.last_reviews_of_products(np.array([3, 3, 0]), bounds, 150)[:2] == -1).all()
