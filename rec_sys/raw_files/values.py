"""The values of any small file that is handed in: objects, lists and rows, whatever the file is written as."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from rec_sys.contracts import InputError
from rec_sys.raw_files.content import PARQUET, empty_file, first_bytes, open_raw
from rec_sys.raw_files.encodings import not_utf8
from rec_sys.raw_files.json_objects import read_literal
from rec_sys.raw_files.records import Record, read_records
from rec_sys.raw_files.table_rows import read_table_rows
from rec_sys.raw_files.tables import Table, list_text_columns

_LARGEST: Final = 32 << 20  # bytes, unpacked: a few thousand long reviews; as Python's objects it is ten times as much
_ROW: Final = 300  # bytes that a row takes beside its texts


def read_values(path: Path, columns: Iterable[str]) -> list[Any]:
    """What stands in a file: the elements of a JSON array, a value a line, or the rows of a CSV or Parquet table.

    Args:
        path: The file, of any packing; UTF-8, or what its byte order mark says.
        columns: Names that a table's header may have; its other columns are read too. Cells are texts, and missing
            where they are empty.

    Raises:
        InputError: The file cannot be read.
    """
    if not first_bytes(path).startswith(PARQUET):
        with open_raw(path) as stream:
            head = stream.peek(4096).lstrip()
        if not head:
            raise empty_file(path)
        if head.startswith((b"[", b"{", b'"')):
            return _read_json(path)
    hint = Table(path, {name: name for name in columns}, "columns")
    table = Table(path, {name: name for name in list_text_columns(hint)}, "columns")
    rows: list[dict[str, Any]] = []
    size = 0
    for batch in read_table_rows(table):
        size += int(batch.frame.estimated_size()) + _ROW * batch.num_records
        if size > _LARGEST:
            raise _too_large(path)
        rows += batch.frame.rows(named=True)
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def _read_json(path: Path) -> list[Any]:
    with open_raw(path) as stream:
        content = stream.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise _too_large(path)
    try:
        value = json.loads(content)
    except UnicodeDecodeError as error:
        raise not_utf8(path) from error
    except (ValueError, RecursionError):
        return [_value_of(record, path) for batch in read_records(path) for record in batch.records]
    return value if isinstance(value, list) else [value]


def _too_large(path: Path) -> InputError:
    return InputError(
        f"the file holds more than {_LARGEST >> 20} MB",
        where=str(path),
        remedy="give fewer rows at once; users=FILE of rec_sys.inference.infer answers for as many users as there are",
    )


def _value_of(record: Record, path: Path) -> Any:
    try:
        return json.loads(record.raw)
    except (ValueError, RecursionError):
        try:
            return read_literal(record.raw.decode())
        except ValueError as error:
            raise InputError(
                "this cannot be read as JSON",
                where=f"{path}, line {record.line}",
                remedy="mend it, or give one object a line, a JSON array, or a CSV or Parquet table",
            ) from error
