"""Reviews that are handed in as the training table had them: under its names, on its scale, with its times."""

import logging
from collections.abc import Collection, Sequence
from typing import Any, Final

import polars as pl

from rec_sys.contracts import InputError, ReviewColumn
from rec_sys.raw_files.event_rows import AMOUNT, DURATION, one_product_a_row, read_amounts, weigh_events
from rec_sys.raw_files.missing import null_missing
from rec_sys.raw_files.plain_text import plain_text
from rec_sys.raw_files.rating_scales import STARS, on_scale, stars
from rec_sys.raw_files.times import EARLIEST, latest_time, milliseconds, time_forms
from rec_sys.settings import AUTO, EventSettings, TableData

_LOG: Final = logging.getLogger(__name__)

_READ: Final = (ReviewColumn.RATING, ReviewColumn.TIMESTAMP, ReviewColumn.TITLE, ReviewColumn.TEXT)
_PLAIN_FORMS: Final = ("ms", "iso")  # of times in requests


def trained_names(data: TableData | None, present: Collection[str], needed: Collection[str]) -> dict[str, str]:
    """Our name -> the training table's, of the columns that are here; empty where one of `needed` is not."""
    mapped: dict[str, str | None] = {}
    if data is not None:
        events = {ReviewColumn.EVENT: data.events.column, AMOUNT: data.events.amount, DURATION: data.events.duration}
        mapped = {**data.columns.model_dump(), **events}
    here = {name: column for name, column in mapped.items() if column not in (None, AUTO) and column in present}
    return here if here.keys() >= {*needed} else {}


def warn_of_unread(unread: Sequence[str], names: dict[str, str], fields: Collection[str]) -> None:
    """Names the columns that nothing reads; `names` is the map in use, empty where ours are."""
    if unread:
        had = f"the training data had {', '.join(names.values())}" if names else f"a review has {', '.join(fields)}"
        _LOG.warning(f"columns that nothing reads: {', '.join(unread)}; {had}")


def read_as_trained(frame: pl.DataFrame, names: dict[str, str], data: TableData) -> pl.DataFrame:
    """Reviews under our names: ratings on the scale of training, its words too, times in milliseconds.

    Markup is taken off texts. Events weigh what they did in training; those that weigh nothing are left out, and
    counted.

    Args:
        frame: Under the training table's names, of any types; ids are left as they are.
        names: From `trained_names`.
        data: The settings of the training data.

    Raises:
        InputError: A value cannot be read; its row and column are named.
    """
    found = [frame[names[name]].alias(name) for name in (ReviewColumn.USER_ID, ReviewColumn.ASIN) if name in names]
    for name in _READ:
        if name in names:
            column = frame[names[name]]
            if name == ReviewColumn.TIMESTAMP and column.dtype in (pl.Date, pl.Datetime):
                found.append(column.dt.epoch("ms").alias(name))
                continue
            texts = null_missing(pl.DataFrame([as_texts(column)]), data.missing_values)[0].to_series()
            match name:
                case ReviewColumn.RATING:
                    texts = _read_ratings(texts, data)
                case ReviewColumn.TIMESTAMP:
                    texts = _read_times(texts, data)
                case _:
                    texts = plain_text(texts)
            found.append(texts.alias(name))
    if ReviewColumn.EVENT in names:
        found.append(_kinds(frame, names))
    weights = _weights(frame, names, data.events)
    return pl.DataFrame(found) if weights is None else pl.DataFrame([*found, weights]).filter(weights.is_not_null())


def _kinds(frame: pl.DataFrame, names: dict[str, str]) -> pl.Series:
    return as_texts(frame[names[ReviewColumn.EVENT]]).str.strip_chars().alias(ReviewColumn.EVENT)


def _weights(frame: pl.DataFrame, names: dict[str, str], events: EventSettings) -> pl.Series | None:
    """What each row weighs, null where nothing; None where rows are no events."""
    kinds = _kinds(frame, names) if ReviewColumn.EVENT in names else None
    if kinds is None and events.weights is not None:
        _LOG.warning(f"without the column {events.column!r}, which held the kinds of events, every row weighs 1")
    numbers = [as_texts(frame[names[name]]) if name in names else None for name in (AMOUNT, DURATION)]
    if all(given is None for given in numbers) and (kinds is None or events.weights is None):
        return None
    weights, unread = weigh_events(kinds, numbers[0], events, frame.height, numbers[1])
    for given in numbers:
        if given is not None:
            readable = ~unread | read_amounts(given).is_not_null()
            _refuse(given, readable, "an amount is a number from 0, as in training")
    if left_out := weights.null_count():
        known = f"; the kinds that weigh are {', '.join(events.weights)}" if events.weights else ""
        _LOG.warning(f"events that weigh nothing, as in training: {left_out:,} of {len(weights):,} rows{known}")
    return weights.alias(ReviewColumn.WEIGHT)


