"""Makes blocks: picks what a batch may read, each review once, and turns it into tensors."""

from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from rec_sys import ragged
from rec_sys.contracts import MILLISECONDS_A_DAY
from rec_sys.data.interactions import BoolArray, FloatArray, IntArray, SmallIntArray
from rec_sys.graph.blocks import NUM_ACTIVITIES, Edges, Hop, ProductBlock, Products, Reviews, UserBlock
from rec_sys.graph.product_hop import Neighbours, ProductHop
from rec_sys.graph.rating_offsets import RatingOffsets, shrunken_means
from rec_sys.graph.sampler import TemporalSampler

LEAST_EVIDENCE: Final = 0.01  # weights below are read as this: an event of long ago has its age to tell it


def log_evidence(weights: FloatArray | None) -> FloatArray:
    """Log of weights, float32 `[num_edges]`, none below `LEAST_EVIDENCE`; empty for None."""
    given = np.empty(0, dtype=np.float32) if weights is None else weights
    return np.log(np.maximum(given, np.float32(LEAST_EVIDENCE)))


class BlockBuilder:
    """Builds blocks through a sampler.

    Args:
        sampler: Decides which edges may be read.
        text_visible: bool `[num_reviews]`, whose text may be read; None = all.
        offsets: Rating offsets fitted on train edges.
        user_limit: Most reviews of a user.
        product_limit: Most reviews of a product.
        hop: Which products follow one another, in what the product side sees; None = products have no neighbours.
        of_kind: bool `[num_reviews]`, whether a review is of a kind that is predicted; None = all are.
    """

    def __init__(
        self,
        sampler: TemporalSampler,
        text_visible: BoolArray | None,
        offsets: RatingOffsets,
        user_limit: int,
        product_limit: int,
        hop: ProductHop | None = None,
        of_kind: BoolArray | None = None,
    ) -> None:
        self.graph = sampler.graph
        self.sampler = sampler
        self.text_visible = text_visible
        self.offsets = offsets
        self.user_limit = user_limit
        self.product_limit = product_limit if self.graph.has_text or self.graph.has_rating else 0
        self.hop = hop
        self.of_kind = of_kind
        self._whole_hop: Hop | None = None
        self._product_offset = offsets.of_products()
        self._product_has_text = np.any(self.graph.product_text_vectors, axis=1)
        self._any_product_text = bool(self._product_has_text.any())

    def build_users(
        self,
        users: npt.NDArray[np.integer],
        before: IntArray,
        asked_bodies: SmallIntArray | None = None,
        backwards: bool = False,
    ) -> UserBlock:
        """The histories of some users.

        Args:
            users: int `[num_queries]`.
            before: int64 `[num_queries]`, exclusive edge bounds.
            asked_bodies: int32 `[num_queries]`, text of the review that is being predicted: never read, wherever
                else it stands in the history; None = nothing to hide.
            backwards: The reviews *above* the bounds instead, the oldest of them nearest. For training alone.
        """
        read = self.sampler.next_reviews_of_users if backwards else self.sampler.last_reviews_of_users
        picked = read(users, before, self.user_limit)
        row, distance = np.nonzero(picked >= 0)
        edge = picked[row, distance]
        columns = self.graph.interactions
        hidden = np.zeros(len(edge), dtype=bool)
        if asked_bodies is not None:
            hidden = columns.body_index[edge] == asked_bodies[row]
        # The same review may be hidden from one query and open to another: two rows of `Reviews` then.
        distinct, review = np.unique(edge * 2 + hidden, return_inverse=True)
        product, product_of_edge = np.unique(columns.product_index[edge], return_inverse=True)
        deviation = columns.rating[edge] - self.offsets.mean - self._product_offset[columns.product_index[edge]]
        rated = ~np.isnan(deviation)
        offset = shrunken_means(row[rated], deviation[rated], len(users), self.offsets.pseudo_counts)
        return UserBlock(
            num_queries=len(users),
            edges=self._edges(picked, row, distance, edge, review),
            product_of_edge=torch.from_numpy(product_of_edge),
            products=self._products(product.astype(np.int64)),
            reviews=self._reviews(distinct // 2, (distinct % 2).astype(bool)),
            user_offset=torch.from_numpy(offset.astype(np.float32)),
            known=torch.from_numpy(np.ones(len(edge), dtype=np.bool_) if self.of_kind is None else self.of_kind[edge]),
            backwards=backwards,
        )

    def build_products(
        self,
        products: IntArray,
        before: int,
        asked_bodies: SmallIntArray | None = None,
        hidden_users: npt.NDArray[np.integer] | None = None,
    ) -> ProductBlock:
        """Some products with their newest reviews before one edge.

        Args:
            products: int64 `[num_rows]`.
            before: Exclusive edge bound.
            asked_bodies: int32 `[n]`, texts of the reviews that are being predicted: never read here.
            hidden_users: int `[m]`, users whose transitions between products are not read, instead of a bound on
                them; for batches that are no windows of time.
        """
        bounds = np.full(len(products), before, dtype=np.int64)
        picked = self.sampler.last_reviews_of_products(products, bounds, self.product_limit)
        row, distance = np.nonzero(picked >= 0)
        edge = picked[row, distance]
        distinct, review = np.unique(edge, return_inverse=True)
        hidden = np.zeros(len(distinct), dtype=bool)
        if asked_bodies is not None:
            hidden = np.isin(self.graph.interactions.body_index[distinct], asked_bodies)
        return ProductBlock(
            products=self._products(products),
            activity=torch.from_numpy(self._activity(products, picked, before)),
            edges=self._edges(picked, row, distance, edge, review),
            reviews=self._reviews(distinct, hidden),
            hop=self._hop(products, before, hidden_users),
        )

    def _hop(self, products: IntArray, before: int, hidden_users: npt.NDArray[np.integer] | None) -> Hop | None:
        if self.hop is None:
            return None
        if hidden_users is None:
            return self._connect(self.hop.read(products, before), len(products))
        found = self.hop.read_without(hidden_users, products)
        if len(products) < self.hop.num_products:
            return self._connect(found, len(products))
        # The same edges in every batch, only their weights differ.
        self._whole_hop = self._whole_hop or self._connect(found, len(products))
        return replace(self._whole_hop, weight=torch.from_numpy(found.weight))

    def _connect(self, found: Neighbours, num_rows: int) -> Hop:
        distinct, neighbour = np.unique(found.product, return_inverse=True)
        offsets, _ = ragged.group_rows(found.row, num_rows)
        back_offsets, order = ragged.group_rows(neighbour, len(distinct))
        return Hop(
            neighbours=self._products(distinct),
            offsets=torch.from_numpy(offsets),
            neighbour=torch.from_numpy(neighbour),
            weight=torch.from_numpy(found.weight),
            back_offsets=torch.from_numpy(back_offsets),
            back_row=torch.from_numpy(found.row[order]),
            back_order=torch.from_numpy(order),
        )

    def _activity(self, products: IntArray, picked: IntArray, before: int) -> FloatArray:
        columns = self.graph.interactions
        activity = np.zeros((len(products), NUM_ACTIVITIES), dtype=np.float32)
        if self.product_limit == 0:
            # Training draws its batches at random then, so it never sees the popularity that holds in use.
            return activity
        count = self.sampler.count_reviews_of_products(products, before)
        total, last = self.sampler.product_side_before(before)
        mean = total / columns.num_products
        activity[:, 0] = np.log((count + 1) / (mean + 1))
        activity[:, 1] = count == 0
        if columns.has_time and last >= 0:
            reviewed = picked[:, 0] >= 0
            days = (columns.timestamp[last] - columns.timestamp[picked[reviewed, 0]]) / MILLISECONDS_A_DAY
            activity[reviewed, 2] = np.exp(-days / 30)
            activity[reviewed, 3] = np.exp(-days / 365)
        return activity

    def _edges(self, picked: IntArray, row: IntArray, distance: IntArray, edge: IntArray, review: IntArray) -> Edges:
        columns = self.graph.interactions
        age = np.full(len(edge), -1.0, dtype=np.float32)
        if columns.has_time and len(edge):
            newest = columns.timestamp[picked[row, 0]]
            age = (np.abs(newest - columns.timestamp[edge]) / MILLISECONDS_A_DAY).astype(np.float32)
        return Edges(
            row=torch.from_numpy(np.ascontiguousarray(row)),  # numpy's nonzero gives columns of one array
            review=torch.from_numpy(review),
            distance=torch.from_numpy(np.ascontiguousarray(distance)),
            age=torch.from_numpy(age),
            evidence=torch.from_numpy(log_evidence(columns.weights_of(edge))),
        )

    def _reviews(self, edge: IntArray, hidden: BoolArray) -> Reviews:
        text_row = np.where(hidden, -1, self.graph.text_row[edge])
        if self.text_visible is not None:
            text_row = np.where(self.text_visible[edge], text_row, -1)
        present = text_row >= 0
        text = np.zeros((len(edge) * self.graph.has_text, self.graph.product_text_vectors.shape[1]), dtype=np.float16)
        if self.graph.has_text:
            text[present] = self.graph.text_vectors[text_row[present]]
        return Reviews(
            text=torch.from_numpy(text),
            has_text=torch.from_numpy(present.astype(np.float32)),
            rating=torch.from_numpy(np.nan_to_num(np.asarray(self.graph.interactions.rating[edge]), nan=0.0)),
        )

    def _products(self, index: IntArray) -> Products:
        return Products(
            index=torch.from_numpy(index),
            text=torch.from_numpy(np.asarray(self.graph.product_text_vectors[index if self._any_product_text else []])),
            has_text=torch.from_numpy(self._product_has_text[index].astype(np.float32)),
        )
