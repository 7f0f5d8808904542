"""Columns of a Parquet table as the texts that a CSV would hold, in batches; what is no text is named by its type.

A table may be a folder of Parquet files, as Spark, Dask and Polars write one: they follow in the order of their names.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
from polars.datatypes import DataTypeClass

from rec_sys.contracts import InputError
from rec_sys.raw_files.bad_rows import BATCH_ROWS

LIST_SEPARATOR: Final = "\x1f"  # ASCII's unit separator stands behind each element of a list


@dataclass(frozen=True)
class RowRange:
    """Rows of one file of a table.

    Attributes:
        path: The file.
        first: Of its rows, counted from 0.
        number: How many, at most.
        before: How many rows the files before it have.
    """

    path: Path
    first: int
    number: int
    before: int


def parts_of(path: Path) -> tuple[Path, ...]:
    """The files of a table: the Parquet files of a folder; else the file itself.

    Raises:
        InputError: The folder has folders of Parquet files, whose names hold a column that no file has.
    """
    if not path.is_dir():
        return (path,)
    for inner in sorted(path.glob("*/*.parquet")):
        raise InputError(
            "a folder of Parquet files has folders of them",
            where=str(inner.parent),
            remedy="write the table into one folder, with the columns that folders are named by in the files",
        )
    return tuple(sorted(path.glob("*.parquet"))) or (path,)


def row_ranges(parts: tuple[Path, ...]) -> list[RowRange]:
    """All rows of a table, `BATCH_ROWS` at a time.

    Raises:
        InputError: A file is broken.
    """
    ranges, before = list[RowRange](), 0
    for path in parts:
        try:
            rows = int(pl.scan_parquet(path).select(pl.len()).collect().item())
        except (pl.exceptions.PolarsError, OSError) as error:
            raise _broken(path, error) from error
        ranges += [RowRange(path, first, BATCH_ROWS, before) for first in range(0, rows, BATCH_ROWS)]
        before += rows
    return ranges


def parquet_schema(path: Path) -> pl.Schema:
    """The columns and their types.

    Raises:
        InputError: The file is broken.
    """
    try:
        return pl.Schema(pl.read_parquet_schema(path))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _broken(path, error) from error


def text_columns(path: Path) -> list[str]:
    """The columns whose first rows can be written as texts; pictures and other bytes cannot."""
    first = pl.scan_parquet(path).head(BATCH_ROWS)
    return [name for name, dtype in parquet_schema(path).items() if _has_text(dtype) and _is_text(first, name, dtype)]


def read_parquet_texts(rows: RowRange, columns: Mapping[str, str], setting: str) -> pl.DataFrame:
    """Some rows of the columns of a map, ours -> the file's, under our names.

    Raises:
        InputError: The file is broken, or a column holds no texts.
    """
    path = rows.path
    schema = parquet_schema(path)
    for name, column in columns.items():
        if not _has_text(schema[column]):
            raise _no_text(path, column, f"{setting}.{name}", schema[column])
    texts = [_as_text(column, schema[column]).alias(name) for name, column in columns.items()]
    # A slice, not the streaming engine: that one reads ahead of its consumer until the whole file is in memory.
    chosen = pl.scan_parquet(path).slice(rows.first, rows.number)
    try:
        return chosen.select(texts).collect()
    except pl.exceptions.PolarsError as error:
        for name, column in columns.items():
            if not _is_text(chosen, column, schema[column]):
                raise _no_text(path, column, f"{setting}.{name}", schema[column]) from error
        raise _broken(path, error) from error


def _has_text(dtype: pl.DataType | DataTypeClass) -> bool:
    """Whether values of a type can be written as text; bytes may turn out to be one."""
    if isinstance(dtype, pl.List | pl.Array):
        return dtype.inner != pl.Binary and _has_text(dtype.inner)
    if isinstance(dtype, pl.Struct):
        return all(field.dtype != pl.Binary and _has_text(field.dtype) for field in dtype.fields)
    return dtype not in (pl.Duration, pl.Object)


def _is_text(rows: pl.LazyFrame, column: str, dtype: pl.DataType) -> bool:
    """Whether bytes are a text that a tool has not called one; other types are looked at no further."""
    if dtype != pl.Binary:
        return True
    try:
        rows.select(_as_text(column, dtype)).collect()
    except pl.exceptions.PolarsError:
        return False
    return True


def _no_text(path: Path, column: str, setting: str, dtype: pl.DataType) -> InputError:
    return InputError(
        f"the column {column!r} is {dtype} and holds no texts",
        where=f"{path} ({setting})",
        remedy=f"name another column, or write this one to the file as text; {setting}=null where there is none",
    )


def _broken(path: Path, error: Exception) -> InputError:
    reason = str(error).splitlines()[0]
    return InputError(f"the Parquet file is broken ({reason})", where=str(path), remedy="copy or write it again")


def _as_text(column: str, dtype: pl.DataType) -> pl.Expr:
    """A typed column as the text that a CSV would hold."""
    value = pl.col(column)
    if isinstance(dtype, pl.Date | pl.Datetime):
        moment = value.cast(pl.Datetime("ms")) if isinstance(dtype, pl.Date) else value
        return moment.dt.epoch("ms").cast(pl.String)
    if isinstance(dtype, pl.List | pl.Array):
        if dtype.inner.is_nested():
            # Lists of lists and of records as JSON, which polars writes of a record alone: {"":[...]}
            whole = pl.struct(value.alias("")).struct.json_encode()
            return pl.when(value.is_not_null()).then(whole.str.slice(4).str.head(-1))
        # Also behind the last one, so that a list of one differs from a text.
        return value.cast(pl.List(pl.String)).list.join(LIST_SEPARATOR, ignore_nulls=True) + LIST_SEPARATOR
    if isinstance(dtype, pl.Struct):
        return value.struct.json_encode()
    if dtype.is_float():
        # A table library turns integer ids into floats where one is missing; the id is still an integer.
        number = value.fill_nan(None)
        whole = pl.when(number == number.round()).then(number.cast(pl.Int64, strict=False))
        return pl.coalesce(whole.cast(pl.String), number.cast(pl.String))
    return value.cast(pl.String)
