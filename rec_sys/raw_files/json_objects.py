"""Parses JSON records into a frame, a batch at a time, and finds the broken ones without slowing down the rest.

polars parses a whole batch at once but says only that it failed; the lines are looked at one by one in a batch that
failed, and nowhere else.
"""

import ast
import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import polars as pl

BROKEN: Final = "broken JSON"
NOT_UTF8: Final = "not UTF-8 text, see data.encoding"
NO_OBJECT: Final = "not a JSON object"
WRONG_SHAPE: Final = "a field has the wrong type"


class ParsedObjects(NamedTuple):
    """What became of a batch of records."""

    frame: pl.DataFrame  # one row a good record, with the schema asked for
    positions: list[int]  # of the good records in the batch
    broken: dict[int, str]  # position in the batch -> reason


def parse_objects(records: Sequence[bytes], schema: dict[str, pl.DataType]) -> ParsedObjects:
    """Parses records; fields not in the schema are skipped, missing ones are null.

    A column of type String takes a value of any type: numbers as written, lists and objects as JSON. A record may be
    the literal of a Python dict instead of JSON, as Amazon's files of 2014 have it.
    """
    frame = _parse(records, schema)
    if frame is not None:
        return ParsedObjects(frame, list(range(len(records))), {})
    good: list[bytes] = []
    positions: list[int] = []
    broken: dict[int, str] = {}
    for position, record in enumerate(records):
        mended, reason = _mended(record)
        if reason:
            broken[position] = reason
        else:
            good.append(mended)
            positions.append(position)
    frames: list[pl.DataFrame] = []
    kept = [positions[index] for index in _parse_in_halves(good, 0, schema, frames)]
    broken |= dict.fromkeys(set(positions) - set(kept), WRONG_SHAPE)
    return ParsedObjects(pl.concat(frames) if frames else pl.DataFrame(schema=schema), kept, broken)


def field_names(record: bytes) -> list[str]:
    """The fields of one record; empty where it is no object."""
    mended, reason = _mended(record)
    return [] if reason else list(json.loads(mended))


def read_literal(text: str) -> Any:
    """The value of a Python literal; nan, which is none, is None.

    Raises:
        ValueError: It is something else.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval")
        return ast.literal_eval(_NanAsNone().visit(tree))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError("this is no literal") from error


class _NanAsNone(ast.NodeTransformer):
    def visit_Name(self, node: ast.Name) -> ast.AST:  # the name that ast asks for
        return ast.copy_location(ast.Constant(None), node) if node.id == "nan" else node


def _parse(records: Sequence[bytes], schema: dict[str, pl.DataType]) -> pl.DataFrame | None:
    try:
        frame = pl.read_ndjson(b"\n".join(records), schema=schema) if records else pl.DataFrame(schema=schema)
    except pl.exceptions.PolarsError:
        return None
    return frame if frame.height == len(records) else None


def _parse_in_halves(
    records: Sequence[bytes], offset: int, schema: dict[str, pl.DataType], frames: list[pl.DataFrame]
) -> list[int]:
    frame = _parse(records, schema)
    if frame is not None:
        frames.append(frame)
        return list(range(offset, offset + len(records)))
    if len(records) == 1:
        return []
    half = len(records) // 2
    first = _parse_in_halves(records[:half], offset, schema, frames)
    return first + _parse_in_halves(records[half:], offset + half, schema, frames)


def _mended(record: bytes) -> tuple[bytes, str]:
    """The record as strict JSON, and why that is impossible, if it is."""
    odd_numbers: list[str] = []
    try:
        # Python's own writer puts NaN where it has no number; strict JSON knows only null.
        value = json.loads(record, parse_constant=odd_numbers.append)
    except UnicodeDecodeError:
        return record, NOT_UTF8
    except (ValueError, RecursionError):
        odd_numbers.append("literal")
        try:
            value = read_literal(record.decode())
        except ValueError:
            return record, BROKEN
    if not isinstance(value, dict):
        return record, NO_OBJECT
    if not odd_numbers:
        return record, ""
    try:
        return json.dumps(value).encode(), ""
    except (ValueError, TypeError):
        return record, BROKEN
