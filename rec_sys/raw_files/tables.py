"""A table, be it CSV, JSON or Parquet: what of it is read, which columns it has, and whether it has those asked for."""

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

from rec_sys.contracts import InputError
from rec_sys.raw_files.content import PARQUET, first_bytes
from rec_sys.raw_files.json_rows import json_fields
from rec_sys.raw_files.listing import first_of
from rec_sys.raw_files.parquet_rows import parquet_schema, parts_of, text_columns
from rec_sys.raw_files.table_layout import DEFAULT_FORMAT, TableFormat, TableLayout, find_layout
from rec_sys.ready_command import argument
from rec_sys.settings import MISSING_VALUES

_ALIKE: Final = 0.4  # of difflib's ratio
LISTED: Final = 40  # columns that a refusal names


@dataclass(frozen=True)
class Table:
    """A table and what is read of it.

    Args:
        path: CSV, JSON objects or Parquet, in any packing; the content tells which. Or a folder of Parquet files.
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
    def parts(self) -> tuple[Path, ...]:
        """Its files, one but for a folder of Parquet files."""
        return parts_of(self.path)

    @cached_property
    def kind(self) -> Literal["csv", "parquet", "json"]:
        """What the file is, as its content tells."""
        if first_bytes(self.parts[0]).startswith(PARQUET) or self.path.is_dir():
            return "parquet"
        return "json" if json_fields(self.path, self.form.encoding) else "csv"

    @cached_property
    def layout(self) -> TableLayout:
        """How it is written, where it is a CSV."""
        return find_layout(self.path, self.form, [*self.columns.values()])


def check_columns(*tables: Table) -> None:
    """Looks for the columns of several tables at once, so that one message names all that are wrong.

    Raises:
        InputError: A table cannot be read, or columns of a map are not in it.
    """
    wrong, guesses, listed = [], [], []
    for table in tables:
        present = list_columns(table)
        missing = {name: column for name, column in table.columns.items() if column not in present}
        _check_parts(table, missing)
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
            f"the columns of {path.name}: {first_of([*filter(None, names)], most=LISTED)}" for path, names in listed
        )
        if any(len(names) == 1 for _, names in listed):
            shown += "; if that is several columns, mend data.separator"
        raise InputError(
            f"there {'is' if len(wrong) == 1 else 'are'} no column{'' if len(wrong) == 1 else 's'} {', '.join(wrong)}",
            where=", ".join(str(path) for path, _ in listed),
            remedy=f"{f'did you mean: {ready}; ' if ready else ''}{shown}; null where there is none",
        )


def _check_parts(table: Table, missing: Collection[str]) -> None:
    """Looks in the files of a folder but the first for what the first has; types may differ, since all are texts."""
    wanted = {column for name, column in table.columns.items() if name not in missing}
    for part in table.parts[1:]:
        if lacking := sorted(wanted - parquet_schema(part).keys()):
            raise InputError(
                f"the file has no column {', '.join(map(repr, lacking))}, and the first of its folder has",
                where=str(part),
                remedy="write all files of the folder with the same columns, or give each folder one table",
            )


def list_columns(table: Table) -> list[str]:
    """The columns of a table, in their order."""
    if table.kind == "json":
        return json_fields(table.path, table.form.encoding)
    if table.kind == "parquet":
        return list(parquet_schema(table.parts[0]))
    return list(table.layout.names)


def list_text_columns(table: Table) -> list[str]:
    """Those of the columns that have a name and hold texts, as every column of a CSV does."""
    return text_columns(table.parts[0]) if table.kind == "parquet" else [name for name in list_columns(table) if name]


def has_time_type(path: Path, column: str) -> bool:
    """Whether a table says by its types that this column is a time."""
    first = parts_of(path)[0]
    dtype = parquet_schema(first).get(column) if first_bytes(first).startswith(PARQUET) else None
    return dtype is not None and dtype.is_temporal()


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
