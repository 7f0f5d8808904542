"""What baselines are given: the reviews to learn from, and the histories of those who ask."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from rec_sys import ragged
from rec_sys.data.interactions import FloatArray, IntArray, Interactions, SmallIntArray
from rec_sys.data.queries import Queries

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


@dataclass(frozen=True)
class Histories:
    """What some users have reviewed, oldest first.

    Attributes:
        user_index: int32 `[num_histories]`; -1 = nobody of the data.
        offsets: int64 `[num_histories + 1]`, into the next.
        products: int32 `[length]`.
        text_row: int32 `[length]`, row of `TrainingReviews.text_vectors`; -1 = no text that may be read.
        weight: float32 `[length]`, how much each says beside others; None where all say the same.
    """

    user_index: SmallIntArray
    offsets: IntArray
    products: SmallIntArray
    text_row: SmallIntArray
    weight: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.user_index)

    @classmethod
    def of_queries(cls, queries: Queries, interactions: Interactions, text_row: SmallIntArray | None = None) -> Self:
        """The histories of a split's questions; `text_row` is int32 `[num_reviews]`, of all reviews; None: no texts."""
        edges = queries.history_edges
        rows = np.full(len(edges), -1, np.int32) if text_row is None else text_row[edges]
        weight = interactions.weights_of(edges)
        return cls(queries.user_index, queries.history_offsets, queries.history_products, rows, weight)

    def take(self, rows: npt.NDArray[np.integer]) -> "Histories":
        """Some of the histories."""
        offsets, entries = ragged.take_rows(self.offsets, rows)
        weight = None if self.weight is None else self.weight[entries]
        return Histories(self.user_index[rows], offsets, self.products[entries], self.text_row[entries], weight)

    def lengths(self) -> IntArray:
        """int64 `[num_histories]`."""
        return np.diff(self.offsets)

    def rows(self) -> IntArray:
        """int64 `[length]`: the history of each entry."""
        return ragged.row_of_entries(self.offsets)

    def matrix(self, num_products: int, recency: float = 1.0) -> "csr_matrix":
        """float32 `[num_histories, num_products]`: a review's weight, times `recency` for each step back.

        A product that stands twice has the heaviest of its reviews: of equal ones that is the newest.
        """
        from rec_sys.data.evidence import evidence_matrix

        steps = np.repeat(self.offsets[1:], self.lengths()) - 1 - np.arange(len(self.products))
        weights = recency ** steps.astype(np.float64)
        if self.weight is not None:
            weights = weights * self.weight
        return evidence_matrix(self.rows(), self.products, weights.astype(np.float32), (len(self), num_products))


@dataclass(frozen=True)
class TrainingReviews:
    """The reviews that a baseline may learn from, in time order; arrays are `[num_reviews]`.

    Attributes:
        user_index: int32.
        product_index: int32.
        rating: float32 stars, NaN where missing.
        timestamp: int64 milliseconds, or a position within the user's reviews where the data has no time.
        has_time: Whether timestamps are times.
        text_row: int32, row of `text_vectors`; -1 = no text that may be read.
        text_vectors: float16 `[num_texts, text_dim]`, unit length; without rows where no baseline reads texts.
        weight: float32, how much each says beside others; None where all say the same.
    """

    num_users: int
    num_products: int
    user_index: SmallIntArray
    product_index: SmallIntArray
    rating: FloatArray
    timestamp: IntArray
    has_time: bool
    text_row: SmallIntArray
    text_vectors: npt.NDArray[np.float16]
    weight: FloatArray | None = None

    @classmethod
    def of_edges(
        cls,
        interactions: Interactions,
        edges: IntArray,
        text_row: SmallIntArray | None = None,
        text_vectors: npt.NDArray[np.float16] | None = None,
    ) -> Self:
        """The reviews of some edges, int64, ascending; `text_row` is int32, over all reviews; None = no texts."""
        no_text = np.full(interactions.num_reviews, -1, dtype=np.int32)
        return cls(
            num_users=interactions.num_users,
            num_products=interactions.num_products,
            user_index=interactions.user_index[edges],
            product_index=interactions.product_index[edges],
            rating=interactions.rating[edges],
            timestamp=interactions.timestamp[edges],
            has_time=interactions.has_time,
            text_row=(no_text if text_row is None else text_row)[edges],
            text_vectors=np.empty((0, 0), np.float16) if text_vectors is None else text_vectors,
            weight=interactions.weights_of(edges),
        )

    def __len__(self) -> int:
        return len(self.user_index)

    def counts(self) -> IntArray:
        """int64 `[num_products]`: reviews of each product."""
        return np.bincount(self.product_index, minlength=self.num_products)

    def popularity(self) -> FloatArray:
        """float32 `[num_products]`: what the reviews of each product weigh."""
        return np.bincount(self.product_index, self.weight, minlength=self.num_products).astype(np.float32)

    def matrix(self) -> "csr_matrix":
        """float32 `[num_users, num_products]`: what the user says of the product, see `evidence_matrix`."""
        from rec_sys.data.evidence import evidence_matrix

        shape = (self.num_users, self.num_products)
        return evidence_matrix(self.user_index, self.product_index, self.weight, shape)

    def histories_of(self, users: npt.NDArray[np.integer]) -> Histories:
        """What users have reviewed among these reviews; nothing where they are not in the data."""
        users = np.asarray(users, dtype=np.int64)
        inside = (users >= 0) & (users < self.num_users)
        bounds, order = ragged.group_rows(self.user_index, self.num_users)  # by user, then by time
        bounds = np.append(bounds, bounds[-1])  # one row more, empty, for everybody else
        offsets, entries = ragged.take_rows(bounds, np.where(inside, users, self.num_users))
        entries = order[entries]
        asking = np.where(inside, users, -1).astype(np.int32)
        weight = None if self.weight is None else self.weight[entries]
        return Histories(asking, offsets, self.product_index[entries], self.text_row[entries], weight)
