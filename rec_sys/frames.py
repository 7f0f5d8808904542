"""Data frames of other libraries: read into Polars, and written where training finds them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rec_sys.contracts import InputError, ReviewColumn
from rec_sys.files import atomic_file
from rec_sys.frame_ids import check_id_column, text_id
from rec_sys.locks import locked_folder
from rec_sys.processes import quote
from rec_sys.settings import DataSettings, TableData

if TYPE_CHECKING:
    import polars as pl

# The settings of data=table that name a frame's file and its columns.
_SETTINGS: Final = {"reviews": ("reviews_path", "columns"), "products": ("metadata_path", "product_columns")}


def read_frame(frame: Any, what: str) -> "pl.DataFrame":
    """Any library's frame as Polars'. What pandas keeps in a named index is a column like others.

    Args:
        frame: The frame.
        what: What the argument is called.

    Raises:
        InputError: It is no data frame, two of its columns are called alike, or one holds values of several types.
    """
    import narwhals as nw

    if is_pandas(frame) and hasattr(frame, "columns"):
        frame = _flat(frame, what)
    try:
        given = nw.from_native(frame, eager_only=True)
        names = [str(name) for name in given.columns]
    except TypeError as error:
        raise _no_frame(frame, what) from error
    except nw.exceptions.DuplicateError as error:
        raise _duplicates([str(name) for name in getattr(frame, "column_names", frame.columns)], what) from error
    if len({*names}) < len(names):
        raise _duplicates(names, what)
    import polars as pl

    try:
        read: pl.DataFrame = given.to_polars()
    except Exception:  # of whichever library; which column it was is not said by all
        read = pl.DataFrame({name: _read_column(given[name], what) for name in given.columns})
    whole = []
    for column in read:
        # Python's objects, and types of another library that Polars only carries along.
        if column.dtype == pl.Object or isinstance(column.dtype, pl.BaseExtension):
            raise _unreadable(column.name, str(column.dtype), what)
        if isinstance(column.dtype, pl.Decimal) and column.dtype.scale:
            whole.append(column.cast(pl.Float64))  # their text would have its noughts behind the point
    return read.with_columns(whole)


def is_pandas(given: Any) -> bool:
    """Whether a frame or a series is one of pandas."""
    return type(given).__module__.partition(".")[0] == "pandas"


def _flat(frame: Any, what: str) -> Any:
    """A frame of pandas with one level of columns, and with what its index names among them."""
    if getattr(frame.columns, "nlevels", 1) > 1:
        raise InputError(
            f"the columns of the frame have {frame.columns.nlevels} levels",
            where=what,
            remedy='give each one name: frame.columns = frame.columns.map("_".join)',
        )
    named = [name for name in frame.index.names if name is not None and name not in frame.columns]
    return frame.reset_index(named) if named else frame


def _read_column(column: Any, what: str) -> "pl.Series":
    try:
        read: pl.Series = column.to_polars()
    except Exception as error:
        kinds = sorted({type(value).__name__ for value in column.to_list() if value is not None})
        raise _unreadable(column.name, ", ".join(kinds), what) from error
    return read


def _unreadable(name: str, kind: str, what: str) -> InputError:
    return InputError(
        f"the column {name!r} holds values that no table has one type for: {kind}",
        where=what,
        remedy=f"give it one type, such as by frame[{name!r}].astype(str), or leave it out",
    )


def _duplicates(names: list[str], what: str) -> InputError:
    twice = sorted({name for name in names if names.count(name) > 1})
    return InputError(
        f"several columns are called {', '.join(map(repr, twice)) or 'alike'}",
        where=what,
        remedy="give each a name of its own",
    )


def _no_frame(given: Any, what: str) -> InputError:
    remedy = "give a data frame of pandas or Polars"
    if hasattr(given, "collect"):
        remedy = "give what its collect() returns"
    elif isinstance(given, str | Path):
        remedy += '; a file is read by the settings "data=table", "data.reviews_path=FILE", with no frame given to fit'
    return InputError(f"{type(given).__name__} is no data frame", where=what, remedy=remedy)


@contextmanager
def written_frames(
    given: Mapping[str, Any], maps: Mapping[str, Mapping[str, str | None] | None], folder: Path
) -> "Iterator[tuple[dict[str, pl.DataFrame], list[str]]]":
    """Writes the frames that there are for training, and keeps the folder from others while it reads them.

    Args:
        given: The frames of reviews and of products; None where there is none.
        maps: Of each, our name -> the frame's name of a column, where it is not to be found.
        folder: Where to.

    Yields:
        The frames as Polars', and the arguments of the command line that say where and what they are.

    Raises:
        InputError: One cannot be read, or what it belongs to is not there; or another process fits frames here.
    """
    for what, (_, argument) in _SETTINGS.items():
        if given[what] is None and maps[what] is not None:
            raise InputError(f"{argument} are given, and no {what}", where="fit", remedy=f"give a frame of {what}")
    if given["reviews"] is None:
        if given["products"] is not None:
            remedy = "give a frame of reviews too, or both as files by the settings"
            raise InputError("products are given, and no reviews", where="fit", remedy=remedy)
        yield {}, []
        return
    remedy = "wait for it, or give this one an output_dir of its own"
    with locked_folder(folder, "another process fits frames in this folder", remedy):
        read = {what: read_frame(frame, what) for what, frame in given.items() if frame is not None}
        yield read, [part for what, frame in read.items() for part in _write(frame, what, maps[what] or {}, folder)]


def _write(frame: "pl.DataFrame", what: str, columns: Mapping[str, str | None], folder: Path) -> list[str]:
    path_setting, map_setting = _SETTINGS[what]
    path = folder.absolute() / f"{what}.parquet"
    if frame.is_empty():
        raise InputError("the frame has no rows", where=what, remedy="look where they were lost")
    if not isinstance(columns, Mapping):
        kind, example = type(columns).__name__, '{"user_id": "CustomerID"}'
        raise InputError(f"{map_setting} is {kind}", where=map_setting, remedy=f"give a dict such as {example}")
    with atomic_file(path) as unfinished:
        frame.write_parquet(unfinished)
    named = [f"data.{map_setting}.{name}={quote(column)}" for name, column in columns.items()]
    return [f"data.{path_setting}={quote(path)}", *named]


def check_id_columns(frames: Mapping[str, "pl.DataFrame"], data: DataSettings) -> None:
    """Looks whether the columns that are ids can be; `data` names them.

    Raises:
        InputError: See `check_id_column`.
    """
    import polars as pl

    assert isinstance(data, TableData)
    roles = [("reviews", data.columns.user_id)]
    products = frames["reviews"].schema[data.columns.asin]
    if not isinstance(products, pl.List | pl.Array) or not (products.inner == pl.String or products.inner.is_integer()):
        roles.append(("reviews", data.columns.asin))  # else each row has several, and becomes one for each
    if "products" in frames and data.product_columns is not None:
        roles.append(("products", data.product_columns.asin))
    for what, column in roles:
        check_id_column(frames[what][column], what)


def reviews_by_user(
    frame: "pl.DataFrame", fields: tuple[str, ...], data: TableData | None
) -> dict[str, list[dict[str, Any]]]:
    """Each user's reviews in the order of the rows, as a request has them.

    Args:
        frame: Under the names of the training table, whose scale and times hold then, or under ours.
        fields: What a review has.
        data: The settings of the training data; None where it was no table.

    Raises:
        InputError: There is no column for the user or the product, or a value cannot be read.
    """
    import polars as pl

    from rec_sys.raw_files.event_rows import one_product_a_row
    from rec_sys.raw_files.trained_columns import (
        as_texts,
        read_as_trained,
        trained_names,
        warn_of_unread,
    )

    present, needed = frame.columns, (ReviewColumn.USER_ID, ReviewColumn.ASIN)
    trained = trained_names(data, present, needed)
    names = trained or {name: name for name in dict.fromkeys((*needed, *fields)) if name in present}
    if missing := {*needed} - names.keys():
        known = trained_names(data, data.columns.model_dump().values(), ()) if data else {}
        raise InputError(
            f"the reviews have no column {' and no column '.join(sorted(missing))}",
            where=f"columns {', '.join(present)}",
            remedy="rename those that say who wrote of what to user_id and asin"
            + (f", or as in training to {' and '.join(known[name] for name in needed)}" if known else ""),
        )
    warn_of_unread([name for name in present if name not in names.values()], trained, fields)
    frame = one_product_a_row(frame, names[ReviewColumn.ASIN])
    for name in needed:
        check_id_column(frame[names[name]], "reviews")
    if trained and data:
        reviews = read_as_trained(frame, trained, data)
    else:
        reviews = frame.select(*names)
        texts = [as_texts(reviews[name]) for name in (ReviewColumn.TITLE, ReviewColumn.TEXT) if name in names]
        times = [pl.col(name).dt.epoch("ms") for name in names if frame.schema[name] in (pl.Date, pl.Datetime)]
        reviews = reviews.with_columns(*texts, *times, pl.selectors.float().fill_nan(None))
    found: dict[str, list[dict[str, Any]]] = {}
    for number, row in enumerate(reviews.iter_rows(named=True), start=1):
        user, asin = (text_id(row.pop(name), f"row {number}, column {names[name]!r}") for name in needed)
        found.setdefault(user, []).append(row | {ReviewColumn.ASIN: asin})
    return found
