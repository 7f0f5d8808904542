"""The map of a table's columns as a file and as a command line: what `inspect` writes is what `data.map_path` reads."""

from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from rec_sys.contracts import InputError
from rec_sys.files import atomic_file
from rec_sys.ready_command import argument, is_sayable
from rec_sys.settings import AUTO, TableData
from rec_sys.value_words import fault_in_words

_MAPPED: Final = (
    *("rating_scale", "rating_words", "timestamp_unit", "timestamp_format"),
    *("separator", "quoting", "header", "comment", "encoding", "missing_values", "category_separator"),
    *("events", "equal_rows"),
)
_NEVER_SAID: Final = {
    *("name", "reader", "reviews_path", "metadata_path", "users_path", "map_path"),
    *("columns", "product_columns", "user_columns"),
}


def write_map(data: TableData, path: Path) -> None:
    """Writes what `map_path` reads: the settings of a map, as YAML."""
    maps = {name: getattr(data, name) for name in ("columns", "product_columns")}
    content = {name: one.model_dump() for name, one in maps.items() if one is not None}
    plain = data.model_dump(mode="json")
    with atomic_file(path) as unfinished:
        text = yaml.safe_dump(content | {name: plain[name] for name in _MAPPED}, allow_unicode=True)
        unfinished.write_text(text, encoding="utf-8")


def with_map(data: TableData, path: Path) -> TableData:
    """The settings, filled from a file where they leave things open."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        given = TableData.model_validate(
            {"name": data.name, "reader": "table", "reviews_path": data.reviews_path} | content
        )
    except (OSError, ValueError, TypeError, yaml.YAMLError, RecursionError) as error:
        raise InputError(
            f"the map cannot be read: {_first_fault(error)}",
            where=f"{path} (data.map_path)",
            remedy="write it with rec_sys.data.inspect",
        ) from error
    changes: dict[str, Any] = {
        name: getattr(given, name) for name in _MAPPED if getattr(data, name) == TableData.model_fields[name].default
    }
    for name in ("columns", "product_columns"):
        own, from_file = getattr(data, name), getattr(given, name)
        if own is not None and from_file is not None:
            named = {role: column for role, column in own.model_dump().items() if column != AUTO}
            changes[name] = from_file.model_copy(update=named)
    return data.model_copy(update=changes)


def _first_fault(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return fault_in_words(first, ".".join(map(str, first["loc"])))
    return "it holds no settings" if isinstance(error, TypeError) else str(error)


def map_arguments(data: TableData) -> list[str]:
    """What the settings say of a table, its files aside, as arguments of a command line, as far as one can say it."""
    maps = {"columns": data.columns, "product_columns": data.product_columns if data.metadata_path else None}
    found = [
        argument(f"data.{setting}.{name}", column)
        for setting, one in maps.items()
        if one is not None
        for name, column in one.model_dump().items()
        if column not in (None, AUTO)
    ]
    return [*found, *(argument(f"data.{name}", value) for name, value in _said(data).items() if is_sayable(value))]


def needs_map(data: TableData) -> bool:
    """Whether a command line cannot say all of it, and the map has to."""
    return not all(map(is_sayable, _said(data).values()))


def _said(data: TableData) -> dict[str, Any]:
    """What differs from the defaults, files and columns aside."""
    fields = TableData.model_fields
    plain = data.model_dump(mode="json", exclude=_NEVER_SAID)
    said = {name: value for name, value in plain.items() if getattr(data, name) != fields[name].default}
    if "events" in said:
        said["events"] = data.events.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    return said | ({"separator": "tab"} if data.separator == "\t" else {})
