"""A table of users: numbers that are known of each beside their reviews, such as an age."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from rec_sys.contracts import UserColumn
from rec_sys.data.readers.batches import Batch, quarantine
from rec_sys.data.readers.table import table_form
from rec_sys.data.readers.table_reviews import bad_row, unread_columns
from rec_sys.raw_files.table_rows import read_table_rows
from rec_sys.raw_files.tables import Table
from rec_sys.settings import TableData


def read_table_users(path: Path, data: TableData) -> Iterator[Batch]:
    """Reads the facts of users as `contracts.UserColumn`; what is neither a number nor a word of the map is counted.

    Raises:
        InputError: The file cannot be read, or a column of the map is not in it.
    """
    facts, words, table = data.user_columns.facts or {}, data.user_columns.words or {}, user_table(path, data)
    for batch in read_table_rows(table):
        users = batch.frame.with_columns(pl.col(UserColumn.USER_ID).str.strip_chars())
        has_name = pl.col(UserColumn.USER_ID).fill_null("") != ""
        nameless = users.with_row_index().filter(~has_name)["index"].to_list()
        bad_rows = [bad_row(batch, index, "user id is missing") for index in nameless]
        said = users.filter(has_name)
        rows = said.select(UserColumn.USER_ID, *(_number(name, words.get(name)) for name in facts))
        unread = {name: rows[name].null_count() - said[name].null_count() for name in facts}
        counts = {f"values of {name} that cannot be read": number for name, number in unread.items() if number}
        yield Batch(
            rows,
            quarantine(batch.path, batch.ragged + bad_rows),
            batch.num_records,
            {**batch.found, **unread_columns(table)},
            batch.counts(len(bad_rows)) | counts,
        )


def _number(name: str, words: tuple[str, ...] | None) -> pl.Expr:
    """A fact as float32; infinite is none."""
    if words is not None:
        places = {word: float(place) for place, word in enumerate(words)}
        return pl.col(name).str.strip_chars().replace_strict(places, default=None, return_dtype=pl.Float32)
    number = pl.col(name).str.strip_chars().cast(pl.Float32, strict=False)
    return pl.when(number.is_finite()).then(number).alias(name)


def user_table(path: Path, data: TableData) -> Table:
    """The table of users and what the settings say of it."""
    facts = data.user_columns.facts or {}
    settings = {name: f"data.user_columns.facts.{name}" for name in facts}
    columns = {UserColumn.USER_ID: data.user_columns.user_id, **facts}
    return Table(path, columns, "data.user_columns", data.missing_values, table_form(data), settings)
