"""Cuts a JSON file into its records, a batch at a time: one object a line, or one array of objects."""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from rec_sys.contracts import InputError
from rec_sys.raw_files.bad_rows import BATCH_ROWS, RAW_CHARACTERS
from rec_sys.raw_files.content import LONGEST_RECORD, empty_file, open_raw
from rec_sys.raw_files.encodings import not_utf8
from rec_sys.raw_files.json_objects import field_names

_CHUNK: Final = 1 << 20
_BATCH_BYTES: Final = 64 << 20
_BETWEEN: Final = re.compile(r"[\s,]*")


class Record(NamedTuple):
    """One object as it stands in the file."""

    raw: bytes
    line: int  # counted from 1


class RecordBatch(NamedTuple):
    """Consecutive records."""

    records: list[Record]
    first_row: int  # row number of the first one in the file, counted from 0; blank lines are no rows


def read_records(path: Path, encoding: str = "auto") -> Iterator[RecordBatch]:
    """The records of a JSON file, unparsed, in batches that fit into memory; `encoding` as `open_raw` takes it.

    Raises:
        InputError: The file cannot be read, is empty, breaks off, or its array is not well formed.
    """
    with open_raw(path, encoding) as stream:
        head = stream.peek(4096).lstrip()
        records = _array_records(stream, path) if head.startswith(b"[") else _line_records(stream, path)
        batch: list[Record] = []
        size = first_row = 0
        try:
            for record in records:
                batch.append(record)
                size += len(record.raw)
                if len(batch) == BATCH_ROWS or size >= _BATCH_BYTES:
                    yield RecordBatch(batch, first_row)
                    first_row += len(batch)
                    batch, size = [], 0
        except UnicodeDecodeError as error:
            raise not_utf8(path) from error
        if batch:
            yield RecordBatch(batch, first_row)
        elif not first_row:
            raise empty_file(path, *(["the JSON array is empty"] if head.startswith(b"[") else []))


def shown_fields(record: Record) -> str:
    """What an error says of a record that is not what was expected."""
    names = field_names(record.raw)
    return f"fields {', '.join(names)}" if names else f"begins with {shown_record(record)[:40]!r}"


def shown_record(record: Record) -> str:
    """The beginning of a record as text."""
    # A character takes four bytes at most; a cut through one shows as the replacement character.
    return record.raw[: 4 * RAW_CHARACTERS].decode("utf-8", "replace").strip()


def _line_records(stream: io.BufferedReader, path: Path) -> Iterator[Record]:
    rest, line = b"", 1
    while chunk := stream.read1(_CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        for raw in lines:
            if raw and not raw.isspace():
                yield Record(raw, line)
            line += 1
        _refuse_endless(len(rest), path, line)
    if rest and not rest.isspace():
        yield Record(rest, line)


def _array_records(stream: io.BufferedReader, path: Path) -> Iterator[Record]:
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
    decoder = json.JSONDecoder(parse_int=str)  # only the end is wanted, and Python refuses to make endless numbers
    buffer = text.read(_CHUNK)
    position = buffer.index("[") + 1
    line = buffer.count("\n", 0, position) + 1
    while True:
        between = _BETWEEN.match(buffer, position)
        start = between.end() if between else position
        try:
            if buffer[start : start + 1] == "]":
                after = (buffer[start + 1 :] + text.read(_CHUNK)).strip()
                if after:
                    raise InputError(
                        f"something follows the JSON array: {after[:40]!r}",
                        where=str(path),
                        remedy="put all objects into one array, or write one object a line",
                    )
                return
            _, end = decoder.raw_decode(buffer, start)
        except (json.JSONDecodeError, RecursionError) as error:
            # The object may go on in the next chunk; reading as much again as is waiting keeps the cost linear.
            more = text.read(max(_CHUNK, len(buffer) - position))
            _refuse_endless(len(buffer) - position, path, line)
            if more:
                buffer, position = buffer[position:] + more, 0
                continue
            at = line + buffer.count("\n", position, getattr(error, "pos", start))
            raise InputError(
                "the JSON array is broken", where=f"{path}, line {at}", remedy="mend it, or write one object a line"
            ) from error
        line += buffer.count("\n", position, start)
        yield Record(buffer[start:end].replace("\n", " ").replace("\r", " ").encode(), line)
        line += buffer.count("\n", start, end)
        position = end


def _refuse_endless(size: int, path: Path, line: int) -> None:
    if size > LONGEST_RECORD:
        raise InputError(
            f"a record is longer than {LONGEST_RECORD >> 20} MB",
            where=f"{path}, line {line}",
            remedy="give a file with one JSON object a line, or one JSON array of objects",
        )
