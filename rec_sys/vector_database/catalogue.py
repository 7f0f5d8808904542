"""What goes into the index: products of a bundle, or added later, as points; checked before anything is written."""

import hashlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

from rec_sys.bundle import Bundle
from rec_sys.contracts import (
    BundleFile,
    MemoryTensor,
    PayloadField,
    ProductColumn,
    ProductVector,
)
from rec_sys.score_terms import without_terms
from rec_sys.settings import IndexCommon
from rec_sys.vector_database.contract import IndexVersion
from rec_sys.vector_database.words import SparseWords, WordStatistics, title_of

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]

UNIT_TOLERANCE: Final = 1e-3  # how far a vector's length may be from one
# Payload fields that filters look at, and how the engines are to index them.
INDEXED_FIELDS: Final[dict[str, Literal["keyword", "float"]]] = {
    PayloadField.ASIN: "keyword",
    PayloadField.BRAND: "keyword",
    PayloadField.CATEGORIES: "keyword",
    PayloadField.PRICE: "float",
    PayloadField.RATING_MEAN: "float",
}
NO_GRAPH: Final = 0  # HNSW's m for versions that are searched whole
# HNSW can keep further links among the products of each category, brand or price range. They made the building of
# 100,000 products several times longer; without them, what passes a narrow filter is searched whole.
NO_LINKS_BY_PAYLOAD: Final = 0
_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "rec_sys/product")
_LAYOUT: Final = 2  # of points and payload; another layout is another version
# JSON's longest spelling of a float32 as a double, with its comma; of a dimension; of a character; of a point's frame.
_FLOAT_BYTES, _INDEX_BYTES, _CHARACTER_BYTES, _FRAME_BYTES = 25, 12, 12, 600


