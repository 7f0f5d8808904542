"""What every reader yields: typed rows in batches, beside the raw rows that had to be set aside."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import polars as pl

from rec_sys.contracts import QuarantineColumn, ReviewColumn
from rec_sys.raw_files.bad_rows import RAW_CHARACTERS, BadRow
from rec_sys.raw_files.json_objects import field_names
from rec_sys.raw_files.listing import first_of
from rec_sys.raw_files.product_texts import PRODUCT_FACTS_SCHEMA
from rec_sys.raw_files.records import RecordBatch, shown_record

REVIEW_SCHEMA: Final[dict[str, pl.DataType]] = {
    ReviewColumn.USER_ID: pl.String(),
    ReviewColumn.ASIN: pl.String(),
    ReviewColumn.RATING: pl.Float32(),
    ReviewColumn.TIMESTAMP: pl.Int64(),
    ReviewColumn.TITLE: pl.String(),
    ReviewColumn.TEXT: pl.String(),
    ReviewColumn.STYLE: pl.String(),
    ReviewColumn.HELPFUL_VOTES: pl.Int32(),
    ReviewColumn.VERIFIED: pl.Boolean(),
    ReviewColumn.EVENT: pl.String(),
    ReviewColumn.WEIGHT: pl.Float32(),
    ReviewColumn.SOURCE_ROW: pl.Int64(),
}

_EXAMINED_RECORDS: Final = 100  # that tell a file's fields

QUARANTINE_SCHEMA: Final[dict[str, pl.DataType]] = {
    QuarantineColumn.FILE: pl.String(),
    QuarantineColumn.LINE: pl.Int64(),
    QuarantineColumn.REASON: pl.String(),
    QuarantineColumn.RAW: pl.String(),
}


@dataclass(frozen=True)
class Batch:
    """Some rows of a raw file.

    Args:
        rows: The good ones, in file order, as `REVIEW_SCHEMA`, `PRODUCT_FACTS_SCHEMA` or `contracts.UserColumn`.
        set_aside: The bad ones, as `QUARANTINE_SCHEMA`.
        num_records: Raw records that were read, good and bad; a sequence is one record of many rows.
        found: What the reader found out by itself, for the log and the summary: label -> value.
        counts: What happened in this batch beside bad rows: label -> how often; summed over the file.
        remedies: Setting -> value under which the bad rows could be read, where their values tell it.
        left_out: Records that are none of these because the settings say so.
    """

    rows: pl.DataFrame
    set_aside: pl.DataFrame
    num_records: int
    found: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    remedies: Mapping[str, str] = field(default_factory=dict)
    left_out: int = 0


@dataclass(frozen=True)
class Source:
    """A data set before preparation.

    Args:
        files: Whose contents decide the result.
        has_time: False where reviews come in order but without a time.
        reviews: Reads the reviews from the start.
        products: Reads what is known of the products; None where nothing is.
        users: Reads what is known of the users, likewise.
        titles: What each title was taken for, when all reviews are read; None where reviews name products by ids.
        in_ranges: Whether the reviews can be read from any row on, and so by several machines at once.
    """

    files: tuple[Path, ...]
    has_time: bool
    reviews: Callable[[], Iterator[Batch]]
    products: Callable[[], Iterator[Batch]] | None = None
    users: Callable[[], Iterator[Batch]] | None = None
    titles: Callable[[], pl.DataFrame] | None = None
    in_ranges: bool = False


def note_unread(names: Sequence[str], what: str = "columns") -> dict[str, str]:
    """Columns or fields that nothing reads, as `Batch.found`; of many the first."""
    return {f"{what} that nothing reads": first_of(names)} if names else {}


def note_unread_fields(batch: RecordBatch, read: Collection[str]) -> dict[str, str]:
    """The same for the first records of a file; `read` are the fields that are known."""
    if batch.first_row:
        return {}
    names = dict.fromkeys(name for record in batch.records[:_EXAMINED_RECORDS] for name in field_names(record.raw))
    return note_unread([name for name in names if name not in read], "fields")


def as_reviews(rows: pl.DataFrame) -> pl.DataFrame:
    """Typed rows as `REVIEW_SCHEMA`; columns that are not there are null."""
    missing = [pl.lit(None).alias(name) for name in REVIEW_SCHEMA if name not in rows.columns]
    return rows.with_columns(missing).select(pl.col(name).cast(dtype) for name, dtype in REVIEW_SCHEMA.items())


def as_product_facts(rows: pl.DataFrame) -> pl.DataFrame:
    """Typed rows as `PRODUCT_FACTS_SCHEMA`, likewise."""
    missing = [pl.lit(None).alias(name) for name in PRODUCT_FACTS_SCHEMA if name not in rows.columns]
    return rows.with_columns(missing).select(pl.col(name).cast(dtype) for name, dtype in PRODUCT_FACTS_SCHEMA.items())


def quarantine(file: Path, bad_rows: Sequence[BadRow]) -> pl.DataFrame:
    """Bad rows as `QUARANTINE_SCHEMA`, ordered by line."""
    rows = [(str(file), bad.line, bad.reason, bad.raw[:RAW_CHARACTERS]) for bad in sorted(bad_rows)]
    return pl.DataFrame(rows, schema=QUARANTINE_SCHEMA, orient="row")


def set_aside(file: Path, batch: RecordBatch, reasons: dict[int, str]) -> pl.DataFrame:
    """The bad records of a batch as `QUARANTINE_SCHEMA`; `reasons` says by position what is wrong."""
    bad = [BadRow(batch.records[at].line, reason, shown_record(batch.records[at])) for at, reason in reasons.items()]
    return quarantine(file, bad)
