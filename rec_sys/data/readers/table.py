"""Any CSV or Parquet table, by a map that says which column is what."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl
from pydantic import BaseModel

from rec_sys.contracts import InputError, ProductColumn, ReviewColumn
from rec_sys.data.plain_text import count_unread_prices, prices
from rec_sys.data.readers.batches import DESCRIPTION, FEATURES, PRODUCT_FACTS_SCHEMA, Batch, quarantine
from rec_sys.data.readers.review_checks import REASON, TimeUnit, checked_reviews
from rec_sys.raw_files.bad_rows import BadRow
from rec_sys.raw_files.table_rows import LIST_SEPARATOR, TableBatch, has_time_type, read_table_rows
from rec_sys.settings import TableData

_REVIEW_TEXTS: Final = (
    *(ReviewColumn.RATING, ReviewColumn.TIMESTAMP, ReviewColumn.TITLE, ReviewColumn.TEXT),
    *(ReviewColumn.STYLE, ReviewColumn.HELPFUL_VOTES, ReviewColumn.VERIFIED),
)


def read_table_reviews(path: Path, data: TableData) -> Iterator[Batch]:
    """Reads reviews from a table.

    A Parquet column of type date or datetime is a time whatever `timestamp_unit` says.

    Raises:
        InputError: The file cannot be read, or a column of the map is not in it.
    """
    columns = _mapped(data.columns)
    time_unit: TimeUnit | None = data.timestamp_unit if ReviewColumn.TIMESTAMP in columns else None
    if time_unit and has_time_type(path, columns[ReviewColumn.TIMESTAMP]):
        time_unit = "ms"
    for batch in read_table_rows(path, columns, "data.columns"):
        missing = [pl.lit(None, dtype=pl.String).alias(name) for name in _REVIEW_TEXTS if name not in columns]
        rows = pl.Series(ReviewColumn.SOURCE_ROW, batch.source_rows, dtype=pl.Int64)
        good, bad = checked_reviews(
            batch.frame.with_columns(rows, *missing), time_unit=time_unit, has_rating=ReviewColumn.RATING in columns
        )
        bad_rows = [_bad_row(batch, index, reason) for index, reason in bad.select("index", REASON).iter_rows()]
        yield Batch(good, quarantine(path, batch.ragged + bad_rows), len(batch.lines) + len(batch.ragged))


def read_table_products(path: Path, data: TableData) -> Iterator[Batch]:
    """Reads what is known of products from a table.

    Raises:
        InputError: The file cannot be read, a column of the map is not in it, or there is no map.
    """
    if data.product_columns is None:
        raise InputError(
            "a product table needs a map of its columns", where="setting data.product_columns", remedy="give asin=..."
        )
    columns = _mapped(data.product_columns)
    for batch in read_table_rows(path, columns, "data.product_columns"):
        missing = [pl.lit(None, dtype=pl.String).alias(name) for name in PRODUCT_FACTS_SCHEMA if name not in columns]
        raw = batch.frame.with_columns(missing).with_columns(pl.col(ProductColumn.ASIN).str.strip_chars())
        has_name = pl.col(ProductColumn.ASIN).fill_null("") != ""
        nameless = raw.with_row_index().filter(~has_name)["index"].to_list()
        bad_rows = [_bad_row(batch, index, "product id is missing") for index in nameless]
        named = raw.filter(has_name)
        facts = named.with_columns(
            _parts(ProductColumn.CATEGORIES, data.category_separator),
            _parts(FEATURES, data.category_separator),
            prices(named[ProductColumn.PRICE]).alias(ProductColumn.PRICE),
            pl.col(DESCRIPTION).str.replace_all(LIST_SEPARATOR, " ", literal=True),
        )
        yield Batch(
            facts.select(pl.col(name).cast(dtype) for name, dtype in PRODUCT_FACTS_SCHEMA.items()),
            quarantine(path, batch.ragged + bad_rows),
            len(batch.lines) + len(batch.ragged),
            counts=count_unread_prices(named[ProductColumn.PRICE], facts[ProductColumn.PRICE]),
        )


def _mapped(column_map: BaseModel) -> dict[str, str]:
    return {name: column for name, column in column_map.model_dump().items() if column is not None}


def _parts(name: str, separator: str) -> pl.Expr:
    text = pl.col(name)
    of_list = text.str.split(LIST_SEPARATOR)
    of_text = text.str.split(separator).list.eval(pl.element().str.strip_chars())
    return pl.when(text.str.contains(LIST_SEPARATOR, literal=True)).then(of_list).otherwise(of_text).alias(name)


def _bad_row(batch: TableBatch, index: int, reason: str) -> BadRow:
    values = batch.frame.row(index, named=True)
    return BadRow(batch.lines[index], reason, ", ".join(f"{name}={value}" for name, value in values.items()))
