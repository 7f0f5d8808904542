"""A look at a file before anything is trained: `uv run -m rec_sys.data.inspect FILE [PRODUCTS]`.

It says how the file is written, which column is what, with three values each, and what of its first rows would be set
aside and why; it writes the map for `data.map_path` and prints the command that trains on the file.
"""

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field
from rich.table import Table

from rec_sys.console import print_table, say
from rec_sys.contracts import InputError, QuarantineColumn, ReviewColumn
from rec_sys.entry import run_entry
from rec_sys.files import writable_folder
from rec_sys.processes import quote
from rec_sys.raw_files.listing import MOST_NAMES, first_of
from rec_sys.ready_command import argument, command_to_copy, path_to_copy
from rec_sys.settings import CommandSettings, DataSettings, TableData

if TYPE_CHECKING:
    from rec_sys.data.column_map import TableHead
    from rec_sys.data.readers.batches import Batch

_SAMPLES: Final = 3
_LONGEST_SAMPLE: Final = 30  # characters
_TRAIN: Final = "rec_sys.train.train data={}"


class InspectSettings(CommandSettings):
    """Everything config/inspect.yaml composes."""

    data: DataSettings = Field(discriminator="reader", description="The table; what is not said of it is found.")


def run(settings: InspectSettings) -> None:
    """Prints what is found; the last line is the command that trains."""
    data = settings.data
    if not isinstance(data, TableData):
        raise InputError("only tables are looked at", where="setting data", remedy="leave it out, or write data=table")
    choice = json_choice(data.reviews_path, data.encoding)
    arguments = _look_at_table(data, settings.output_dir) if choice is None else _look_at_json(data, choice)
    say(command_to_copy(" ".join([_TRAIN.format(choice or "table"), *arguments])))


def _look_at_table(data: TableData, output_dir: Path) -> list[str]:
    """Prints what is found and writes the map; the settings that read the table so."""
    from rec_sys.data.column_map import complete_map, read_head
    from rec_sys.data.column_map_file import map_arguments, needs_map, write_map
    from rec_sys.data.readers.events import event_columns
    from rec_sys.data.readers.table import read_table_reviews

    found = complete_map(data)
    heads = [read_head(found, found.reviews_path, "data.columns", found.columns.model_dump())]
    maps = [{**found.columns.model_dump(), **event_columns(found.events)}]
    if found.metadata_path is not None and found.product_columns is not None:
        maps.append(found.product_columns.model_dump())
        heads.append(read_head(found, found.metadata_path, "data.product_columns", maps[-1]))
    for head, columns in zip(heads, maps, strict=True):
        print_table(_map_table(head, columns))
    batch = next(read_table_reviews(found.reviews_path, found))
    say("\n".join(_remarks(batch, data.max_bad_share)))
    if len(heads) > 1:
        reviewed, known = (
            head.frame[str(columns[ReviewColumn.ASIN])].drop_nulls().unique()
            for head, columns in zip(heads, maps, strict=True)
        )
        say(f"product metadata: {int(reviewed.is_in(known.implode()).sum())} of {len(reviewed)} products have it")
    path = writable_folder(output_dir / "maps") / f"{found.reviews_path.name.partition('.')[0]}.yaml"
    write_map(found, path)
    say(f"map: {path}, for data.map_path")
    arguments = [*_file_arguments(found), *map_arguments(found)]
    if needs_map(found):
        arguments.append(argument("data.map_path", path_to_copy(path)))
    said = " ".join(arguments)
    return arguments + [f"{name}={value}" for name, value in batch.remedies.items() if f"{name}=" not in said]


def _look_at_json(data: TableData, choice: str) -> list[str]:
    """Prints what becomes of reviews in a known schema; the settings that read them."""
    from rec_sys.data.readers.amazon_reviews import read_amazon_reviews
    from rec_sys.data.readers.sequences import read_sequences

    path, how = data.reviews_path, (data.encoding, data.missing_values)
    say(f"{path} follows a schema that is known: data={choice}")
    if choice == "sequences":
        batch = next(read_sequences(path, *how))
        arguments = [argument("data.path", path_to_copy(path))]
    else:
        edition: Any = choice.replace("instruments", "amazon")
        batch = next(read_amazon_reviews(path, edition, *how))
        arguments = _file_arguments(data)
    say("\n".join(_remarks(batch, data.max_bad_share, has_time=choice != "sequences")))
    return arguments


