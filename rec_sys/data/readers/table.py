"""Any table, be it CSV, JSON or Parquet, by a map that says which column is what."""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import polars as pl
from pydantic import BaseModel

from rec_sys.contracts import InputError, ProductColumn
from rec_sys.data.readers.batches import Batch, quarantine
from rec_sys.data.readers.events import EVENT_SETTINGS, check_kinds, event_columns
from rec_sys.data.readers.table_reviews import ReviewReader, bad_row, unread_columns
from rec_sys.raw_files.list_texts import first_path, texts_within
from rec_sys.raw_files.parquet_rows import LIST_SEPARATOR
from rec_sys.raw_files.plain_text import count_unread_prices, prices
from rec_sys.raw_files.product_texts import DESCRIPTION, FEATURES, PRODUCT_FACTS_SCHEMA
from rec_sys.raw_files.rating_scales import stars_within
from rec_sys.raw_files.table_layout import TableFormat
from rec_sys.raw_files.table_rows import read_table_rows
from rec_sys.raw_files.tables import Table
from rec_sys.settings import AUTO, EngineSettings, TableData


def read_table_reviews(path: Path, data: TableData, engine: EngineSettings | None = None) -> Iterator[Batch]:
    """Reads reviews from a table.

    A Parquet column of type date or datetime is a time whatever `timestamp_unit` says; with `auto` the first rows of
    others say what is meant.

    Args:
        path: The table.
        data: Its settings.
        engine: Who reads a Parquet table; None: this process, as it does any other.

    Raises:
        InputError: The file cannot be read, a column of the map is not in it, or the cluster cannot be used.
    """
    kinds: Counter[str] = Counter()
    for batch in _review_batches(review_table(path, data), data, engine):
        kinds.update(batch.counts)
        yield batch
    check_kinds(kinds, data.events, str(path))


def _review_batches(table: Table, data: TableData, engine: EngineSettings | None) -> Iterator[Batch]:
    batches = read_table_rows(table)
    first = next(batches)
    reader = ReviewReader.of(table, data, first)
    if engine is not None and engine.kind == "ray" and table.kind == "parquet":
        from rec_sys.data.readers.ray_reading import read_on_ray

        yield from read_on_ray(reader, engine)
    else:
        yield from map(reader.read, chain([first], batches))


def read_table_products(path: Path, data: TableData) -> Iterator[Batch]:
    """Reads what is known of products from a table.

    Raises:
        InputError: The file cannot be read, a column of the map is not in it, or there is no map.
    """
    table = product_table(path, data)
    columns = table.columns
    for batch in read_table_rows(table):
        missing = [pl.lit(None, dtype=pl.String).alias(name) for name in PRODUCT_FACTS_SCHEMA if name not in columns]
        raw = batch.frame.with_columns(missing).with_columns(pl.col(ProductColumn.ASIN).str.strip_chars())
        has_name = pl.col(ProductColumn.ASIN).fill_null("") != ""
        nameless = raw.with_row_index().filter(~has_name)["index"].to_list()
        bad_rows = [bad_row(batch, index, "product id is missing") for index in nameless]
        named = raw.filter(has_name)
        facts = named.with_columns(
            _parts(ProductColumn.CATEGORIES, data.category_separator, first_path),
            _parts(FEATURES, data.category_separator, texts_within),
            prices(named[ProductColumn.PRICE]).alias(ProductColumn.PRICE),
            stars_within(named[ProductColumn.KNOWN_RATING], data.rating_scale).alias(ProductColumn.KNOWN_RATING),
            _parts(DESCRIPTION, LIST_SEPARATOR, texts_within).list.join(" "),
        )
        yield Batch(
            facts.select(pl.col(name).cast(dtype) for name, dtype in PRODUCT_FACTS_SCHEMA.items()),
            quarantine(batch.path, batch.ragged + bad_rows),
            batch.num_records,
            found={**batch.found, **unread_columns(table)},
            counts=batch.counts(len(bad_rows))
            | count_unread_prices(named[ProductColumn.PRICE], facts[ProductColumn.PRICE]),
        )


def review_table(path: Path, data: TableData) -> Table:
    """The table of reviews and what the settings say of it."""
    columns = {**_mapped(data.columns), **event_columns(data.events)}
    return Table(path, columns, "data.columns", data.missing_values, table_form(data), EVENT_SETTINGS)


def product_table(path: Path, data: TableData) -> Table:
    """The same for the products.

    Raises:
        InputError: There is no map of its columns.
    """
    if data.product_columns is None:
        raise InputError(
            "a product table needs a map of its columns", where="setting data.product_columns", remedy="give asin=..."
        )
    return Table(path, _mapped(data.product_columns), "data.product_columns", data.missing_values, table_form(data))


def table_form(data: TableData) -> TableFormat:
    """How a CSV is written, as far as the settings say."""
    return TableFormat(data.separator, data.quoting, data.header, data.comment, data.encoding)


def _mapped(column_map: BaseModel) -> dict[str, str]:
    return {name: column for name, column in column_map.model_dump().items() if column not in (None, AUTO)}


def _parts(name: str, separator: str, read_list: Callable[[str], list[str]]) -> pl.Expr:
    """A column's texts: the elements of a list, or what stands between separators."""
    text = pl.col(name)
    printed = pl.when(text.str.contains(r"(?s)^\s*\[.*\]\s*$")).then(text).map_elements(read_list, pl.List(pl.String))
    of_list = text.str.strip_suffix(LIST_SEPARATOR).str.split(LIST_SEPARATOR)
    of_text = text.str.split(separator).list.eval(pl.element().str.strip_chars())
    is_list = text.str.ends_with(LIST_SEPARATOR)
    return pl.coalesce(printed, pl.when(is_list).then(of_list).otherwise(of_text)).alias(name)
