"""What a prepared table must satisfy; pandera checks it before anything is published.

Imported only where a table is written: pandera takes seconds to load. The attributes are the columns of
`contracts.ReviewColumn`, `ProductColumn` and `QuarantineColumn`.
"""

import pandera.polars as pandera
import polars as pl

from rec_sys.contracts import TIME_ORDER


class _Table(pandera.DataFrameModel):
    class Config:
        strict = True  # no column more, none less
        ordered = True


class ReviewTable(_Table):
    """`reviews.parquet`, or a stretch of it."""

    user_id: pl.String = pandera.Field(str_length={"min_value": 1})
    asin: pl.String = pandera.Field(str_length={"min_value": 1})
    rating: pl.Float32 = pandera.Field(ge=1, le=5, nullable=True)
    timestamp: pl.Int64 = pandera.Field(ge=0)
    title: pl.String = pandera.Field(str_length={"min_value": 1}, nullable=True)
    text: pl.String = pandera.Field(str_length={"min_value": 1}, nullable=True)
    style: pl.String = pandera.Field(str_startswith="{", nullable=True)
    helpful_votes: pl.Int32 = pandera.Field(ge=0, nullable=True)
    verified: pl.Boolean = pandera.Field(nullable=True)
    event: pl.String = pandera.Field(str_length={"min_value": 1}, nullable=True)
    weight: pl.Float32 = pandera.Field(gt=0)
    source_row: pl.Int64 = pandera.Field(ge=0)  # several rows where one listed several products

    @pandera.dataframe_check
    @classmethod
    def is_in_time_order(cls, data: pandera.PolarsData) -> pl.LazyFrame:
        """Rows are sorted by time; ties by user, product and row of the raw file."""
        in_order = pl.lit(True)
        for name in reversed(TIME_ORDER):
            before, here = pl.col(name).shift(1), pl.col(name)
            in_order = (before < here) | ((before == here) & in_order)
        return data.lazyframe.select(in_order.fill_null(True).all())


class ProductTable(_Table):
    """`products.parquet`."""

    asin: pl.String = pandera.Field(str_length={"min_value": 1}, unique=True)
    title: pl.String = pandera.Field(str_length={"min_value": 1}, nullable=True)
    brand: pl.String = pandera.Field(str_length={"min_value": 1}, nullable=True)
    categories: pl.List(pl.String)  # type: ignore[valid-type] # how pandera spells it
    price: pl.Float32 = pandera.Field(gt=0, nullable=True)
    text: pl.String = pandera.Field(str_length={"min_value": 1}, nullable=True)
    rating_mean: pl.Float32 = pandera.Field(ge=1, le=5, nullable=True)
    known_rating: pl.Float32 = pandera.Field(ge=1, le=5, nullable=True)
    review_count: pl.Int64 = pandera.Field(ge=0)
    first_review: pl.Int64 = pandera.Field(ge=0, nullable=True)
    last_review: pl.Int64 = pandera.Field(ge=0, nullable=True)
