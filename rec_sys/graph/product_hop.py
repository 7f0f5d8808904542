"""Which products follow one another in somebody's reviews: the edges of one hop between products.

A hop's edge carries the id of the newer of its two reviews, and a product vector reads, like everything else, only
edges before a bound. Where there is no time that could be a bound, the transitions of the users who are being asked
about are left out instead: either way no vector has read the transition that is being predicted.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from rec_sys import ragged
from rec_sys.data.interactions import BoolArray, FloatArray, IntArray
from rec_sys.graph.review_graph import Adjacency, ReviewGraph, build_adjacency
from rec_sys.graph.sampler import count_edges_before, last_places, sum_before, take_ranges

_LEAST: Final = 1e-12  # of two degrees: sums of weights that have decayed to nothing


@dataclass(frozen=True)
class Neighbours:
    """The neighbours of some products, by row.

    Attributes:
        row: int64 `[num_edges]`, ascending.
        product: int64 `[num_edges]`, product index of the neighbour.
        weight: float32 `[num_edges]`, the transition's weight over sqrt(degree of the row's product * degree of the
            neighbour), both summed over what may be read.
    """

    row: IntArray
    product: IntArray
    weight: FloatArray


class ProductHop:
    """The symmetric graph of products that follow one another, without self-loops.

    Edges are weighted by D^-1/2 A D^-1/2, the symmetric normalisation of graph convolutions (Kipf, Welling 2017,
    arXiv 1609.02907, eq. 2; without self-loops and without weights to learn as in LightGCN, He et al. 2020, arXiv
    2002.02126, eq. 3). A is 1, or the product of the weights of two events. That products which follow one another in
    a session are neighbours is from SR-GNN (Wu et al. 2019, arXiv 1811.00855).

    Args:
        graph: The graph.
        visible: bool `[num_reviews]`, the reviews that may be read (the train split).
        limit: Most transitions of a product that are read, the newest.
    """

    def __init__(self, graph: ReviewGraph, visible: BoolArray, limit: int) -> None:
        columns = graph.interactions
        edge = np.flatnonzero(visible)
        edge = edge[np.argsort(columns.user_index[edge], kind="stable")]
        older, newer = edge[:-1], edge[1:]
        follows = columns.user_index[older] == columns.user_index[newer]
        follows &= columns.product_index[older] != columns.product_index[newer]
        older, newer = older[follows], newer[follows]
        ends = [columns.product_index[side].astype(np.int64) for side in (older, newer)]
        # Every transition is two half-edges: a product that reads, and the other that is read.
        reader, other, bound = np.concatenate(ends), np.concatenate(ends[::-1]), np.tile(newer, 2)
        order = np.lexsort((bound, reader))  # by product, then by time
        offsets = ragged.offsets_of(np.bincount(reader, minlength=columns.num_products))
        self.num_products = columns.num_products
        self.limit = limit
        self._by_product = Adjacency(offsets, bound[order])
        self._reader, self._other = reader[order], other[order]
        self._user = np.tile(columns.user_index[newer], 2)[order]
        self._weight: FloatArray | None = None
        if columns.weight is not None:
            self._weight = np.tile(columns.weight[older] * columns.weight[newer], 2)[order]
            self._cumulative = np.concatenate([[0.0], np.cumsum(self._weight, dtype=np.float64)])
        self._by_user = build_adjacency(self._user, np.arange(len(order)), columns.num_users)

    def read(self, products: IntArray, before: int) -> Neighbours:
        """The neighbours of products, int64 `[num_rows]`, by transitions with a newer review below `before`."""
        bounds = np.full(len(products), before, dtype=np.int64)
        place = last_places(self._by_product, products, bounds, self.limit)
        row, _ = np.nonzero(place >= 0)
        other = self._other[place[place >= 0]]
        distinct, back = np.unique(other, return_inverse=True)
        degree = self._degrees(distinct, before)[back]
        own = self._degrees(products, before)[row]
        weight = 1.0 if self._weight is None else self._weight[place[place >= 0]]
        return Neighbours(row, other, (weight / np.sqrt(np.maximum(own * degree, _LEAST))).astype(np.float32))

    def _degrees(self, products: IntArray, before: int) -> npt.NDArray[np.number]:
        if self._weight is None:
            return count_edges_before(self._by_product, products, before)
        return sum_before(self._by_product, self._cumulative, products, before)

    def read_without(self, users: npt.NDArray[np.integer], products: IntArray) -> Neighbours:
        """All neighbours, some users' transitions hidden: these weigh 0 and count in no degree.

        They still take their place among the newest `limit`.

        Args:
            users: int `[n]`, whose transitions are hidden.
            products: int64 `[num_rows]`, ascending.
        """
        row, place = self._whole if len(products) == self.num_products else self._newest(products)
        unread = take_ranges(self._by_user, np.unique(users))
        read = np.ones(len(self._other), dtype=np.float32) if self._weight is None else self._weight.copy()
        read[unread] = 0
        degree = np.bincount(self._reader, read, minlength=self.num_products)
        scale = (1 / np.sqrt(np.where(degree > 0, degree, 1))).astype(np.float32)
        other = self._other[place]
        return Neighbours(row, other, scale[products[row]] * scale[other] * read[place])

    @cached_property
    def _whole(self) -> tuple[IntArray, IntArray]:
        return self._newest(np.arange(self.num_products, dtype=np.int64))

    def _newest(self, products: IntArray) -> tuple[IntArray, IntArray]:
        """Row and place of the newest half-edges of some products."""
        bounds = np.full(len(products), np.iinfo(np.int64).max)
        place = last_places(self._by_product, products, bounds, self.limit)
        return np.nonzero(place >= 0)[0], place[place >= 0]
