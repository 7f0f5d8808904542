"""Rows as events: of what kind each is, what it weighs, and one row for each product of a list."""

import logging
from collections.abc import Mapping
from typing import Final

import polars as pl

from rec_sys.contracts import InputError, ReviewColumn
from rec_sys.raw_files.event_rows import AMOUNT, DURATION, one_product_a_row, weigh_events
from rec_sys.settings import EventSettings

_LOG: Final = logging.getLogger(__name__)

ROW: Final = "row"  # which row of the batch it comes from
EVENT_SETTINGS: Final = {
    ReviewColumn.EVENT: "data.events.column",
    AMOUNT: "data.events.amount",
    DURATION: "data.events.duration",
}
_KIND: Final = "events of kind {}"
_LEFT_OUT: Final = " (left out: no weight)"
_MOST_KINDS: Final = 100


def event_columns(events: EventSettings) -> dict[str, str]:
    """Name in the contract -> column in the table, of those that make rows events."""
    named = {ReviewColumn.EVENT: events.column, AMOUNT: events.amount, DURATION: events.duration}
    return {name: column for name, column in named.items() if column is not None}


def as_events(raw: pl.DataFrame, events: EventSettings, where: str) -> tuple[pl.DataFrame, dict[str, int]]:
    """The rows that say something of a user, weighted, each of one product.

    A weight is that of the kind times amount and duration; one of these that is no number makes it null.

    Args:
        raw: Columns as strings; `event`, `amount` and `duration` where the settings name them.
        events: What the kinds weigh.
        where: The file, for errors.

    Returns:
        The rows with `weight`, float32, and `row`, int, the place in `raw`; and what became of the others, as
        `Batch.counts`.

    Raises:
        InputError: The column of kinds holds too many different values to be one.
    """
    counts: dict[str, int] = {}
    kinds = None
    if events.column is not None:
        kinds = raw[ReviewColumn.EVENT].str.strip_chars()
        raw = raw.with_columns(kinds)
        counts = _count_kinds(kinds, events, where)
    amounts, durations = (raw[name] if name in raw.columns else None for name in (AMOUNT, DURATION))
    weights, unread = weigh_events(kinds, amounts, events, raw.height, durations)
    kept = weights.is_not_null() | unread
    unweighted = sum(count for label, count in counts.items() if label.endswith(_LEFT_OUT))
    if no_amount := raw.height - int(kept.sum()) - unweighted:
        counts["events of no amount (left out)"] = no_amount
    rows = raw.with_row_index(ROW).with_columns(weights.alias(ReviewColumn.WEIGHT)).filter(kept)
    split = one_product_a_row(rows, ReviewColumn.ASIN)
    if several := int((split[ROW].unique_counts() > 1).sum()):
        counts["rows of several products"] = several
    return split, counts


def _count_kinds(kinds: pl.Series, events: EventSettings, where: str) -> dict[str, int]:
    """How many rows are of each kind, the most frequent first."""
    found = kinds.fill_null("none").alias("kind").value_counts().sort("count", "kind", descending=[True, False])
    if found.height > _MOST_KINDS:
        raise InputError(
            f"the column {events.column!r} holds {found.height:,} different values, too many for kinds of events",
            where=where,
            remedy="name the column of kinds with data.events.column",
        )
    weighed = found["kind"].to_list() if events.weights is None else events.weights
    return {_KIND.format(kind) + ("" if kind in weighed else _LEFT_OUT): count for kind, count in found.rows()}


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
