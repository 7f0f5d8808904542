"""Rows as events: of what kind each is, what it weighs, and one row for each product of a list."""

import logging
from collections.abc import Mapping
from typing import Final

import polars as pl

from rec_sys.contracts import InputError, ReviewColumn
from rec_sys.raw_files.list_texts import texts_within
from rec_sys.raw_files.parquet_rows import LIST_SEPARATOR
from rec_sys.settings import EventSettings

_LOG: Final = logging.getLogger(__name__)

AMOUNT: Final = "amount"
ROW: Final = "row"  # which row of the batch it comes from
EVENT_SETTINGS: Final = {ReviewColumn.EVENT: "data.events.column", AMOUNT: "data.events.amount"}
_KIND: Final = "events of kind {}"
_LEFT_OUT: Final = " (left out: no weight)"
_MOST_KINDS: Final = 100


def event_columns(events: EventSettings) -> dict[str, str]:
    """Name in the contract -> column in the table, of those that make rows events."""
    named = {ReviewColumn.EVENT: events.column, AMOUNT: events.amount}
    return {name: column for name, column in named.items() if column is not None}


def as_events(raw: pl.DataFrame, events: EventSettings, where: str) -> tuple[pl.DataFrame, dict[str, int]]:
    """The rows that say something of a user, weighted, each of one product.

    A weight is that of the kind times the amount; an amount that is no number makes it null.

    Args:
        raw: Columns as strings; `event` and `amount` where the settings name them.
        events: What the kinds weigh.
        where: The file, for errors.

    Returns:
        The rows with `weight`, float32, and `row`, int, the place in `raw`; and what became of the others, as
        `Batch.counts`.

    Raises:
        InputError: The column of kinds holds too many different values to be one.
    """
    rows = raw.with_row_index(ROW).with_columns(pl.lit(1.0, dtype=pl.Float32).alias(ReviewColumn.WEIGHT))
    counts = {}
    if events.column is not None:
        rows = rows.with_columns(pl.col(ReviewColumn.EVENT).str.strip_chars())
        kinds = (
            rows[ReviewColumn.EVENT]
            .fill_null("none")
            .value_counts()
            .sort("count", ReviewColumn.EVENT, descending=[True, False])
        )
        if kinds.height > _MOST_KINDS:
            raise InputError(
                f"the column {events.column!r} holds {kinds.height:,} different values, too many for kinds of events",
                where=where,
                remedy="name the column of kinds with data.events.column",
            )
        counts = {_KIND.format(kind) + _left_out(kind, events): count for kind, count in kinds.rows()}
        if events.weights is not None:
            known = pl.col(ReviewColumn.EVENT).replace_strict(events.weights, default=None, return_dtype=pl.Float32)
            rows = rows.with_columns(known.alias(ReviewColumn.WEIGHT)).drop_nulls(ReviewColumn.WEIGHT)
    if events.amount is not None:
        amount = pl.col(AMOUNT).str.strip_chars().cast(pl.Float32, strict=False)
        amount = pl.when(amount.is_finite() & (amount >= 0)).then(amount)
        told = rows.filter((amount > 0).fill_null(True))
        if told.height < rows.height:
            counts["events of no amount (left out)"] = rows.height - told.height
        rows = told.with_columns((pl.col(ReviewColumn.WEIGHT) * amount / events.full_amount).cast(pl.Float32))
    split, num_lists = _one_product_a_row(rows)
    return split, counts | ({"rows of several products": num_lists} if num_lists else {})


def check_kinds(counts: Mapping[str, int], events: EventSettings, where: str) -> None:
    """Looks, when a file has been read, whether the kinds that the settings weigh were in it.

    Raises:
        InputError: None of them was.
    """
    spelled = {kind.casefold(): kind for kind in events.weights or ()}
    left_out = [name.removeprefix(_KIND.format("")).removesuffix(_LEFT_OUT) for name in counts if _LEFT_OUT in name]
    for kind in left_out:
        if meant := spelled.get(kind.casefold()):
            _LOG.warning(f"{where}: rows of the kind {kind} are left out; data.events.weights names {meant}")
    unseen = [kind for kind in events.weights or () if not counts.get(_KIND.format(kind))]
    if not unseen or events.column is None:
        return
    others = ", ".join(left_out)
    there = f"the column {events.column!r} also holds {others}" if others else "all other rows are of the kinds named"
    if len(unseen) == len(events.weights or ()):
        raise InputError(
            f"no row is of a kind that data.events.weights names ({', '.join(unseen)})", where=where, remedy=there
        )
    _LOG.warning(f"{where}: no row is of the kind {', '.join(unseen)} of data.events.weights; {there}")


def _left_out(kind: str, events: EventSettings) -> str:
    return "" if events.weights is None or kind in events.weights else _LEFT_OUT


def _one_product_a_row(rows: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """A row of a list of products as one row for each; and how many rows had several."""
    asin = pl.col(ReviewColumn.ASIN)
    of_list = asin.str.ends_with(LIST_SEPARATOR)
    printed = asin.str.contains(r"^\s*\[")
    is_list = rows.select((of_list | printed).fill_null(False)).to_series()
    if not is_list.any():
        return rows, 0
    texts = pl.when(printed).then(asin).map_elements(_ids_within, pl.List(pl.String))
    typed = pl.when(of_list).then(asin.str.strip_suffix(LIST_SEPARATOR).str.split(LIST_SEPARATOR))
    lists = pl.coalesce(texts, typed, pl.concat_list(asin))
    listed = rows.with_columns(lists.alias(ReviewColumn.ASIN))
    several = int((listed[ReviewColumn.ASIN].list.len() > 1).sum())
    return listed.explode(ReviewColumn.ASIN), several


def _ids_within(text: str) -> list[str | None]:
    """The ids of a printed list; None in the place of what is none, so that it is counted."""
    found = texts_within(text)
    return [None if one.lstrip().startswith(("[", "{")) else one for one in found] or [None]
