"""The rows of a CSV or Parquet table as strings, in batches, with the line that each came from."""

import csv
import difflib
import io
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple, TextIO

import polars as pl

from rec_sys.contracts import InputError
from rec_sys.raw_files.bad_rows import BATCH_ROWS, BadRow
from rec_sys.raw_files.content import PARQUET, empty_file, first_bytes, open_raw

_DELIMITERS: Final = (",", "\t", ";")
_LONGEST_FIELD: Final = 16 << 20  # characters; beyond it a quote was opened and never closed
LIST_SEPARATOR: Final = "\x1f"  # ASCII's unit separator stands between the elements of a Parquet list


class TableBatch(NamedTuple):
    """Rows of a table as strings, under the names of the contract."""

    frame: pl.DataFrame  # only rows with every field
    lines: list[int]  # line of each row, counted from 1
    source_rows: list[int]  # number of each row, counted from 0
    ragged: list[BadRow]  # rows with too few or too many fields


def read_table_rows(path: Path, columns: dict[str, str], setting: str) -> Iterator[TableBatch]:
    """Reads the mapped columns of a table, as strings.

    Args:
        path: CSV (comma, tab or semicolon, plain or gzip) or Parquet; the content tells which.
        columns: Name in the contract -> column in the table.
        setting: The setting that holds the map, for errors.

    Raises:
        InputError: The file cannot be read, or a column of the map is not in it.
    """
    return _read_parquet(path, columns, setting) if _is_parquet(path) else _read_csv(path, columns, setting)


def has_time_type(path: Path, column: str) -> bool:
    """Whether a table says by its types that this column is a time."""
    dtype = _parquet_schema(path).get(column) if _is_parquet(path) else None
    return dtype is not None and dtype.is_temporal()


def _is_parquet(path: Path) -> bool:
    return first_bytes(path).startswith(PARQUET)


def _check_columns(path: Path, columns: dict[str, str], present: Sequence[str], setting: str) -> None:
    for name, column in columns.items():
        if column not in present:
            near = difflib.get_close_matches(column, present, n=1, cutoff=0.4)
            guess = f"did you mean {setting}.{name}={near[0]}? " if near else ""
            raise InputError(
                f"the table has no column {column!r} ({setting}.{name})",
                where=str(path),
                remedy=f"{guess}its columns: {', '.join(present)}; null where there is none",
            )


def _read_csv(path: Path, columns: dict[str, str], setting: str) -> Iterator[TableBatch]:
    """polars reads CSV faster, but neither tells a row's line nor sets a ragged row aside."""
    csv.field_size_limit(_LONGEST_FIELD)
    with open_raw(path) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
        try:
            first_line = text.readline()
            if first_line.lstrip().startswith(("{", "[")):
                remedy = "read it with the data= setting of its schema, such as data=instruments_2018 or data=sequences"
                raise InputError("this is JSON and no table", where=str(path), remedy=remedy)
            delimiter, header = _header(first_line, columns)
            _check_columns(path, columns, header, setting)
            yield from _csv_batches(path, text, delimiter, header, columns)
        except UnicodeDecodeError as error:
            where = f"{path}, line {_undecodable_line(path)}"
            raise InputError("the CSV is not UTF-8", where=where, remedy="save it as UTF-8") from error


def _csv_batches(
    path: Path, text: TextIO, delimiter: str, header: list[str], columns: dict[str, str]
) -> Iterator[TableBatch]:
    places = {name: header.index(column) for name, column in columns.items()}
    numbered = _numbered_rows(path, text, delimiter)
    next_row = 0
    while rows := list(islice(numbered, BATCH_ROWS)):
        whole = [(number, *row) for number, row in enumerate(rows, next_row) if len(row[1]) == len(header)]
        by_field = list(zip(*(fields for _, _, fields in whole), strict=True)) or [()] * len(header)
        frame = pl.DataFrame({name: pl.Series(by_field[at], dtype=pl.String) for name, at in places.items()})
        yield TableBatch(
            frame.with_columns(pl.all().replace("", None)),
            lines=[line for _, line, _ in whole],
            source_rows=[number for number, _, _ in whole],
            ragged=[
                BadRow(line, f"{len(fields)} fields where the header has {len(header)}", delimiter.join(fields))
                for line, fields in rows
                if len(fields) != len(header)
            ],
        )
        next_row += len(rows)
    if not next_row:
        raise empty_file(path)


def _numbered_rows(path: Path, text: TextIO, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The line that each row under the header begins at, and its fields; blank lines are no rows."""
    reader = csv.reader(text, delimiter=delimiter)
    line = 2  # the header is line 1
    try:
        for fields in reader:
            if fields:
                yield line, fields
            line = reader.line_num + 2
    except csv.Error as error:
        raise InputError(
            f"the CSV is broken ({error})", where=f"{path}, line {line}", remedy="look for a quote that is never closed"
        ) from error


def _undecodable_line(path: Path) -> int:
    with open_raw(path) as stream:
        for number, raw in enumerate(stream, 1):
            try:
                raw.decode()
            except UnicodeDecodeError:
                return number
    return 1


def _header(line: str, columns: dict[str, str]) -> tuple[str, list[str]]:
    """The delimiter under which most columns of the map are found, and the header's names."""
    found = {mark: [name.strip() for name in next(csv.reader([line], delimiter=mark), [])] for mark in _DELIMITERS}
    best = max(_DELIMITERS, key=lambda mark: (len(set(columns.values()) & set(found[mark])), len(found[mark])))
    return best, found[best]


def _read_parquet(path: Path, columns: dict[str, str], setting: str) -> Iterator[TableBatch]:
    schema = _parquet_schema(path)
    _check_columns(path, columns, list(schema), setting)
    texts = [_as_text(column, schema[column]).alias(name) for name, column in columns.items()]
    next_row = 0
    # Slices, not the streaming engine: that one reads ahead of its consumer until the whole file is in memory.
    while True:
        try:
            frame = pl.scan_parquet(path).slice(next_row, BATCH_ROWS).select(texts).collect()
        except pl.exceptions.PolarsError as error:
            raise _broken_parquet(path, error) from error
        if frame.is_empty():
            break
        rows = list(range(next_row, next_row + frame.height))
        yield TableBatch(frame, [row + 1 for row in rows], rows, [])
        next_row += frame.height
    if not next_row:
        raise empty_file(path)


def _parquet_schema(path: Path) -> pl.Schema:
    try:
        return pl.Schema(pl.read_parquet_schema(path))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _broken_parquet(path, error) from error


def _broken_parquet(path: Path, error: Exception) -> InputError:
    reason = str(error).splitlines()[0]
    return InputError(f"the Parquet file is broken ({reason})", where=str(path), remedy="copy or write it again")


def _as_text(column: str, dtype: pl.DataType) -> pl.Expr:
    """A typed column as the text that a CSV would hold."""
    value = pl.col(column)
    if isinstance(dtype, pl.Date | pl.Datetime):
        moment = value.cast(pl.Datetime("ms")) if isinstance(dtype, pl.Date) else value
        return moment.dt.epoch("ms").cast(pl.String)
    if isinstance(dtype, pl.List | pl.Array):
        return value.cast(pl.List(pl.String)).list.join(LIST_SEPARATOR, ignore_nulls=True)
    if isinstance(dtype, pl.Struct):
        return value.struct.json_encode()
    if dtype.is_float():
        # A table library turns integer ids into floats where one is missing; the id is still an integer.
        whole = value == value.round()
        return pl.when(whole).then(value.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(value.cast(pl.String))
    return value.cast(pl.String)
