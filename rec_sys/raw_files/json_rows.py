"""Objects of a JSON file as the rows of a table: a field is a column, and its value the text that a CSV would hold."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from rec_sys.raw_files.bad_rows import BadRow
from rec_sys.raw_files.content import open_raw
from rec_sys.raw_files.json_objects import field_names, parse_objects
from rec_sys.raw_files.records import read_records, shown_record

_EXAMINED: Final = 100  # records that tell the fields


@dataclass(frozen=True)
class JsonBatch:
    """Consecutive records.

    Attributes:
        frame: The good ones, under the fields' names.
        lines: Line of each, counted from 1.
        numbers: Number of each in the file, counted from 0.
        bad: Records that are no objects.
    """

    frame: pl.DataFrame
    lines: list[int]
    numbers: list[int]
    bad: list[BadRow]


def json_fields(path: Path, encoding: str) -> list[str]:
    """The fields of the first objects, in their order; empty where the file is no JSON of objects."""
    with open_raw(path, encoding) as stream:
        if not stream.peek(64).lstrip().startswith((b"{", b"[")):
            return []
    first = next(read_records(path, encoding)).records[:_EXAMINED]
    return list(dict.fromkeys(name for record in first for name in field_names(record.raw)))


def read_json_rows(path: Path, fields: Iterable[str], encoding: str) -> Iterator[JsonBatch]:
    """The records of a JSON file, a batch at a time; other fields are skipped.

    Raises:
        InputError: The file cannot be read, or holds no record.
    """
    schema: dict[str, pl.DataType] = dict.fromkeys(fields, pl.String())
    for batch in read_records(path, encoding):
        records = batch.records
        parsed = parse_objects([record.raw for record in records], schema)
        bad = [BadRow(records[at].line, reason, shown_record(records[at])) for at, reason in parsed.broken.items()]
        lines = [records[at].line for at in parsed.positions]
        yield JsonBatch(parsed.frame, lines, [batch.first_row + at for at in parsed.positions], bad)
