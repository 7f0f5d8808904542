"""Bare sequences: a user and the products they came to, in order, one object a line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl

from rec_sys.contracts import InputError, ReviewColumn
from rec_sys.data.readers.batches import Batch, as_reviews, note_unread_fields, set_aside
from rec_sys.raw_files.json_objects import parse_objects
from rec_sys.raw_files.records import read_records, shown_fields
from rec_sys.settings import MISSING_VALUES

USER: Final = "user"
ITEMS: Final = "items"
_USER: Final = pl.col(USER).str.strip_chars()
_SCHEMA: Final[dict[str, pl.DataType]] = {USER: pl.String(), ITEMS: pl.List(pl.String())}


def read_sequences(
    path: Path, encoding: str = "auto", missing_values: tuple[str, ...] = MISSING_VALUES
) -> Iterator[Batch]:
    """Reads `{"user": ..., "items": [...]}` lines; a review's timestamp is its position in the list, from 0.

    Raises:
        InputError: The file cannot be read or holds something else.
    """
    seen: set[str] = set()
    next_row = 0
    for batch in read_records(path, encoding):
        parsed = parse_objects([record.raw for record in batch.records], _SCHEMA)
        frame = parsed.frame.with_columns(pl.Series("position", parsed.positions, dtype=pl.Int64))
        if batch.first_row == 0 and (frame.is_empty() or frame[USER].is_null().all() or frame[ITEMS].is_null().all()):
            raise InputError(
                "the file does not hold sequences",
                where=f"{path}, line {batch.records[0].line}: {shown_fields(batch.records[0])}",
                remedy='each line needs {"user": ..., "items": [...]}; reviews are read with another data= setting',
            )
        reasoned = frame.with_columns(_reason(seen, missing_values).alias("reason"))
        bad = reasoned.filter(pl.col("reason").is_not_null()).select("position", "reason")
        good = reasoned.filter(pl.col("reason").is_null()).select(_USER, ITEMS)
        seen.update(good[USER].to_list())
        reviews = _as_reviews(good, next_row)
        next_row += reviews.height
        broken = set_aside(path, batch, parsed.broken | dict(bad.iter_rows()))
        yield Batch(reviews, broken, len(batch.records), note_unread_fields(batch, _SCHEMA))


def _reason(seen: set[str], missing_values: tuple[str, ...]) -> pl.Expr:
    """Why a line is no sequence; null where it is one."""
    items = pl.col(ITEMS)
    none = ("", *missing_values)
    nameless = items.list.eval(pl.element().is_null() | pl.element().str.strip_chars().is_in(none)).list.any()
    repeated = _USER.is_in(pl.Series(list(seen), dtype=pl.String).implode()) | ~_USER.is_first_distinct()
    faults = [
        (_USER.is_null() | _USER.is_in(none), "user id is missing"),
        (items.is_null() | (items.list.len() == 0), "items are missing"),
        (nameless, "product id is missing"),
        (repeated, "the user has an earlier line"),
    ]
    return pl.coalesce(*(pl.when(is_so).then(pl.lit(reason)) for is_so, reason in faults))


def _as_reviews(sequences: pl.DataFrame, first_row: int) -> pl.DataFrame:
    positions = pl.int_ranges(pl.col(ITEMS).list.len()).alias(ReviewColumn.TIMESTAMP)
    rows = sequences.with_columns(positions).explode(ITEMS, ReviewColumn.TIMESTAMP)
    rows = rows.rename({USER: ReviewColumn.USER_ID, ITEMS: ReviewColumn.ASIN})
    return as_reviews(rows.with_row_index(ReviewColumn.SOURCE_ROW, offset=first_row))