@dataclass(frozen=True, slots=True)
class IndexPoint:
    """A product as either backend takes it.

    Attributes:
        vector: `[dim]`.
        text: `[text_dim]`; None where it has no text.
        memory: The memory's dimensions and weights; None where there are none.
        words: Those of its title, see `words`; likewise.
        payload: See `contracts.PayloadField`.
    """

    id: uuid.UUID
    vector: list[float]
    text: list[float] | None
    memory: tuple[list[int], list[float]] | None
    words: SparseWords | None
    payload: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Catalogue:
    """A bundle's products; the row is the product index.

    Attributes:
        created: When the bundle was written; UTC, ISO 8601.
        data_name: Its data set.
        temperature: The cosine is divided by this.
        details: A column for every `contracts.PayloadField` but `UPSERTED`.
        vectors: float32 `[num_products, dim]`, unit length.
        text: float32 `[num_products, text_dim]`, zero where missing.
        memory: float32 CSR `[num_products, num_products]`; row i, column j: what a review of i adds to the score of j;
            or with the further rows of `score_terms`.
    """

    identity: str
    created: str
    data_name: str
    temperature: float
    text_encoder: str
    details: pl.DataFrame
    vectors: FloatArray
    text: FloatArray
    memory: "sparse.csr_matrix | None"

    def __len__(self) -> int:
        return self.details.height

    @property
    def asins(self) -> list[str]:
        """By product index."""
        return self.details[PayloadField.ASIN].to_list()

    @cached_property
    def memory_of_products(self) -> "sparse.csr_matrix | None":
        """The memory without the rows of `score_terms`: float32 CSR `[num_products, num_products]`."""
        return None if self.memory is None else without_terms(self.memory)[0]

    @cached_property
    def words(self) -> WordStatistics:
        """What its titles say of words."""
        titled = self.details.select(PayloadField.TITLE, PayloadField.BRAND)
        return WordStatistics.of_titles(title_of(*row) for row in titled.iter_rows())

    def version(self, settings: IndexCommon) -> IndexVersion:
        """The version that these products make; the same bundle and settings always make the same."""
        exact = len(self) <= settings.exact_below
        graph = None if exact else (settings.hnsw_links, settings.hnsw_build_width)
        digest = hashlib.sha256(repr((_LAYOUT, self.identity, graph)).encode()).hexdigest()
        stamp = "".join(character for character in self.created[:19] if character.isdigit())
        return IndexVersion(
            name=f"{stamp[:8]}-{stamp[8:]}-{digest[:8]}",
            bundle=self.identity,
            created=self.created,
            data_name=self.data_name,
            num_products=len(self),
            dim=self.vectors.shape[1],
            text_dim=self.text.shape[1],
            temperature=self.temperature,
            text_encoder=self.text_encoder,
            has_memory=self.memory is not None,
            has_terms=self.memory is not None and self.memory.shape[0] > len(self),
            has_words=True,
            exact=exact,
        )

    def points(self, rows: IntArray) -> list[IndexPoint]:
        """The points of some products."""
        vectors, text = self.vectors[rows].tolist(), self.text[rows]
        has_text: list[bool] = np.any(text, axis=1).tolist()
        columns: Any = None if self._memory_columns is None else self._memory_columns[:, rows]
        found = []
        for place, (payload, vector) in enumerate(zip(self.details[rows].to_dicts(), vectors, strict=True)):
            memory = None
            if columns is not None and (start := columns.indptr[place]) < (end := columns.indptr[place + 1]):
                memory = columns.indices[start:end].tolist(), columns.data[start:end].tolist()
            meaning = text[place].tolist() if has_text[place] else None
            words = self.words.weigh(title_of(payload[PayloadField.TITLE], payload[PayloadField.BRAND]))
            found.append(IndexPoint(point_id(payload[PayloadField.ASIN]), vector, meaning, memory, words, payload))
        return found

    def batches(self, rows: IntArray, max_bytes: int) -> Iterator[IntArray]:
        """Cuts products into groups whose points are below `max_bytes` as JSON; a larger one goes alone."""
        ends = np.cumsum(self._point_bytes()[rows])
        start = 0
        while start < len(rows):
            before = ends[start - 1] if start else 0
            end = max(int(np.searchsorted(ends, before + max_bytes, side="right")), start + 1)
            yield rows[start:end]
            start = end

    @cached_property
    def _memory_columns(self) -> "sparse.csc_matrix | None":
        return None if self.memory is None else self.memory.tocsc()

    def num_bytes(self, rows: IntArray) -> int:
        """What these products are as JSON together, which is more than the index makes of them."""
        return int(self._point_bytes()[rows].sum())

    def _point_bytes(self) -> IntArray:
        """An upper bound of a point's size as JSON, int64 `[num_products]`."""
        text = pl.col(PayloadField.ASIN, PayloadField.TITLE, PayloadField.BRAND).str.len_chars().fill_null(0)
        categories = pl.col(PayloadField.CATEGORIES)
        lengths = self.details.select(
            pl.sum_horizontal(text, (categories.list.eval(pl.element().str.len_chars()).list.sum()))
            + categories.list.len()
        ).to_series()
        floats = self.vectors.shape[1] + self.text.any(axis=1) * self.text.shape[1]
        words = self.details.select(pl.sum_horizontal(text)).to_series()  # no more than characters, as a rule far fewer
        found: IntArray = _FRAME_BYTES + _CHARACTER_BYTES * lengths.to_numpy().astype(np.int64) + _FLOAT_BYTES * floats
        found = found + (_FLOAT_BYTES + _INDEX_BYTES) * words.to_numpy().astype(np.int64)
        if self.memory is not None:
            entries = np.bincount(self.memory.indices, minlength=len(self))
            found = found + (_FLOAT_BYTES + _INDEX_BYTES) * entries
        return found


@lru_cache(maxsize=65_536)  # users come back with the same products again and again
def point_id(asin: str) -> uuid.UUID:
    """A product's id in the index: it follows from the asin, so one added after training cannot meet another's."""
    return uuid.uuid5(_NAMESPACE, asin)


