"""Reads a file that a shop offers while the service runs: `python -m rec_sys.data.offered_rows FOLDER`.

A process of its own, because a file may be anything: one that takes all the memory, or breaks a library, takes no
service with it. What it is asked and answers stands in `rec_sys.offered_file`.
"""

import resource
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import polars as pl
from pydantic import ValidationError

from rec_sys.console import say, say_trace
from rec_sys.contracts import InputError, ProductColumn, QuarantineColumn, ReviewColumn
from rec_sys.data.column_map import complete_map, complete_product_map, read_head
from rec_sys.data.inspect import json_choice
from rec_sys.data.readers.amazon_reviews import read_amazon_reviews
from rec_sys.data.readers.batches import Batch
from rec_sys.data.readers.sequences import read_sequences
from rec_sys.data.readers.table import read_table_products, read_table_reviews
from rec_sys.files import atomic_file
from rec_sys.offered_file import (
    ANSWER,
    EXAMPLES,
    MOST_RECORDS,
    PROGRESS,
    REQUEST,
    ROLES,
    ROWS,
    Fault,
    FileAnswer,
    FileColumn,
    FileRequest,
)
from rec_sys.raw_files.content import PARQUET, encoding_of, first_bytes
from rec_sys.raw_files.encodings import likely_encoding
from rec_sys.raw_files.plain_text import UNREAD_PRICES
from rec_sys.settings import TableData
from rec_sys.value_words import fault_in_words

_MEMORY: Final = 4 << 30  # bytes; a small packed file may hold more than any machine
_LONGEST: Final = 60  # characters of a value that is shown
_REPEATED: Final = "with an id that comes again: the last one counts"
_SEQUENCES: Final = "sequences"


def answer(folder: Path) -> None:
    """Reads as it is asked, and writes what was found."""
    request = FileRequest.model_validate_json((folder / REQUEST).read_text())
    try:
        found = _read(request, folder / ROWS)
    except InputError as error:
        fault = Fault(what=error.what, where=error.where.replace(f"{folder}/", ""), remedy=error.remedy)
        likely = _likely_encoding(request)
        columns = _columns(request.model_copy(update={"encoding": likely or request.encoding}), None)
        found = FileAnswer(fault=fault, columns=columns, encoding=likely)
    with atomic_file(folder / ANSWER) as unfinished:
        unfinished.write_text(found.model_dump_json())


def _read(request: FileRequest, rows: Path) -> FileAnswer:
    said = _settings(request)
    choice = json_choice(request.path, said.encoding) if request.kind == "reviews" else None
    data = None if choice else (complete_map if request.kind == "reviews" else complete_product_map)(said)
    roles = {}
    if data is not None:
        columns = data.columns if request.kind == "reviews" else data.product_columns
        roles = {} if columns is None else {role: getattr(columns, role) for role in ROLES[request.kind]}
    records, taken, reasons, empty = 0, 0, Counter[str](), Counter[str]()
    found: dict[str, str] = {}
    likely: str | None = None
    for path in rows.iterdir():  # of an earlier look
        path.unlink()
    for place, batch in enumerate(_batches(request, choice, data)):
        good = _as_taken(batch.rows, request, has_time=choice != _SEQUENCES)
        records, taken = records + batch.num_records, taken + good.height
        reasons.update(batch.set_aside[QuarantineColumn.REASON].to_list())
        empty.update({what: batch.counts[what] for what in (UNREAD_PRICES,) if what in batch.counts})
        likely = likely or batch.remedies.get("data.encoding")
        found = found or {name: str(value) for name, value in batch.found.items()}
        good.write_parquet(rows / f"{place:06}.parquet")
        if not request.whole:
            break
        say(f"{PROGRESS}{records}")
        if records > MOST_RECORDS:
            raise InputError(
                f"the file has more than {MOST_RECORDS:,} records",
                where=request.path.name,
                remedy="split it, or train on it with rec_sys.train.train",
            )
    if request.kind == "products" and (repeated := _keep_last(rows)):
        taken, reasons[_REPEATED] = taken - repeated, repeated
    return FileAnswer(
        data_choice=choice,
        columns=() if data is None else _columns(request, data),
        roles=roles,
        rating_scale=data.rating_scale if data is not None and roles.get(ReviewColumn.RATING) else None,
        encoding=_encoding(request, likely),
        found=found,
        num_records=records,
        num_rows=taken,
        set_aside=dict(reasons.most_common()),
        left_empty=dict(empty),
        examples=tuple(_examples(rows)),
    )


