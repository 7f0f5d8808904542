"""A bundle with invented vectors and an invented memory, for measuring an index at sizes that no data set here has.

The products lie near each other in groups, as trained ones do: an index that follows a graph finds nothing in vectors
that are all equally far apart, and misses less than it should in vectors that are too well sorted.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from rec_sys.bundle import BundleContents, write_bundle
from rec_sys.contracts import HistoryColumn, MemoryTensor, ProductColumn, ProductVector
from rec_sys.scoring import ScoreFormula

BRANDS: Final = tuple(f"Brand {number}" for number in range(40))
CATEGORIES: Final = tuple(f"Category {number}" for number in range(12))
_TEMPERATURE: Final = 0.07
_INNER_DIM: Final = 24  # directions in which groups, and products of a group, differ
_GROUP_SIZE: Final = 50  # products
_SPREAD: Final = 0.6  # of the products of a group, against the distance between groups
_MEMORY_SCALE: Final = 4.0  # mean size of an entry, against a cosine that is divided by 0.07
_SHARE_NEGATIVE: Final = 0.02
_SHARE_WITHOUT_TEXT: Final = 0.1
_SHARE_WITHOUT_PRICE: Final = 0.2


def write_synthetic_bundle(
    folder: Path,
    num_products: int,
    dim: int,
    neighbours: int,
    seed: int,
    *,
    text_dim: int = 384,
    has_text: bool = True,
) -> None:
    """Writes a bundle that has everything the index reads, and nothing else.

    Args:
        folder: The bundle.
        num_products: Size of the catalogue.
        dim: Width of the product vectors.
        neighbours: Entries of a product in the memory; 0 for no memory.
        seed: For the random numbers.
        text_dim: Width of the text vectors, by default that of the default encoder.
        has_text: Give most products a text vector.
    """
    generator = np.random.default_rng(seed)
    group = generator.integers(0, max(num_products // _GROUP_SIZE, 1), num_products)
    vectors = _grouped(generator, group, dim)
    text = _grouped(generator, group, text_dim)
    text[generator.random(num_products) < (_SHARE_WITHOUT_TEXT if has_text else 1.0)] = 0
    contents = BundleContents(
        data_name="synthetic",
        data_fingerprint=f"synthetic-{num_products}-{dim}-{neighbours}-{seed}",
        text_encoder="given" if has_text else "none",
        weights={"nothing": np.zeros(1, dtype=np.float32)},
        settings={},
        products=_products(generator, num_products),
        product_vectors={
            ProductVector.OUTPUT: vectors,
            ProductVector.INPUT: vectors,
            ProductVector.RATING: vectors,
            ProductVector.RATING_OFFSET: np.zeros(num_products, dtype=np.float32),
            ProductVector.TEXT: text,
        },
        metrics={},
        histories=pl.DataFrame(
            schema={
                HistoryColumn.USER_ID: pl.String,
                HistoryColumn.PRODUCT_INDEX: pl.Int32,
                HistoryColumn.RATING: pl.Float32,
                HistoryColumn.TIMESTAMP: pl.Int64,
                HistoryColumn.TEXT_ROW: pl.Int32,
                HistoryColumn.SNIPPET: pl.String,
                HistoryColumn.WEIGHT: pl.Float32,
                HistoryColumn.KNOWN: pl.Boolean,
            }
        ),
        history_text=np.zeros((0, text_dim), dtype=np.float16),
        score=ScoreFormula(temperature=_TEMPERATURE),
        user_reviews=50,
        product_reviews=16,
        has_time=True,
        memory=_memory(generator, group, neighbours) if neighbours else None,
    )
    write_bundle(folder, contents)


def _grouped(generator: np.random.Generator, group: npt.NDArray[np.int64], dim: int) -> npt.NDArray[np.float32]:
    """float32 `[count, dim]`, unit length; the rows of one group are near each other."""
    count, inner = len(group), min(_INNER_DIM, dim)
    directions = generator.normal(size=(inner, dim)).astype(np.float32) / np.float32(np.sqrt(inner))
    centres = generator.normal(size=(int(group.max()) + 1, inner)).astype(np.float32)
    places = centres[group] + _SPREAD * generator.normal(size=(count, inner)).astype(np.float32)
    vectors = places @ directions
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def _memory(
    generator: np.random.Generator, group: npt.NDArray[np.int64], neighbours: int
) -> dict[str, npt.NDArray[Any]]:
    """Columns of nearly equal length, as training keeps them.

    Half of a product's entries are near it by group; the other half are anywhere, more often of low index, so that
    some products stand in many columns.
    """
    count = len(group)
    by_group = np.argsort(group, kind="stable")
    place = np.empty(count, dtype=np.int64)
    place[by_group] = np.arange(count)
    anywhere = (count * generator.random((neighbours - neighbours // 2, count)) ** 2).astype(np.int64)
    steps = generator.integers(1, _GROUP_SIZE, (neighbours // 2, count))
    rows = np.concatenate([by_group[(place + steps) % count], anywhere])
    columns = np.broadcast_to(np.arange(count), rows.shape)
    keys = np.unique((rows * count + columns)[rows != columns])
    weights = generator.exponential(_MEMORY_SCALE, len(keys)).astype(np.float32)
    weights[generator.random(len(keys)) < _SHARE_NEGATIVE] *= -1
    return {
        MemoryTensor.OFFSETS: np.searchsorted(keys, np.arange(count + 1) * count).astype(np.int64),
        MemoryTensor.NEIGHBOURS: (keys % count).astype(np.int32),
        MemoryTensor.WEIGHTS: weights,
    }


def _products(generator: np.random.Generator, count: int) -> pl.DataFrame:
    kinds = generator.integers(0, len(CATEGORIES), (count, 2))
    reviewed = generator.integers(0, 200, count)
    rating = np.round(generator.uniform(1, 5, count), 2)
    price = np.round(generator.lognormal(3, 1, count), 2)
    priced = generator.random(count) >= _SHARE_WITHOUT_PRICE
    last = 1_500_000_000_000 + 86_400_000 * generator.integers(0, 1_000, count)
    return pl.DataFrame(
        {
            ProductColumn.ASIN: [f"B{number:09d}" for number in range(count)],
            ProductColumn.TITLE: [f"Product {number}" for number in range(count)],
            ProductColumn.BRAND: [BRANDS[number] for number in generator.integers(0, len(BRANDS), count)],
            ProductColumn.CATEGORIES: [
                ["Synthetic", *dict.fromkeys(CATEGORIES[kind] for kind in row)] for row in kinds
            ],
            ProductColumn.PRICE: [float(value) if has else None for value, has in zip(price, priced, strict=True)],
            ProductColumn.TEXT: [None] * count,
            ProductColumn.RATING_MEAN: [float(value) if n else None for value, n in zip(rating, reviewed, strict=True)],
            ProductColumn.REVIEW_COUNT: reviewed,
            ProductColumn.FIRST_REVIEW: last - 86_400_000,
            ProductColumn.LAST_REVIEW: last,
        },
        schema_overrides={
            ProductColumn.TEXT: pl.String,
            ProductColumn.PRICE: pl.Float32,
            ProductColumn.RATING_MEAN: pl.Float32,
        },
    )
