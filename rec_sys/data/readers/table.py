"""Any table, be it CSV, JSON or Parquet, by a map that says which column is what."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final, Self

import polars as pl
from pydantic import BaseModel

from rec_sys.contracts import InputError, ProductColumn, ReviewColumn
from rec_sys.data.dataset import RATING_SCALE, TIME_FORM
from rec_sys.data.readers.batches import Batch, note_unread, quarantine
from rec_sys.data.readers.events import EVENT_SETTINGS, ROW, as_events, check_kinds, event_columns
from rec_sys.data.readers.review_checks import (
    REASON,
    ReviewRules,
    checked_reviews,
    count_unrated,
    remedies,
    time_setting,
)
from rec_sys.raw_files.bad_rows import BadRow
from rec_sys.raw_files.list_texts import first_path, texts_within
from rec_sys.raw_files.missing import count_words, null_missing
from rec_sys.raw_files.parquet_rows import LIST_SEPARATOR
from rec_sys.raw_files.plain_text import count_unread_prices, prices
from rec_sys.raw_files.product_texts import DESCRIPTION, FEATURES, PRODUCT_FACTS_SCHEMA
from rec_sys.raw_files.rating_scales import STARS, describe_scale, stars_within
from rec_sys.raw_files.table_layout import TableFormat
from rec_sys.raw_files.table_rows import TableBatch, read_table_rows
from rec_sys.raw_files.tables import Table, has_time_type, list_columns
from rec_sys.raw_files.times import time_forms
from rec_sys.settings import AUTO, EngineSettings, TableData

_REVIEW_TEXTS: Final = (
    *(ReviewColumn.RATING, ReviewColumn.TIMESTAMP, ReviewColumn.TITLE, ReviewColumn.TEXT),
    *(ReviewColumn.STYLE, ReviewColumn.HELPFUL_VOTES, ReviewColumn.VERIFIED, ReviewColumn.EVENT),
)


@dataclass(frozen=True)
class ReviewReader:
    """What makes reviews of the rows of a table, when its first rows have been seen.

    Attributes:
        table: The table.
        data: Its settings.
        rules: How its values are meant.
        found: What was found out about them, and the columns that nothing reads.
    """

    table: Table
    data: TableData
    rules: ReviewRules
    found: dict[str, str]

    @classmethod
    def of(cls, table: Table, data: TableData, first: TableBatch) -> Self:
        """The reader of a table whose first rows are these.

        Raises:
            InputError: Its times can be read in several ways.
        """
        nothing = pl.Series(ReviewColumn.TIMESTAMP, [], dtype=pl.String)
        rules = _review_rules(
            table.path, data, table.columns, first.frame.get_column(ReviewColumn.TIMESTAMP, default=nothing)
        )
        return cls(table, data, rules, unread_columns(table) | _named(rules, data))

    def read(self, batch: TableBatch) -> Batch:
        """Some rows of the table.

        Raises:
            InputError: The column of kinds holds too many different values to be one.
        """
        data, columns, frame = self.data, self.table.columns, batch.frame
        missing = [pl.lit(None, dtype=pl.String).alias(name) for name in _REVIEW_TEXTS if name not in columns]
        whole = frame.with_columns(pl.Series(ReviewColumn.SOURCE_ROW, batch.source_rows, dtype=pl.Int64), *missing)
        raw, events = as_events(whole, data.events, str(self.table.path))
        ids, words = null_missing(raw.select(ReviewColumn.ASIN), data.missing_values)  # those within lists
        raw = raw.with_columns(ids)
        good, bad = checked_reviews(raw, self.rules)
        at = raw[ROW].gather(bad["index"]).to_list()
        bad_rows = [bad_row(batch, row, reason) for row, reason in dict.fromkeys(zip(at, bad[REASON], strict=True))]
        set_aside, counts = quarantine(batch.path, batch.ragged + bad_rows), batch.counts(len(bad_rows)) | events
        counts |= {label: counts.get(label, 0) + number for label, number in count_words(words).items()}
        left_out = whole.height - raw[ROW].n_unique()
        if data.drop_unrated:
            rated = good.filter(pl.col(ReviewColumn.RATING).is_not_null())
            counts |= {"rows without a rating (left out)": good.height - rated.height}
            left_out, good = left_out + good.height - rated.height, rated
        counts |= count_unrated(good) if ReviewColumn.RATING in columns else {}
        found = {**batch.found, **self.found}
        return Batch(good, set_aside, batch.num_records, found, counts, remedies(raw, bad, self.rules), left_out)


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


def _review_rules(path: Path, data: TableData, columns: dict[str, str], times: pl.Series) -> ReviewRules:
    """The rules of a table; `times` are those of its first rows."""
    rules = partial(
        ReviewRules,
        rating_scale=data.rating_scale,
        rating_words=data.rating_words or {},
    )
    column = columns.get(ReviewColumn.TIMESTAMP)
    if column is None:
        return rules(time_form=None)
    if has_time_type(path, column):
        return rules(time_form="ms")
    if data.timestamp_format is not None or data.timestamp_unit != "auto":
        return rules(time_form=data.timestamp_format or data.timestamp_unit)
    forms = time_forms(times)
    if len(forms) > 1:
        choices = " or ".join("=".join(time_setting(form)) for form in forms)
        example = times.drop_nulls().first()
        raise InputError(
            f"the column {column!r} can be read in {len(forms)} ways: {example!r} may be {' or '.join(forms)}",
            where=str(path),
            remedy=f"add {choices}",
        )
    return rules(time_form=forms[0] if forms else "s")


def _named(rules: ReviewRules, data: TableData) -> dict[str, str]:
    """What of the rules was found out or is out of the ordinary."""
    found = {}
    if rules.time_form is not None and data.timestamp_format is None and data.timestamp_unit == "auto":
        found[TIME_FORM] = rules.time_form
    if rules.rating_scale != STARS or rules.rating_words:
        found[RATING_SCALE] = describe_scale(rules.rating_scale, rules.rating_words)
    return found


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


def unread_columns(table: Table) -> dict[str, str]:
    """The columns that no part of the map names, as `Batch.found`."""
    return note_unread([name for name in list_columns(table) if name and name not in table.columns.values()])


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


def bad_row(batch: TableBatch, index: int, reason: str) -> BadRow:
    """A row of a batch's frame that is set aside."""
    values = batch.raw.row(index, named=True)
    return BadRow(batch.lines[index], reason, ", ".join(f"{name}={value}" for name, value in values.items()))
