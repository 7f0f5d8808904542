"""Tables without a header, whose first row would be taken for one: refused with the settings that read them."""

from dataclasses import replace
from typing import Final

import polars as pl

from rec_sys.contracts import InputError, ReviewColumn
from rec_sys.data.column_names import is_known
from rec_sys.raw_files.table_rows import read_table_rows
from rec_sys.raw_files.tables import Table, list_columns
from rec_sys.raw_files.times import time_forms
from rec_sys.ready_command import argument

_EXAMINED: Final = 10_000  # rows
_MOST_STARS: Final = 11  # different ratings, such as 0 to 10
_TEXT_LENGTH: Final = 20  # characters of a text on average, which ids seldom have
_SHOWN: Final = 5
_OF_REVIEWS: Final = "data.columns"


def refuse_headerless(table: Table) -> None:
    """Returns where the first line of a CSV names its columns, or the settings name some.

    Raises:
        InputError: The first line is a row like the others.
    """
    names = list_columns(table)
    if table.columns or not table.form.header or table.kind != "csv" or any(map(is_known, names)):
        return
    numbered = {str(place): str(place) for place in range(1, len(names) + 1)}
    frame = next(read_table_rows(replace(table, columns=numbered, form=replace(table.form, header=False)))).frame
    if frame.height < 2:
        return
    first, rest = frame.row(0), frame.slice(1, _EXAMINED)
    if [(value or "").strip() for value in first] != names or not _is_row(first, rest):
        return
    shown = ", ".join(map(repr, first[:_SHOWN]))
    raise InputError(
        f"the first line looks like a row and not like a header: {shown}",
        where=f"{table.path}, line 1",
        remedy=f"{_remedy(table.setting, rest)}; or name the columns if they are called so",
    )


def _remedy(setting: str, rest: pl.DataFrame) -> str:
    if setting != _OF_REVIEWS:
        return "write a line of names above it, such as asin,title,brand,price; data.header=false holds for both tables"
    named = [argument(f"{setting}.{role}", column) for role, column in _roles(rest).items()]
    what = "columns are numbered from 1 and the roles are as the values look"
    return f"add data.header=false {' '.join(named)}, where {what}"


def _is_row(first: tuple[str | None, ...], rest: pl.DataFrame) -> bool:
    """Whether every column of numbers or dates begins with one; without such columns, whether an id comes again."""
    typed = []
    for value, column in zip(first, rest, strict=True):
        is_alike = next((kind for kind in (_is_number, _is_time) if kind(column)), None)
        if is_alike is not None:
            typed.append(is_alike(pl.Series([value], dtype=pl.String)))
    repeated = (value in column for value, column in zip(first, rest, strict=True) if value is not None)
    return all(typed) if typed else any(repeated)


def _roles(rest: pl.DataFrame) -> dict[str, str]:
    """Which column is what, as far as its content tells; of ids the user's comes first."""
    found: dict[str, str] = {}
    left = [column for column in rest if column.count()]
    times = [column for column in left if time_forms(column)]
    if times:
        found[ReviewColumn.TIMESTAMP] = max(times, key=lambda column: column.n_unique()).name
    ratings = [column for column in left if _is_number(column) and 1 < column.n_unique() <= _MOST_STARS]
    if ratings:
        found[ReviewColumn.RATING] = ratings[0].name
    texts = {column.name: sum(map(len, column.drop_nulls())) / column.count() for column in left}
    longest = max(texts, key=lambda name: 0 if name in found.values() else texts[name], default="")
    if texts.get(longest, 0) >= _TEXT_LENGTH and longest not in found.values():
        found[ReviewColumn.TEXT] = longest
    ids = [column.name for column in left if column.name not in found.values()]
    asked = (ReviewColumn.USER_ID, ReviewColumn.ASIN)
    return dict(zip(asked, [*ids, "NUMBER", "NUMBER"], strict=False)) | found


def _is_number(values: pl.Series) -> bool:
    known = values.drop_nulls().str.replace(",", ".", literal=True)
    return len(known) > 0 and not known.cast(pl.Float64, strict=False).null_count()


def _is_time(values: pl.Series) -> bool:
    return any(form == "iso" or "%" in form for form in time_forms(values))
