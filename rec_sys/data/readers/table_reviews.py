"""Reviews of the rows of a table, once its first rows have shown how its values are meant."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Self

import polars as pl

from rec_sys.contracts import InputError, ReviewColumn
from rec_sys.data.dataset import RATING_SCALE, TIME_FORM
from rec_sys.data.readers.batches import Batch, note_unread, quarantine
from rec_sys.data.readers.events import ROW, as_events
from rec_sys.data.readers.review_checks import (
    REASON,
    ReviewRules,
    checked_reviews,
    count_unrated,
    remedies,
    time_setting,
)
from rec_sys.raw_files.bad_rows import BadRow
from rec_sys.raw_files.missing import count_words, null_missing
from rec_sys.raw_files.rating_scales import STARS, describe_scale
from rec_sys.raw_files.table_rows import TableBatch
from rec_sys.raw_files.tables import Table, has_time_type, list_columns
from rec_sys.raw_files.times import time_forms
from rec_sys.settings import TableData

_REVIEW_TEXTS: Final = (
    *(ReviewColumn.RATING, ReviewColumn.TIMESTAMP, ReviewColumn.TITLE, ReviewColumn.TEXT),
    *(ReviewColumn.STYLE, ReviewColumn.HELPFUL_VOTES, ReviewColumn.VERIFIED, ReviewColumn.EVENT),
)


@dataclass(frozen=True)
class ReviewReader:
    """What makes reviews of the rows of a table, when its first rows have been seen.

    Attributes:
        table: The table.
        data: Its settings.
        rules: How its values are meant.
        found: What was found out about them, and the columns that nothing reads.
    """

    table: Table
    data: TableData
    rules: ReviewRules
    found: dict[str, str]

    @classmethod
    def of(cls, table: Table, data: TableData, first: TableBatch) -> Self:
        """The reader of a table whose first rows are these.

        Raises:
            InputError: Its times can be read in several ways.
        """
        nothing = pl.Series(ReviewColumn.TIMESTAMP, [], dtype=pl.String)
        rules = _review_rules(
            table.path, data, table.columns, first.frame.get_column(ReviewColumn.TIMESTAMP, default=nothing)
        )
        return cls(table, data, rules, unread_columns(table) | _named(rules, data))

    def read(self, batch: TableBatch) -> Batch:
        """Some rows of the table.

        Raises:
            InputError: The column of kinds holds too many different values to be one.
        """
        data, columns, frame = self.data, self.table.columns, batch.frame
        missing = [pl.lit(None, dtype=pl.String).alias(name) for name in _REVIEW_TEXTS if name not in columns]
        whole = frame.with_columns(pl.Series(ReviewColumn.SOURCE_ROW, batch.source_rows, dtype=pl.Int64), *missing)
        raw, events = as_events(whole, data.events, str(self.table.path))
        ids, words = null_missing(raw.select(ReviewColumn.ASIN), data.missing_values)  # those within lists
        raw = raw.with_columns(ids)
        good, bad = checked_reviews(raw, self.rules)
        at = raw[ROW].gather(bad["index"]).to_list()
        bad_rows = [bad_row(batch, row, reason) for row, reason in dict.fromkeys(zip(at, bad[REASON], strict=True))]
        set_aside, counts = quarantine(batch.path, batch.ragged + bad_rows), batch.counts(len(bad_rows)) | events
        counts |= {label: counts.get(label, 0) + number for label, number in count_words(words).items()}
        left_out = whole.height - raw[ROW].n_unique()
        if data.drop_unrated:
            rated = good.filter(pl.col(ReviewColumn.RATING).is_not_null())
            counts |= {"rows without a rating (left out)": good.height - rated.height}
            left_out, good = left_out + good.height - rated.height, rated
        counts |= count_unrated(good) if ReviewColumn.RATING in columns else {}
        found = {**batch.found, **self.found}
        return Batch(good, set_aside, batch.num_records, found, counts, remedies(raw, bad, self.rules), left_out)


def unread_columns(table: Table) -> dict[str, str]:
    """The columns that no part of the map names, as `Batch.found`."""
    return note_unread([name for name in list_columns(table) if name and name not in table.columns.values()])


def bad_row(batch: TableBatch, index: int, reason: str) -> BadRow:
    """A row of a batch's frame that is set aside."""
    values = batch.raw.row(index, named=True)
    return BadRow(batch.lines[index], reason, ", ".join(f"{name}={value}" for name, value in values.items()))


def _review_rules(path: Path, data: TableData, columns: dict[str, str], times: pl.Series) -> ReviewRules:
    """The rules of a table; `times` are those of its first rows."""
    rules = partial(
        ReviewRules,
        rating_scale=data.rating_scale,
        rating_words=data.rating_words or {},
    )
    column = columns.get(ReviewColumn.TIMESTAMP)
    if column is None:
        return rules(time_form=None)
    if has_time_type(path, column):
        return rules(time_form="ms")
    if data.timestamp_format is not None or data.timestamp_unit != "auto":
        return rules(time_form=data.timestamp_format or data.timestamp_unit)
    forms = time_forms(times)
    if len(forms) > 1:
        choices = " or ".join("=".join(time_setting(form)) for form in forms)
        example = times.drop_nulls().first()
        raise InputError(
            f"the column {column!r} can be read in {len(forms)} ways: {example!r} may be {' or '.join(forms)}",
            where=str(path),
            remedy=f"add {choices}",
        )
    return rules(time_form=forms[0] if forms else "s")


def _named(rules: ReviewRules, data: TableData) -> dict[str, str]:
    """What of the rules was found out or is out of the ordinary."""
    found = {}
    if rules.time_form is not None and data.timestamp_format is None and data.timestamp_unit == "auto":
        found[TIME_FORM] = rules.time_form
    if rules.rating_scale != STARS or rules.rating_words:
        found[RATING_SCALE] = describe_scale(rules.rating_scale, rules.rating_words)
    return found
