"""The rows of a CSV, JSON or Parquet table as strings, in batches, with the line that each came from."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import polars as pl

from rec_sys.contracts import InputError, ReviewColumn
from rec_sys.raw_files.bad_rows import BadRow
from rec_sys.raw_files.content import empty_file, open_raw
from rec_sys.raw_files.csv_rows import CsvBatch, read_csv_rows
from rec_sys.raw_files.encodings import not_utf8
from rec_sys.raw_files.json_rows import read_json_rows
from rec_sys.raw_files.listing import first_of
from rec_sys.raw_files.missing import count_words, null_missing
from rec_sys.raw_files.parquet_rows import RowRange, read_parquet_texts, row_ranges
from rec_sys.raw_files.table_layout import MARK, TableLayout
from rec_sys.raw_files.tables import LISTED, Table, check_columns, list_columns


@dataclass(frozen=True)
class TableBatch:
    """Rows of a table as strings, under the names of the contract.

    Attributes:
        path: The file that they stand in.
        frame: Only rows with every field; what is blank, or a word for "missing", is null.
        raw: The same as it stands in the file.
        lines: Line of each row, counted from 1.
        source_rows: Number of each row in the table, counted from 0.
        ragged: Rows with too few or too many fields.
        found: How the table is written.
        other_lines: Lines that begin no row, by what they are; empty where a table has no lines.
        missing_words: How many words for "missing" were read as null, by column.
    """

    path: Path
    frame: pl.DataFrame
    raw: pl.DataFrame
    lines: Sequence[int]
    source_rows: Sequence[int]
    missing_words: Mapping[str, int]
    ragged: list[BadRow] = field(default_factory=list)
    found: Mapping[str, str] = field(default_factory=dict)
    other_lines: Mapping[str, int] = field(default_factory=dict)

    @property
    def num_records(self) -> int:
        """Rows, good and ragged."""
        return len(self.lines) + len(self.ragged)

    def counts(self, num_bad: int) -> dict[str, int]:
        """Every line by what became of it, and the words for "missing"; `num_bad` rows of the frame were set aside."""
        words = count_words(self.missing_words)
        if not self.other_lines:
            return words
        set_aside = num_bad + len(self.ragged)
        lines = {"lines of rows": self.num_records - set_aside, "lines of rows set aside": set_aside}
        return lines | dict(self.other_lines) | words


def read_table_rows(table: Table) -> Iterator[TableBatch]:
    """Reads the mapped columns of a table, as strings.

    Raises:
        InputError: The file cannot be read, or a column of the map is not in it.
    """
    return {"parquet": _read_parquet, "json": _read_json, "csv": _read_csv}[table.kind](table)


def read_columns(path: Path, columns: Sequence[str]) -> pl.DataFrame:
    """Some columns of a whole table as strings; rows that lack a field are left out.

    Raises:
        InputError: The file cannot be read, or a column is not in it.
    """
    table = Table(path, {name: name for name in columns}, "columns")
    present = list_columns(table)
    if missing := [name for name in columns if name not in present]:
        raise InputError(
            f"there is no column {', '.join(map(repr, missing))}",
            where=str(path),
            remedy=f"write it so in the header, which has {first_of([*filter(None, present)], most=LISTED)}",
        )
    empty = pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    return pl.concat([empty, *(batch.frame.select(columns) for batch in read_table_rows(table))])


def _read_csv(table: Table) -> Iterator[TableBatch]:
    """polars reads CSV faster, but neither tells a row's line nor sets a ragged row aside."""
    check_columns(table)
    layout = table.layout
    with open_raw(table.path, table.form.encoding, by_line=True) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
        try:
            before = list(islice(text, layout.before))
            num_rows = 0
            for batch in read_csv_rows(table.path, text, layout):
                num_rows += len(batch.rows) + len(batch.bad)
                yield _as_frame(batch, layout, table, before)
                before = []
        except UnicodeDecodeError as error:
            raise not_utf8(table.path) from error
    if not num_rows:
        raise empty_file(
            table.path, "the file has a header but no rows" if table.form.header else "the file has no rows"
        )


def _as_frame(batch: CsvBatch, layout: TableLayout, table: Table, before: list[str]) -> TableBatch:
    by_field = list(zip(*batch.rows, strict=True)) or [()] * len(layout.names)
    places = {name: layout.names.index(column) for name, column in table.columns.items()}
    frame = pl.DataFrame({name: pl.Series(by_field[at], dtype=pl.String) for name, at in places.items()})
    if len(layout.separator) > 1:
        frame = frame.with_columns(pl.all().str.replace_all(MARK, layout.separator, literal=True))
    blank = sum(not line.strip() for line in before)
    header = int(table.form.header and bool(before))
    known, words = null_missing(frame, table.missing_values)
    return TableBatch(
        path=table.path,
        frame=known,
        raw=frame,
        lines=batch.lines,
        source_rows=batch.numbers,
        missing_words=words,
        ragged=batch.bad,
        found={"table": layout.describe(table.form.header)},
        other_lines={
            "lines of the header": header,
            "lines before the header": len(before) - blank - header,
            "lines within a text": batch.continued,
            "blank lines": batch.blank + blank,
            "comment lines": batch.comments,
        },
    )


def _read_json(table: Table) -> Iterator[TableBatch]:
    """A text may be a word for "missing", since JSON has a null of its own."""
    check_columns(table)
    ours = [pl.col(column).alias(name) for name, column in table.columns.items()]
    texts = [name for name in (ReviewColumn.TITLE, ReviewColumn.TEXT) if name in table.columns]
    for batch in read_json_rows(table.path, table.columns.values(), table.form.encoding):
        frame = batch.frame.select(ours)
        filled = frame.with_columns(null_missing(frame.select(texts), ())[0])
        known, words = null_missing(frame.drop(texts), table.missing_values)
        found = {"table": "JSON, a row for each object"}
        rows = filled.with_columns(known)
        yield TableBatch(table.path, rows, frame, batch.lines, batch.numbers, words, batch.bad, found)


def _read_parquet(table: Table) -> Iterator[TableBatch]:
    for rows in table_ranges(table):
        yield read_row_range(table, rows)


def table_ranges(table: Table) -> list[RowRange]:
    """The rows of a Parquet table in the ranges that are read at once.

    Raises:
        InputError: A file cannot be read, lacks a column of the map, or there is no row.
    """
    check_columns(table)
    ranges = row_ranges(table.parts)
    if not ranges:
        raise empty_file(table.path, "the file has columns but no rows")
    return ranges


def read_row_range(table: Table, rows: RowRange) -> TableBatch:
    """Some rows of a Parquet table.

    Raises:
        InputError: The file cannot be read, or a column of the map holds no texts.
    """
    frame = read_parquet_texts(rows, table.columns, table.setting)
    known, words = null_missing(frame, table.missing_values)
    places = range(rows.first, rows.first + frame.height)
    lines, numbers = (range(places.start + by, places.stop + by) for by in (1, rows.before))
    return TableBatch(rows.path, known, frame, lines, numbers, words)
