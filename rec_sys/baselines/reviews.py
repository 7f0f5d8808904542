"""What baselines are given: the reviews to learn from, and the histories of those who ask."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from rec_sys import ragged
from rec_sys.data.interactions import FloatArray, IntArray, Interactions, SmallIntArray
from rec_sys.data.splits import Queries

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
    """

    user_index: SmallIntArray
    offsets: IntArray
    products: SmallIntArray
    text_row: SmallIntArray

    def __len__(self) -> int:
        return len(self.user_index)

    @classmethod
    def of_queries(cls, queries: Queries, text_row: SmallIntArray | None = None) -> Self:
        """The histories of a split's questions; `text_row` is int32 `[num_reviews]`, of all reviews; None: no texts."""
        no_text = np.full(len(queries.history_products), -1, np.int32)
        rows = no_text if text_row is None else text_row[queries.history_edges]
        return cls(queries.user_index, queries.history_offsets, queries.history_products, rows)

    def take(self, rows: npt.NDArray[np.integer]) -> "Histories":
        """Some of the histories."""
        offsets, entries = ragged.take_rows(self.offsets, rows)
        return Histories(self.user_index[rows], offsets, self.products[entries], self.text_row[entries])

    def lengths(self) -> IntArray:
        """int64 `[num_histories]`."""
        return np.diff(self.offsets)

    def rows(self) -> IntArray:
        """int64 `[length]`: the history of each entry."""
        return ragged.row_of_entries(self.offsets)

    def matrix(self, num_products: int, recency: float = 1.0) -> "csr_matrix":
        """float32 `[num_histories, num_products]`: weight 1 for the newest review, times `recency` a step back.

        A product that stands twice has the weight of its newest review.
        """
        from scipy.sparse import csr_matrix

        rows, steps = self.rows(), np.repeat(self.offsets[1:], self.lengths()) - 1 - np.arange(len(self.products))
        keys, newest = np.unique((rows * num_products + self.products)[::-1], return_index=True)
        weights = recency ** steps[::-1][newest].astype(np.float64)
        shape = (len(self), num_products)
        return csr_matrix((weights.astype(np.float32), np.divmod(keys, num_products)), shape=shape)


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
        )

    def __len__(self) -> int:
        return len(self.user_index)

    def counts(self) -> IntArray:
        """int64 `[num_products]`: reviews of each product."""
        return np.bincount(self.product_index, minlength=self.num_products)

    def matrix(self) -> "csr_matrix":
        """float32 `[num_users, num_products]`: 1 where the user has reviewed the product, however often."""
        from scipy.sparse import csr_matrix

        ones = np.ones(len(self), dtype=np.float32)
        matrix = csr_matrix((ones, (self.user_index, self.product_index)), shape=(self.num_users, self.num_products))
        matrix.sum_duplicates()
        matrix.data[:] = 1
        return matrix

    def histories_of(self, users: npt.NDArray[np.integer]) -> Histories:
        """What users have reviewed among these reviews; nothing where they are not in the data."""
        users = np.asarray(users, dtype=np.int64)
        inside = (users >= 0) & (users < self.num_users)
        bounds, order = ragged.group_rows(self.user_index, self.num_users)  # by user, then by time
        bounds = np.append(bounds, bounds[-1])  # one row more, empty, for everybody else
        offsets, entries = ragged.take_rows(bounds, np.where(inside, users, self.num_users))
        entries = order[entries]
        asking = np.where(inside, users, -1).astype(np.int32)
        return Histories(asking, offsets, self.product_index[entries], self.text_row[entries])
