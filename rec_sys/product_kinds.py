"""What a catalogue says of the kind of its products: categories and brand as one vocabulary, and the price."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

from rec_sys.contracts import ProductColumn


@dataclass(frozen=True)
class ProductKinds:
    """The kinds of a product table.

    Attributes:
        places: Column of each name; a brand and a category of one name are two.
        matrix: float32 CSR `[num_products, num_kinds]`, 1 where a product is of a kind.
        price: float32 `[num_products]`, NaN where unknown.
    """

    places: dict[tuple[str, str], int]
    matrix: sparse.csr_matrix
    price: npt.NDArray[np.float32]

    @classmethod
    def of_table(cls, products: pl.DataFrame) -> "ProductKinds":
        """Reads `products.parquet`; the row is the product index."""
        columns = products.select(
            pl.col(ProductColumn.CATEGORIES).cast(pl.List(pl.String)).fill_null([]), pl.col(ProductColumn.BRAND)
        )
        names = [_names(*row) for row in columns.iter_rows()]
        places = {name: place for place, name in enumerate(dict.fromkeys(name for row in names for name in row))}
        row = np.repeat(np.arange(len(names)), [len(own) for own in names])
        column = np.array([places[name] for own in names for name in own], dtype=np.int64)
        shape = (len(names), len(places))
        matrix = sparse.csr_matrix((np.ones(len(row), dtype=np.float32), (row, column)), shape=shape)
        price = products[ProductColumn.PRICE].cast(pl.Float32).fill_null(float("nan")).to_numpy()
        return cls(places, matrix, price)

    @classmethod
    def unknown(cls, num_products: int) -> "ProductKinds":
        """Of products of which none is known."""
        nothing = sparse.csr_matrix((num_products, 0), dtype=np.float32)
        return cls({}, nothing, np.full(num_products, np.nan, dtype=np.float32))

    def of_names(self, categories: Iterable[str], brand: str | None) -> npt.NDArray[np.int64]:
        """The columns of a product's kinds, int64; what no product is of has none."""
        found = [self.places[name] for name in _names(categories, brand) if name in self.places]
        return np.array(sorted(found), dtype=np.int64)


def _names(categories: Iterable[str], brand: str | None) -> list[tuple[str, str]]:
    names = [(ProductColumn.CATEGORIES, name) for name in dict.fromkeys(categories)]
    return names if brand is None else [*names, (ProductColumn.BRAND, brand)]
