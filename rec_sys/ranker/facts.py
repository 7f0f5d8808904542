"""What the ranker may look up: facts of products and of users, and who reviewed what before any moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

from rec_sys import ragged
from rec_sys.contracts import ProductColumn, UserColumn

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
SumArray = npt.NDArray[np.float64]

_SHORTEST: Final = 1e-12  # a vector of less has no direction


@dataclass(frozen=True, eq=False)
class ProductFacts:
    """What is known of products without their reviews; the last row is a product that the catalogue does not have.

    Attributes:
        price: float32 `[num_products + 1]`, logarithm of one more than the price, NaN where missing.
        brand: float32 CSR `[num_products + 1, num_brands]`, 1 at the product's own.
        categories: float32 CSR `[num_products + 1, num_categories]`, rows of unit length.
        text: float32 `[num_products + 1, text_dim]`, unit length, zero where missing.
    """

    price: FloatArray
    brand: sparse.csr_matrix
    categories: sparse.csr_matrix
    text: FloatArray

    @classmethod
    def of_table(cls, products: pl.DataFrame, text: npt.NDArray[np.floating]) -> Self:
        """Of a table with `contracts.ProductColumn`'s price, brand and categories, and of its texts' vectors."""
        price = products[ProductColumn.PRICE].cast(pl.Float32).fill_null(float("nan")).to_numpy()
        price = np.log1p(np.where(price >= 0, price, np.float32(np.nan)), dtype=np.float32)
        names = products.select(pl.col(ProductColumn.BRAND)).with_row_index("row").drop_nulls()
        kinds = products.select(pl.col(ProductColumn.CATEGORIES)).with_row_index("row")
        kinds = kinds.explode(ProductColumn.CATEGORIES).drop_nulls().unique(maintain_order=True)
        length = np.linalg.norm(text.astype(np.float32), axis=1, keepdims=True)
        unit = np.divide(text, length, out=np.zeros(text.shape, dtype=np.float32), where=length > _SHORTEST)
        return cls(
            price=np.append(price, np.float32(np.nan)),
            brand=_one_hot(names["row"], names[ProductColumn.BRAND], products.height + 1),
            categories=_one_hot(kinds["row"], kinds[ProductColumn.CATEGORIES], products.height + 1),
            text=np.concatenate([unit, np.zeros((1, text.shape[1]), dtype=np.float32)]),
        )

    def __len__(self) -> int:
        return len(self.price) - 1


def _one_hot(row: pl.Series, name: pl.Series, num_rows: int) -> sparse.csr_matrix:
    """float32 CSR `[num_rows, number of names]`, rows of unit length."""
    column = name.rank("dense").to_numpy().astype(np.int64) - 1
    place = row.to_numpy().astype(np.int64)
    values = np.bincount(place, minlength=num_rows)[place] ** -0.5
    shape = (num_rows, int(column.max(initial=-1)) + 1)
    return sparse.csr_matrix((values.astype(np.float32), (place, column)), shape=shape)


@dataclass(frozen=True, eq=False)
class UserFacts:
    """What is known of users beside their reviews; the last row is a user of whom nothing is.

    Attributes:
        names: What each column is.
        values: float32 `[num_users + 1, len(names)]`, NaN where missing.
    """

    names: tuple[str, ...]
    values: FloatArray

    @classmethod
    def of_table(cls, table: pl.DataFrame | None, user_ids: Sequence[str] | pl.Series) -> Self:
        """Of a table with `contracts.UserColumn`, its rows put into the order of `user_ids`."""
        if table is None:
            return cls((), np.empty((len(user_ids) + 1, 0), dtype=np.float32))
        ids = pl.DataFrame({UserColumn.USER_ID: user_ids}, schema={UserColumn.USER_ID: pl.String})
        rows = ids.join(table, on=UserColumn.USER_ID, how="left", maintain_order="left").drop(UserColumn.USER_ID)
        values = np.full((len(user_ids) + 1, rows.width), np.nan, dtype=np.float32)
        values[:-1] = rows.select(pl.all().cast(pl.Float32).fill_null(float("nan"))).to_numpy()
        return cls(tuple(rows.columns), values)


class PastReviews:
    """Reviews in time order, of which any question may see the first so many: those before it.

    Args:
        product: int `[num_reviews]`.
        timestamp: int64 `[num_reviews]`, milliseconds, ascending; None where the data has no time.
        rating: float32 `[num_reviews]`, stars, NaN or 0 where missing.
        num_products: Size of the catalogue.
        reviewer: float32 `[num_reviews, num_facts]`, what is known of who wrote each, NaN where missing.
    """

    def __init__(
        self,
        product: npt.NDArray[np.integer],
        timestamp: IntArray | None,
        rating: FloatArray,
        num_products: int,
        reviewer: FloatArray,
    ) -> None:
        self.timestamp = timestamp
        self._offsets, self._order = ragged.group_rows(product, num_products + 1)  # nobody has reviewed the last one
        self._stride = len(product) + 1
        self._keys = product[self._order].astype(np.int64) * self._stride + self._order
        stars = np.nan_to_num(rating[self._order].astype(np.float64))
        self._stars, self._rated = ragged_sums(stars), ragged_sums(stars > 0)
        facts = reviewer[self._order].T
        self._facts = [(ragged_sums(np.nan_to_num(one)), ragged_sums(~np.isnan(one))) for one in facts]

    def __len__(self) -> int:
        return len(self._order)

    def count(self, product: IntArray, before: IntArray) -> IntArray:
        """How many of the first `before` reviews are of each product: int64 `[n]`."""
        found: IntArray = np.searchsorted(self._keys, product * self._stride + before) - self._offsets[product]
        return found

    def before(self, moment: IntArray) -> IntArray:
        """How many reviews are older than each moment: int64 `[n]`."""
        assert self.timestamp is not None
        return np.searchsorted(self.timestamp, moment).astype(np.int64)

    def newest(self, before: IntArray) -> IntArray:
        """The time of the newest of the first `before` reviews: int64 `[n]`; -1 where there is none."""
        if self.timestamp is None or not len(self):
            return np.full(len(before), -1, dtype=np.int64)
        return np.where(before > 0, self.timestamp[np.maximum(before, 1) - 1], -1)

    def times(self, product: IntArray, count: IntArray) -> tuple[IntArray, IntArray]:
        """Times of each product's first and of its `count`-th review, int64 `[n]`; wrong where `count` is 0."""
        assert self.timestamp is not None
        if not len(self):
            return np.zeros_like(product), np.zeros_like(product)
        start = np.minimum(self._offsets[product], len(self) - 1)
        return self.timestamp[self._order[start]], self.timestamp[self._order[start + np.maximum(count, 1) - 1]]

    def mean_rating(self, product: IntArray, count: IntArray) -> FloatArray:
        """Mean stars of each product's first `count` reviews: float32 `[n]`, NaN where none has any."""
        return self._mean(self._stars, self._rated, product, count)

    def mean_reviewer(self, product: IntArray, count: IntArray) -> FloatArray:
        """Mean facts of who wrote each product's first `count` reviews: float32 `[n, num_facts]`, NaN where unknown."""
        means = [self._mean(total, known, product, count) for total, known in self._facts]
        return np.stack(means, axis=1) if means else np.empty((len(product), 0), dtype=np.float32)

    def _mean(self, total: SumArray, known: SumArray, product: IntArray, count: IntArray) -> FloatArray:
        start = self._offsets[product]
        number = known[start + count] - known[start]
        summed = total[start + count] - total[start]
        found: FloatArray = np.where(number > 0, summed / np.maximum(number, 1), np.nan).astype(np.float32)
        return found


def ragged_sums(values: npt.NDArray[np.generic]) -> SumArray:
    """Sums of the first 0, 1, ... values: float64 `[n + 1]`."""
    return np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
