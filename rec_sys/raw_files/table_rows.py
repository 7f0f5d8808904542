"""The rows of a CSV, JSON or Parquet table as strings, in batches, with the line that each came from."""

import difflib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Final, Literal

import polars as pl

from rec_sys.contracts import InputError, ReviewColumn
from rec_sys.raw_files.bad_rows import BadRow
from rec_sys.raw_files.content import PARQUET, empty_file, first_bytes, open_raw
from rec_sys.raw_files.csv_rows import CsvBatch, read_csv_rows
from rec_sys.raw_files.encodings import not_utf8
from rec_sys.raw_files.json_rows import json_fields, read_json_rows
from rec_sys.raw_files.listing import first_of
from rec_sys.raw_files.missing import count_words, null_missing
from rec_sys.raw_files.parquet_rows import parquet_schema, read_parquet_texts, text_columns
from rec_sys.raw_files.table_layout import DEFAULT_FORMAT, MARK, TableFormat, TableLayout, find_layout
from rec_sys.ready_command import argument
from rec_sys.settings import MISSING_VALUES

_ALIKE: Final = 0.4  # of difflib's ratio
_LISTED: Final = 40  # columns that a refusal names


@dataclass(frozen=True)
class TableBatch:
    """Rows of a table as strings, under the names of the contract.

    Attributes:
        frame: Only rows with every field; what is blank, or a word for "missing", is null.
        raw: The same as it stands in the file.
        lines: Line of each row, counted from 1.
        source_rows: Number of each row, counted from 0.
        ragged: Rows with too few or too many fields.
        found: How the table is written.
        other_lines: Lines that begin no row, by what they are; empty where a table has no lines.
        missing_words: How many words for "missing" were read as null, by column.
    """

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


@dataclass(frozen=True)
class Table:
    """A table and what is read of it.

    Args:
        path: CSV, JSON objects or Parquet, in any packing; the content tells which.
        columns: Name in the contract -> column in the table.
        setting: The setting that holds this map, for errors.
        missing_values: Words of other tools for "missing".
        form: How a CSV is written, as far as it is known.
        other_settings: Name in the contract -> its setting, where that is not in the map.
    """

    path: Path
    columns: dict[str, str]
    setting: str
    missing_values: tuple[str, ...] = MISSING_VALUES
    form: TableFormat = DEFAULT_FORMAT
    other_settings: Mapping[str, str] = field(default_factory=dict)

    def setting_of(self, name: str) -> str:
        """The setting that names a column."""
        return self.other_settings.get(name, f"{self.setting}.{name}")

    @cached_property
    def kind(self) -> Literal["csv", "parquet", "json"]:
        """What the file is, as its content tells."""
        if first_bytes(self.path).startswith(PARQUET):
            return "parquet"
        return "json" if json_fields(self.path, self.form.encoding) else "csv"


def check_columns(*tables: Table) -> None:
    """Looks for the columns of several tables at once, so that one message names all that are wrong.

    Raises:
        InputError: A table cannot be read, or columns of a map are not in it.
    """
    wrong, guesses, listed = [], [], []
    for table in tables:
        present = list_columns(table)
        missing = {name: column for name, column in table.columns.items() if column not in present}
        wrong += [f"{column!r} ({table.setting_of(name)})" for name, column in missing.items()]
        guesses += [argument(table.setting_of(name), near) for name, near in _guess(missing, table, present)]
        twice = [column for column in table.columns.values() if present.count(column) > 1]
        if twice:
            raise InputError(
                f"several columns are called {', '.join(map(repr, twice))}",
                where=str(table.path),
                remedy="give each a name of its own in the file",
            )
        if missing:
            listed.append((table.path, present))
    if wrong:
        ready = " ".join(guesses)
        shown = "; ".join(
            f"the columns of {path.name}: {first_of([*filter(None, names)], most=_LISTED)}" for path, names in listed
        )
        if any(len(names) == 1 for _, names in listed):
            shown += "; if that is several columns, mend data.separator"
        raise InputError(
            f"there {'is' if len(wrong) == 1 else 'are'} no column{'' if len(wrong) == 1 else 's'} {', '.join(wrong)}",
            where=", ".join(str(path) for path, _ in listed),
            remedy=f"{f'did you mean: {ready}; ' if ready else ''}{shown}; null where there is none",
        )


def list_columns(table: Table) -> list[str]:
    """The columns of a table, in their order."""
    if table.kind == "json":
        return json_fields(table.path, table.form.encoding)
    if table.kind == "parquet":
        return list(parquet_schema(table.path))
    return list(find_layout(table.path, table.form, [*table.columns.values()]).names)


def list_text_columns(table: Table) -> list[str]:
    """Those of the columns that have a name and hold texts, as every column of a CSV does."""
    return text_columns(table.path) if table.kind == "parquet" else [name for name in list_columns(table) if name]


def _guess(missing: Mapping[str, str], table: Table, present: Sequence[str]) -> list[tuple[str, str]]:
    """The likeliest column for each that is missing; none is proposed twice, or where the map has it already."""
    free = set(present) - {*table.columns.values(), ""}
    alike = [
        (difflib.SequenceMatcher(None, column.lower(), other.lower()).ratio(), name, other)
        for name, column in missing.items()
        for other in free
    ]
    chosen: dict[str, str] = {}
    for likeness, name, other in sorted(alike, key=lambda pair: (-pair[0], *pair[1:])):
        if likeness >= _ALIKE and name not in chosen and other not in chosen.values():
            chosen[name] = other
    return [(name, chosen[name]) for name in missing if name in chosen]


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
            remedy=f"write it so in the header, which has {first_of([*filter(None, present)], most=_LISTED)}",
        )
    empty = pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    return pl.concat([empty, *(batch.frame.select(columns) for batch in read_table_rows(table))])


def has_time_type(path: Path, column: str) -> bool:
    """Whether a table says by its types that this column is a time."""
    dtype = parquet_schema(path).get(column) if first_bytes(path).startswith(PARQUET) else None
    return dtype is not None and dtype.is_temporal()


def _read_csv(table: Table) -> Iterator[TableBatch]:
    """polars reads CSV faster, but neither tells a row's line nor sets a ragged row aside."""
    check_columns(table)
    layout = find_layout(table.path, table.form, [*table.columns.values()])
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
        yield TableBatch(rows, frame, batch.lines, batch.numbers, words, batch.bad, found)


def _read_parquet(table: Table) -> Iterator[TableBatch]:
    check_columns(table)
    next_row = 0
    for frame in read_parquet_texts(table.path, table.columns, table.setting):
        rows = range(next_row, next_row + frame.height)
        known, words = null_missing(frame, table.missing_values)
        next_row += frame.height
        yield TableBatch(known, frame, range(rows.start + 1, next_row + 1), rows, words)
    if not next_row:
        raise empty_file(table.path, "the file has columns but no rows")