def _file_arguments(data: TableData) -> list[str]:
    files = {"reviews_path": data.reviews_path, "metadata_path": data.metadata_path}
    return [argument(f"data.{name}", path_to_copy(file)) for name, file in files.items() if file is not None]


def json_choice(path: Path, encoding: str) -> str | None:
    """The data= setting for a file of JSON objects in a known schema; `encoding` as `open_raw` takes it."""
    from rec_sys.data.readers.amazon_reviews import data_choice
    from rec_sys.raw_files.content import PARQUET, first_bytes, open_raw
    from rec_sys.raw_files.json_objects import field_names
    from rec_sys.raw_files.records import read_records

    if path.is_dir() or first_bytes(path).startswith(PARQUET):
        return None
    with open_raw(path, encoding) as stream:
        if not stream.peek(64).lstrip().startswith((b"{", b"[")):
            return None
    return data_choice(set(field_names(next(read_records(path, encoding)).records[0].raw)))


def _map_table(head: "TableHead", columns: dict[str, str | None]) -> Table:
    """Which column is what, with values of it; then the columns that are nothing."""
    table = Table("", "column", "values", title=head.path.name, title_justify="left")
    taken = {role: column for role, column in columns.items() if column is not None}
    unread = [name for name in head.frame.columns if name not in taken.values()]
    listed = unread if len(unread) <= MOST_NAMES else []
    for role, column in [*taken.items(), *(("not read", name) for name in listed)]:
        values = head.frame[column].drop_nulls().unique(maintain_order=True).head(_SAMPLES).to_list()
        shown = [value if len(value) <= _LONGEST_SAMPLE else f"{value[:_LONGEST_SAMPLE]}..." for value in values]
        table.add_row(role, column, " | ".join(shown))
    if len(listed) < len(unread):
        table.add_row("not read", f"{len(unread)} columns", first_of(unread))
    return table


def _remarks(batch: "Batch", max_bad_share: float, *, has_time: bool = True) -> list[str]:
    """How the file is written, and what becomes of its first rows."""
    import polars as pl

    lines = [f"{label}: {value}" for label, value in batch.found.items()]
    rows, times = batch.rows, batch.rows[ReviewColumn.TIMESTAMP]
    users, products = rows[ReviewColumn.USER_ID].n_unique(), rows[ReviewColumn.ASIN].n_unique()
    what = f"first {batch.num_records:,} {'rows' if has_time else 'sequences'}"
    lines.append(f"{what}: {rows.height:,} reviews of {products:,} products by {users:,} users")
    if has_time and times.count():
        days = pl.from_epoch(times.sort(), time_unit="ms").dt.to_string("%Y-%m-%d").to_list()
        lines.append(f"times: {days[0]} to {days[-1]}")
    lines += [f"{what}: {number:,}" for what, number in batch.counts.items() if number and "lines" not in what]
    reasons = Counter(batch.set_aside[QuarantineColumn.REASON].to_list())
    lines += [f"set aside: {count:,} rows, {reason}" for reason, count in reasons.most_common()]
    if batch.set_aside.height > max_bad_share * batch.num_records:
        lines.append(
            f"too many are set aside: preparation stops above data.max_bad_share={max_bad_share:g} of the rows"
        )
    return lines


def name_arguments(arguments: list[str]) -> list[str]:
    """Files that are given bare, as the settings that they are."""
    names = iter(("data.reviews_path", "data.metadata_path"))
    bare = [Path(text).is_file() or not (text.startswith("-") or "=" in text) for text in arguments]
    return [
        f"{next(names, 'data.metadata_path')}={quote(text)}" if is_bare else text
        for text, is_bare in zip(arguments, bare, strict=True)
    ]


if __name__ == "__main__":
    sys.argv[1:] = name_arguments(sys.argv[1:])
    run_entry(run, InspectSettings, "inspect")
