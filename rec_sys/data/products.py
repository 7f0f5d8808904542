"""The product table: what is known of each product, in one text that a language model can read."""

import hashlib
from typing import Final

import polars as pl

from rec_sys.contracts import ProductColumn, ReviewColumn
from rec_sys.raw_files.product_texts import described_products

_COLUMNS: Final = [value for name, value in vars(ProductColumn).items() if not name.startswith("_")]


def product_table(reviews: pl.LazyFrame, facts: pl.DataFrame, *, keep_unreviewed: bool) -> pl.DataFrame:
    """One row for each product, as `contracts.ProductColumn`.

    The order is that of the asin's blake2b digest: raw files list products by first appearance, and an order that
    tells which product is older would leak into anything that breaks ties by index.

    Args:
        reviews: The prepared reviews.
        facts: What readers know of products (`PRODUCT_FACTS_SCHEMA`); of several rows for one asin the first counts.
        keep_unreviewed: Keep products that have no review.
    """
    rating, time = pl.col(ReviewColumn.RATING), pl.col(ReviewColumn.TIMESTAMP)
    reviewed = (
        reviews.group_by(ReviewColumn.ASIN)
        .agg(
            rating.cast(pl.Float64).mean().cast(pl.Float32).alias(ProductColumn.RATING_MEAN),
            pl.len().cast(pl.Int64).alias(ProductColumn.REVIEW_COUNT),
            time.min().alias(ProductColumn.FIRST_REVIEW),
            time.max().alias(ProductColumn.LAST_REVIEW),
        )
        .collect(engine="streaming")
    )
    described = described_products(facts.unique(ProductColumn.ASIN, keep="first", maintain_order=True))
    if keep_unreviewed:
        table = described.join(reviewed, on=ProductColumn.ASIN, how="full", coalesce=True)
    else:
        table = reviewed.join(described, on=ProductColumn.ASIN, how="left")
    asins = table[ProductColumn.ASIN].to_list()
    digests = pl.Series("digest", [hashlib.blake2b(asin.encode()).hexdigest() for asin in asins], dtype=pl.String)
    return (
        table.with_columns(digests)
        .sort("digest")
        .with_columns(pl.col(ProductColumn.REVIEW_COUNT).fill_null(0), pl.col(ProductColumn.CATEGORIES).fill_null([]))
        .select(_COLUMNS)
    )
