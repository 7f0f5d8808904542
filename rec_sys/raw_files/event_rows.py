"""Rows as events: what each weighs, and one row for each product of a list, in files as in what is handed in."""

from typing import Final

import polars as pl

from rec_sys.raw_files.list_texts import texts_within
from rec_sys.raw_files.parquet_rows import LIST_SEPARATOR
from rec_sys.settings import EventSettings

AMOUNT: Final = "amount"  # beside the names of `ReviewColumn`
DURATION: Final = "duration"


def weigh_events(
    kinds: pl.Series | None,
    amounts: pl.Series | None,
    events: EventSettings,
    num_rows: int,
    durations: pl.Series | None = None,
) -> tuple[pl.Series, pl.Series]:
    """The weight of each row's kind, times its amount, times its share of a full duration.

    Args:
        kinds: Strings, without blanks around them; None where rows are of one kind.
        amounts: Strings; None where there are none.
        events: What the kinds weigh.
        num_rows: How many rows there are.
        durations: As amounts.

    Returns:
        Weights, float32, null where a row says nothing or its amount cannot be read; and which of the two, bool: true
        where it cannot be read.
    """
    weights = pl.Series([1.0], dtype=pl.Float32).new_from_index(0, num_rows)
    if kinds is not None and events.weights is not None:
        weights = kinds.replace_strict(events.weights, default=None, return_dtype=pl.Float32)
    unread = pl.Series([False]).new_from_index(0, num_rows)
    for given, full, most in ((amounts, events.full_amount, None), (durations, events.full_duration, 1.0)):
        if given is None:
            continue
        read = read_amounts(given)
        unread |= weights.is_not_null() & read.is_null()
        share = read.set(read == 0, None) / full
        weights = weights * (share if most is None else share.clip(upper_bound=most))
    return weights, unread


def read_amounts(texts: pl.Series) -> pl.Series:
    """Numbers from 0, float32; null for what is none."""
    read = texts.str.strip_chars().cast(pl.Float32, strict=False)
    return read.set(~(read.is_finite() & (read >= 0)).fill_null(False), None)


def one_product_a_row(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    """A row of a list of products, typed or printed, as one row for each; null for what is no id, and for none."""
    values = frame[column]
    if values.dtype == pl.String:
        of_list, printed = values.str.ends_with(LIST_SEPARATOR), values.str.contains(r"^\s*\[")
        if not (of_list | printed).any():
            return frame
        asin = pl.col(column)
        texts = pl.when(printed).then(asin).map_elements(_ids_within, pl.List(pl.String))
        typed = pl.when(of_list).then(asin.str.strip_suffix(LIST_SEPARATOR).str.split(LIST_SEPARATOR))
        return frame.with_columns(pl.coalesce(texts, typed, pl.concat_list(asin)).alias(column)).explode(
            column, empty_as_null=True
        )
    if isinstance(values.dtype, pl.Array):
        frame = frame.with_columns(values.arr.to_list())
    return frame.explode(column, empty_as_null=True) if isinstance(values.dtype, pl.List | pl.Array) else frame


def _ids_within(text: str) -> list[str | None]:
    found = texts_within(text)
    return [None if one.lstrip().startswith(("[", "{")) else one for one in found] or [None]