def _settings(request: FileRequest) -> TableData:
    """The table as far as it is said."""
    given: dict[str, Any] = {"name": "offered", "reader": "table", "reviews_path": request.path}
    given["encoding"] = request.encoding
    if request.kind == "reviews":
        given["columns"] = request.columns
    else:
        given |= {"metadata_path": request.path, "product_columns": request.columns}
    if request.rating_scale is not None:
        given["rating_scale"] = request.rating_scale
    if request.time_form is not None:
        given["timestamp_format" if "%" in request.time_form else "timestamp_unit"] = request.time_form
    try:
        return TableData(**given)
    except ValidationError as error:
        fault = error.errors()[0]
        name = ".".join(map(str, fault["loc"]))
        raise InputError(fault_in_words(fault, name), where=name, remedy="change it") from error


def _likely_encoding(request: FileRequest) -> str | None:
    """Of a file that cannot be read: as it is said, or likely where that is not UTF-8; None where it is no text."""
    if request.encoding != "auto":
        return request.encoding
    try:
        return likely_encoding(request.path) or request.encoding
    except InputError:
        return None


def _encoding(request: FileRequest, likely: str | None) -> str | None:
    """What the file is written in; a likely one where some of its lines are not that; None where it is no text."""
    if first_bytes(request.path).startswith(PARQUET):
        return None
    return likely or encoding_of(request.path, request.encoding)


def _batches(request: FileRequest, choice: str | None, data: TableData | None) -> Iterator[Batch]:
    if data is not None:
        return (read_table_reviews if request.kind == "reviews" else read_table_products)(request.path, data)
    if choice == _SEQUENCES:
        return read_sequences(request.path, request.encoding)
    edition: Any = str(choice).replace("instruments", "amazon")
    return read_amazon_reviews(request.path, edition, request.encoding)


def _as_taken(rows: pl.DataFrame, request: FileRequest, *, has_time: bool) -> pl.DataFrame:
    """The columns that a store takes, under the names of its messages."""
    taken = rows.select(ROLES[request.kind])
    if request.kind == "reviews" and not has_time:  # a place in a sequence is no time
        taken = taken.with_columns(pl.lit(None, dtype=pl.Int64).alias(ReviewColumn.TIMESTAMP))
    return taken


def _columns(request: FileRequest, data: TableData | None) -> tuple[FileColumn, ...]:
    """All columns with their first values; none where not even the head can be read."""
    setting = "data.columns" if request.kind == "reviews" else "data.product_columns"
    try:
        frame = read_head(data or _settings(request), request.path, setting, {}).frame
    except InputError:
        return ()
    return tuple(
        FileColumn(name=name, values=tuple(map(_cut, frame[name].drop_nulls().unique(maintain_order=True)[:EXAMPLES])))
        for name in frame.columns
    )


def _keep_last(folder: Path) -> int:
    """Keeps of products whose id comes again the last row alone; returns how many rows go."""
    below, gone = pl.DataFrame(schema={ProductColumn.ASIN: pl.String}), 0
    for path in sorted(folder.iterdir(), reverse=True):
        rows = pl.read_parquet(path)
        last = rows.unique(ProductColumn.ASIN, keep="last", maintain_order=True)
        last = last.join(below, on=ProductColumn.ASIN, how="anti", maintain_order="left")
        if last.height < rows.height:
            last.write_parquet(path)
        below, gone = pl.concat([below, last.select(ProductColumn.ASIN)]), gone + rows.height - last.height
    return gone


def _examples(folder: Path) -> list[dict[str, str]]:
    """The first rows of a folder as people read them."""
    rows = pl.DataFrame()
    for path in sorted(folder.iterdir()):
        rows = pl.concat([rows, pl.read_parquet(path)], how="diagonal").head(EXAMPLES)
        if rows.height == EXAMPLES:
            break
    if ReviewColumn.TIMESTAMP in rows.columns:
        moment = pl.from_epoch(ReviewColumn.TIMESTAMP, time_unit="ms").dt.to_string("%Y-%m-%d %H:%M")
        rows = rows.with_columns(moment.str.strip_suffix(" 00:00").alias(ReviewColumn.TIMESTAMP))
    return [{role: _in_words(value) for role, value in row.items()} for row in rows.to_dicts()]


def _in_words(value: Any) -> str:
    if isinstance(value, list):
        value = ", ".join(value)
    return (
        ""
        if value is None
        else _cut(str(round(value, 2)).removesuffix(".0") if isinstance(value, float) else str(value))
    )


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _main(folder: Path) -> int:
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    try:
        answer(folder)
    except Exception as error:  # the service says that it failed, and this process's output why
        say_trace(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1])))
