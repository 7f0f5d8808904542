"""All products as they are now: those of the bundle with what is said of them since, and those that came later."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from rec_sys.contracts import PayloadField
from rec_sys.vector_database.catalogue import FloatArray, IntArray
from rec_sys.vector_database.contract import ProductDetails, ProductFilter, ProductHit
from rec_sys.vector_database.exact import matching
from rec_sys.vector_database.search_request import details_of


@dataclass(frozen=True, eq=False)
class Listing:
    """Products in rows: the bundle's by product index, then those that came later.

    Attributes:
        details: As `Catalogue.details`.
        popularity: float32 `[num_products]`, what the reviews of each weigh.
    """

    details: pl.DataFrame
    popularity: FloatArray

    @classmethod
    def of(cls, details: pl.DataFrame, popularity: FloatArray, written: Mapping[str, ProductDetails]) -> "Listing":
        """The bundle's products, and what is said of some, by asin."""
        if not written:
            return cls(details, popularity)
        rows = [asdict(product) | {PayloadField.CATEGORIES: list(product.categories)} for product in written.values()]
        said = pl.DataFrame(rows, schema=details.schema)
        order = details.select(PayloadField.ASIN).with_row_index("row")
        changed = order.join(said, on=PayloadField.ASIN).drop("row")
        others = details.join(changed, on=PayloadField.ASIN, how="anti")
        whole = pl.concat([others, changed.select(details.columns)])
        own = order.join(whole, on=PayloadField.ASIN, how="left", maintain_order="left").select(details.columns)
        new = said.join(details, on=PayloadField.ASIN, how="anti")
        counts = new[PayloadField.REVIEW_COUNT].to_numpy().astype(np.float32)
        return cls(pl.concat([own, new]), np.concatenate([popularity, counts]))

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Rows by asin."""
        return {asin: row for row, asin in enumerate(self.details[PayloadField.ASIN].to_list())}

    @cached_property
    def by_popularity(self) -> IntArray:
        """Rows, the most popular first; int64 `[num_products]`."""
        return np.argsort(-self.popularity, kind="stable").astype(np.int64)

    def passing(self, order: IntArray, wanted: ProductFilter) -> IntArray:
        """Those rows of an order that a filter lets through, in that order."""
        found: IntArray = order[matching(self.details, wanted)[order]]
        return found

    def hits(self, rows: IntArray, scores: npt.NDArray[np.floating]) -> list[ProductHit]:
        """Rows as they are answered; `scores` are those of all rows."""
        payloads, values = self.details[rows].to_dicts(), scores[rows].tolist()
        return [ProductHit(details_of(payload), score) for payload, score in zip(payloads, values, strict=True)]
