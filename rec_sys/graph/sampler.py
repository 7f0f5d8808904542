"""The temporal sampler: the newest reviews of these users, or of these products, before these edges.

No future can leak through it: it only ever returns visible edges with an id below the caller's bound. A call costs
`rows * (log2(largest degree) + limit)`, whatever the size of the graph.
"""

import numpy as np
import numpy.typing as npt

from rec_sys import ragged
from rec_sys.data.interactions import BoolArray, IntArray, SmallIntArray
from rec_sys.graph.review_graph import Adjacency, ReviewGraph, build_adjacency


class TemporalSampler:
    """Reads a graph through two masks of visible edges, one for each direction.

    Args:
        graph: The graph.
        user_side: bool `[num_reviews]`, edges that may be read as a user's history; None = all.
        product_side: bool `[num_reviews]`, edges that may be read as a product's reviews; None = all.
    """

    def __init__(
        self, graph: ReviewGraph, user_side: BoolArray | None = None, product_side: BoolArray | None = None
    ) -> None:
        columns = graph.interactions
        self.graph = graph
        self.by_user = _narrow(graph.by_user, columns.user_index, user_side, columns.num_users)
        self.by_product = _narrow(graph.by_product, columns.product_index, product_side, columns.num_products)
        self._product_edges = None if product_side is None else np.flatnonzero(product_side)

    def last_reviews_of_users(self, users: npt.NDArray[np.integer], before: IntArray, limit: int) -> IntArray:
        """The newest `limit` reviews of each user, int `[num_rows]`, with an edge id below its bound in `before`.

        Returns:
            int64 `[num_rows, limit]`, newest first, padded with -1.
        """
        return _last_edges(self.by_user, users, before, limit)

    def next_reviews_of_users(self, users: npt.NDArray[np.integer], after: IntArray, limit: int) -> IntArray:
        """The oldest `limit` reviews of each user with an edge id above `after`: the history, read backwards.

        Returns:
            int64 `[num_rows, limit]`, oldest first, padded with -1.
        """
        start = self.by_user.offsets[users]
        end = self.by_user.offsets[users + 1]
        place = _first_not_below(self.by_user.edges, start, end, after + 1)[:, None] + np.arange(limit)
        return _edges_at(self.by_user, place, place < end[:, None])

    def last_reviews_of_products(self, products: IntArray, before: IntArray, limit: int) -> IntArray:
        """The same for products: int64 `[num_rows, limit]`, newest first, padded with -1."""
        return _last_edges(self.by_product, products, before, limit)

    def count_reviews_of_products(self, products: IntArray, before: int) -> IntArray:
        """How many visible reviews each product has below one edge bound: int64 `[num_rows]`."""
        return count_edges_before(self.by_product, products, before)

    def product_side_before(self, before: int) -> tuple[int, int]:
        """How many reviews the product side sees below one edge bound, and the last of them (-1: there is none).

        Neither may be read off all edges: how many reviews follow the bound, and when, is the future.
        """
        if self._product_edges is None:
            return before, before - 1
        count = int(np.searchsorted(self._product_edges, before))
        return count, int(self._product_edges[count - 1]) if count else -1


def _narrow(whole: Adjacency, node_of_edge: SmallIntArray, visible: BoolArray | None, num_nodes: int) -> Adjacency:
    if visible is None:
        return whole
    return build_adjacency(node_of_edge, np.flatnonzero(visible), num_nodes)


def count_edges_before(adjacency: Adjacency, nodes: npt.NDArray[np.integer], before: int) -> IntArray:
    """How many edges below one bound each node has: int64 `[num_rows]`."""
    start = adjacency.offsets[nodes]
    bounds = np.full(len(nodes), before, dtype=np.int64)
    count: IntArray = _first_not_below(adjacency.edges, start, adjacency.offsets[nodes + 1], bounds) - start
    return count


def sum_before(
    adjacency: Adjacency, cumulative: npt.NDArray[np.float64], nodes: npt.NDArray[np.integer], before: int
) -> npt.NDArray[np.float64]:
    """What the edges below one bound weigh together: float64 `[num_rows]`.

    `cumulative`, float64 `[num_edges + 1]`, holds the sums of the weights up to each place of `adjacency.edges`.
    """
    start = adjacency.offsets[nodes]
    end = start + count_edges_before(adjacency, nodes, before)
    total: npt.NDArray[np.float64] = cumulative[end] - cumulative[start]
    return total


def take_ranges(adjacency: Adjacency, nodes: npt.NDArray[np.integer]) -> IntArray:
    """All edges of some nodes, one node after the other: int64 `[num_edges]`."""
    edges: IntArray = adjacency.edges[ragged.take_rows(adjacency.offsets, nodes)[1]]
    return edges


def last_places(adjacency: Adjacency, nodes: npt.NDArray[np.integer], before: IntArray, limit: int) -> IntArray:
    """Where in `adjacency.edges` the newest edges below the rows' bounds stand.

    Returns:
        int64 `[num_rows, limit]`, newest first, padded with -1.
    """
    start = adjacency.offsets[nodes]
    end = _first_not_below(adjacency.edges, start, adjacency.offsets[nodes + 1], before)
    place = end[:, None] - 1 - np.arange(limit)
    return np.where(place >= start[:, None], place, -1)


def _last_edges(adjacency: Adjacency, nodes: npt.NDArray[np.integer], before: IntArray, limit: int) -> IntArray:
    place = last_places(adjacency, nodes, before, limit)
    return _edges_at(adjacency, place, place >= 0)


def _edges_at(adjacency: Adjacency, place: IntArray, found: BoolArray) -> IntArray:
    return np.where(found, adjacency.edges[np.where(found, place, 0)] if len(adjacency.edges) else -1, -1)


def _first_not_below(values: IntArray, low: IntArray, high: IntArray, bound: IntArray) -> IntArray:
    """Bisection in many ascending segments `values[low:high]` at once: the first place whose value is >= bound."""
    low, high = low.copy(), high.copy()
    while (searching := low < high).any():
        middle = (low + high) // 2
        below = searching & (values[np.where(searching, middle, 0)] < bound)
        low = np.where(below, middle + 1, low)
        high = np.where(searching & ~below, middle, high)
    return low