def read_catalogue(bundle: Bundle) -> Catalogue:
    """The products of a bundle.

    Raises:
        InputError: Its parts do not fit each other.
    """
    products, vectors, memory = bundle.products(), bundle.product_vectors(), bundle.memory()
    for file, tensors, names in (
        (BundleFile.PRODUCT_VECTORS, vectors, (ProductVector.OUTPUT, ProductVector.TEXT)),
        (BundleFile.MEMORY, memory, (MemoryTensor.OFFSETS, MemoryTensor.NEIGHBOURS, MemoryTensor.WEIGHTS)),
    ):
        if tensors is not None and not tensors.keys() >= set(names):
            raise bundle.damaged(file, f"tensors named {', '.join(names)} are expected")
    manifest = bundle.manifest
    shape, text_shape = (products.height, manifest.dim), (products.height, manifest.text_dim)
    graph, text = vectors[ProductVector.OUTPUT], vectors[ProductVector.TEXT]
    with bundle.reading(BundleFile.PRODUCTS):
        details, num_different = _details(products), products[ProductColumn.ASIN].n_unique()
    if products.height != manifest.num_products or num_different != products.height:
        raise bundle.damaged(BundleFile.PRODUCTS, f"{manifest.num_products} different products are expected")
    if graph.shape != shape or not np.isfinite(graph).all():
        raise bundle.damaged(BundleFile.PRODUCT_VECTORS, f"finite vectors of shape {shape} are expected")
    if text.shape != text_shape or not np.isfinite(text).all():
        raise bundle.damaged(BundleFile.PRODUCT_VECTORS, f"finite text vectors of shape {text_shape} are expected")
    if not np.allclose(np.linalg.norm(graph, axis=1), 1, atol=UNIT_TOLERANCE):
        raise bundle.damaged(BundleFile.PRODUCT_VECTORS, "product vectors of unit length are expected")
    return Catalogue(
        identity=bundle.identity,
        created=manifest.created,
        data_name=manifest.data_name,
        temperature=manifest.score.temperature,
        text_encoder=manifest.text_encoder,
        details=details,
        vectors=graph,
        text=text,
        memory=None if memory is None else _memory_matrix(bundle, memory, products.height),
    )


def _details(products: pl.DataFrame) -> pl.DataFrame:
    def as_written(column: str) -> pl.Expr:
        # A float32 of 19.99 is not the double 19.99, and a filter "from 19.99" would miss it: read its digits anew.
        return pl.col(column).cast(pl.String).cast(pl.Float64)

    return products.select(
        pl.col(ProductColumn.ASIN).alias(PayloadField.ASIN),
        pl.int_range(pl.len(), dtype=pl.Int64).alias(PayloadField.PRODUCT_INDEX),
        pl.col(ProductColumn.TITLE).alias(PayloadField.TITLE),
        pl.col(ProductColumn.BRAND).alias(PayloadField.BRAND),
        pl.col(ProductColumn.CATEGORIES).fill_null([]).cast(pl.List(pl.String)).alias(PayloadField.CATEGORIES),
        as_written(ProductColumn.PRICE).alias(PayloadField.PRICE),
        as_written(ProductColumn.RATING_MEAN).alias(PayloadField.RATING_MEAN),
        pl.col(ProductColumn.REVIEW_COUNT).fill_null(0).alias(PayloadField.REVIEW_COUNT),
        pl.col(ProductColumn.FIRST_REVIEW).alias(PayloadField.FIRST_REVIEW),
        pl.col(ProductColumn.LAST_REVIEW).alias(PayloadField.LAST_REVIEW),
    )


def _memory_matrix(bundle: Bundle, tensors: dict[str, npt.NDArray[Any]], num_products: int) -> "sparse.csr_matrix":
    offsets = tensors[MemoryTensor.OFFSETS]
    neighbours, weights = tensors[MemoryTensor.NEIGHBOURS], tensors[MemoryTensor.WEIGHTS]
    sound = (
        len(offsets) - 1 in (num_products, 2 * num_products + 1)
        and (offsets[0], offsets[-1], len(weights)) == (0, len(neighbours), len(neighbours))
        and bool((np.diff(offsets) >= 0).all() and np.isfinite(weights).all())
        and bool(((neighbours >= 0) & (neighbours < num_products)).all())
    )
    if not sound:
        raise bundle.damaged(BundleFile.MEMORY, f"finite sparse rows of {num_products} products are expected")
    matrix = sparse.csr_matrix((weights, neighbours, offsets), shape=(len(offsets) - 1, num_products))
    matrix.sum_duplicates()  # the index takes each dimension of a sparse vector once
    return matrix