def rows_as_trained(rows: list[Any], data: TableData | None, fields: Collection[str]) -> list[Any]:
    """One person's reviews from a file; those under our own names, and what is no row at all, stay as they are.

    Args:
        rows: What stands in the file.
        data: The settings of the training data; None where it was no table.
        fields: What a review has.

    Raises:
        InputError: They are of several people, or a value cannot be read.
    """
    if not rows or not all(isinstance(row, dict) for row in rows):
        return rows
    present = dict.fromkeys(name for row in rows for name in row)
    names = trained_names(data, present, (ReviewColumn.ASIN,))
    if not names or data is None:
        return rows
    product = names[ReviewColumn.ASIN]
    lists = [row[product] if isinstance(row.get(product), list) else [row.get(product)] for row in rows]
    rows = [row | {product: one} for row, products in zip(rows, lists, strict=True) for one in products]
    columns = {column: [row.get(column) for row in rows] for column in names.values()}
    whole = pl.DataFrame({name: _as_series(name, values) for name, values in columns.items()})
    frame = one_product_a_row(whole, product)
    users = frame[names[ReviewColumn.USER_ID]].drop_nulls().unique() if ReviewColumn.USER_ID in names else ()
    if len(users) > 1:
        raise InputError(
            f"the reviews are of {len(users):,} people, such as {' and '.join(map(str, sorted(users)[:2]))}",
            where=f"column {names[ReviewColumn.USER_ID]!r}",
            remedy="give the reviews of one, whom the answer is for",
        )
    warn_of_unread([name for name in present if name not in names.values()], names, fields)
    read = read_as_trained(frame, names, data).select(pl.exclude(ReviewColumn.USER_ID))
    return [{name: value for name, value in row.items() if value is not None} for row in read.iter_rows(named=True)]


def as_texts(column: pl.Series) -> pl.Series:
    """A column of numbers, words or categories as texts.

    Raises:
        InputError: It holds something else.
    """
    dtype = column.dtype
    if dtype.is_nested() or dtype.is_temporal() or dtype in (pl.Binary, pl.Object):
        raise InputError(
            f"the column {column.name!r} is {dtype}, and texts or numbers are asked for",
            where=f"column {column.name}",
            remedy="make it texts, or leave it out",
        )
    return column.cast(pl.Int8 if dtype == pl.Boolean else dtype).cast(pl.String)


def _as_series(name: str, values: list[Any]) -> pl.Series:
    for row, value in enumerate(values, start=1):
        if isinstance(value, list | dict):
            raise _unreadable(name, row, value, "a text or a number is asked for", "change it")
    return pl.Series(name, [None if value is None else str(value) for value in values], dtype=pl.String)


def _read_ratings(texts: pl.Series, data: TableData) -> pl.Series:
    read = stars(texts, data.rating_scale, data.rating_words or {})
    low, high = data.rating_scale
    words = f", or {', '.join(data.rating_words)}" if data.rating_words else ""
    _refuse(texts, read.is_between(*STARS), f"ratings go from {low:g} to {high:g}{words}, as in training")
    return on_scale(read, data.rating_scale)


def _read_times(texts: pl.Series, data: TableData) -> pl.Series:
    form = data.timestamp_format or data.timestamp_unit
    forms = time_forms(texts)[:1] if form == "auto" else [form]
    read = pl.Series(texts.name, [None], dtype=pl.Int64).new_from_index(0, len(texts))
    for one in (*forms, *_PLAIN_FORMS):
        moments = milliseconds(texts, one)
        read = read.fill_null(moments.set(~moments.is_between(EARLIEST, latest_time()), None))
    known = " or ".join(dict.fromkeys((*forms, *_PLAIN_FORMS)))
    _refuse(texts, read.is_not_null(), f"times are {known}, as in training")
    return read


def _refuse(texts: pl.Series, is_read: pl.Series, rule: str) -> None:
    unread = (texts.is_not_null() & ~is_read.fill_null(False)).arg_true()
    if len(unread):
        raise _unreadable(texts.name, unread[0] + 1, texts[unread[0]], rule, "change it, or leave it empty")


def _unreadable(name: str, row: int, value: object, rule: str, remedy: str) -> InputError:
    return InputError(f"{value!r} cannot be read: {rule}", where=f"row {row}, column {name!r}", remedy=remedy)
