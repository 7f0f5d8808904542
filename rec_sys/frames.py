"""Data frames of other libraries: read into Polars, and written where training finds them."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rec_sys.contracts import InputError, ReviewColumn
from rec_sys.files import atomic_file, writable_folder
from rec_sys.processes import quote
from rec_sys.settings import MISSING_VALUES

if TYPE_CHECKING:
    import polars as pl

_LOG: Final = logging.getLogger(__name__)

# The settings of data=table that name a frame's file and its columns.
_SETTINGS: Final = {"reviews": ("reviews_path", "columns"), "products": ("metadata_path", "product_columns")}


def read_frame(frame: Any) -> "tuple[pl.DataFrame, bool]":
    """Any library's frame as Polars', and whether it was one of pandas.

    Raises:
        InputError: It is no data frame.
    """
    import narwhals as nw

    try:
        given = nw.from_native(frame, eager_only=True)
    except TypeError as error:
        raise InputError(
            f"{type(frame).__name__} is no data frame", where="the argument", remedy="give one of pandas or Polars"
        ) from error
    return given.to_polars(), given.implementation.is_pandas()


def text_id(value: object) -> str:
    """An id as the data has it: a whole number is its digits.

    Raises:
        InputError: It is missing.
    """
    if value is None or str(value) in MISSING_VALUES:
        raise InputError(f"an id is missing: {value}", where="ids", remedy="leave out what has none")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def text_ids(values: Iterable[object], name: str) -> list[str]:
    """Ids as the data has them.

    Raises:
        InputError: It is one text or a frame, or an id is missing.
    """
    if isinstance(values, str) or not isinstance(values, Iterable) or hasattr(values, "columns"):
        kind = "one text" if isinstance(values, str) else type(values).__name__
        remedy = f"give {name}=[...], or a column of a frame"
        raise InputError(f"{name} is {kind}, and a list of ids is asked for", where=name, remedy=remedy)
    return [text_id(value) for value in values]


def write_frame(frame: "pl.DataFrame", what: str, columns: Mapping[str, str], folder: Path) -> list[str]:
    """Writes a frame for training; the arguments of the command line that say where and what it is.

    Args:
        frame: Of reviews or products.
        what: Which of the two.
        columns: Our name -> the frame's name of a column, where it is not to be found.
        folder: Where to.
    """
    path_setting, map_setting = _SETTINGS[what]
    path = writable_folder(folder).absolute() / f"{what}.parquet"
    with atomic_file(path) as unfinished:
        frame.write_parquet(unfinished)
    named = [f"data.{map_setting}.{name}={quote(column)}" for name, column in columns.items()]
    return [f"data.{path_setting}={quote(path)}", *named]


def reviews_by_user(frame: "pl.DataFrame", fields: tuple[str, ...]) -> dict[str, list[dict[str, Any]]]:
    """Each user's reviews in the order of the rows, times in milliseconds, as a request has them.

    Raises:
        InputError: There is no column for the user or the product.
    """
    import polars as pl

    known = [name for name in (ReviewColumn.USER_ID, *fields) if name in frame.columns]
    if missing := {ReviewColumn.USER_ID, ReviewColumn.ASIN} - {*known}:
        raise InputError(
            f"the reviews have no column {' and no column '.join(sorted(missing))}",
            where=f"columns {', '.join(frame.columns)}",
            remedy="rename those that say who wrote of what to user_id and asin",
        )
    if unread := [name for name in frame.columns if name not in known]:
        _LOG.warning(f"columns that nothing reads: {', '.join(unread)}; a review has {', '.join(fields)}")
    times = [pl.col(name).dt.epoch("ms") for name in known if frame.schema[name].is_temporal()]
    found: dict[str, list[dict[str, Any]]] = {}
    for row in frame.select(known).with_columns(times).iter_rows(named=True):
        user = text_id(row.pop(ReviewColumn.USER_ID))
        found.setdefault(user, []).append(row | {ReviewColumn.ASIN: text_id(row[ReviewColumn.ASIN])})
    return found
