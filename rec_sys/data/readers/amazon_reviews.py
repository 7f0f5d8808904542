"""Amazon's reviews as published in 2014, 2018 and 2023."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

import polars as pl

from rec_sys.contracts import InputError, ReviewColumn
from rec_sys.data.readers.batches import Batch, note_unread_fields, set_aside
from rec_sys.data.readers.review_checks import REASON, ReviewRules, checked_reviews, count_unrated, remedies
from rec_sys.raw_files.encodings import likely_encoding, not_utf8
from rec_sys.raw_files.json_objects import NOT_UTF8, ParsedObjects, field_names, parse_objects
from rec_sys.raw_files.list_texts import first_filled
from rec_sys.raw_files.missing import count_words, null_missing
from rec_sys.raw_files.records import RecordBatch, read_records, shown_fields
from rec_sys.settings import MISSING_VALUES

Edition = Literal["amazon_2014", "amazon_2018", "amazon_2023"]


class _ReviewFields(NamedTuple):
    """Where an edition keeps a review's parts; the first field that has a value wins."""

    fields: dict[str, tuple[str, ...]]
    time_form: str


# 2014 and 2018 differ only in fields that the other lacks, so each reads the other's files without a loss.
_CLASSIC: Final = _ReviewFields(
    {
        ReviewColumn.USER_ID: ("reviewerID",),
        ReviewColumn.ASIN: ("asin",),
        ReviewColumn.RATING: ("overall",),
        ReviewColumn.TIMESTAMP: ("unixReviewTime",),
        ReviewColumn.TITLE: ("summary",),
        ReviewColumn.TEXT: ("reviewText",),
        ReviewColumn.STYLE: ("style",),
        ReviewColumn.HELPFUL_VOTES: ("vote", "helpful"),
        ReviewColumn.VERIFIED: ("verified",),
    },
    "s",
)
_REVIEWS: Final[dict[str, _ReviewFields]] = {
    "amazon_2014": _CLASSIC,
    "amazon_2018": _CLASSIC,
    "amazon_2023": _ReviewFields(
        {
            ReviewColumn.USER_ID: ("user_id",),
            # The parent is what metadata describes; the asin alone is one colour or size of it.
            ReviewColumn.ASIN: ("parent_asin", "asin"),
            ReviewColumn.RATING: ("rating",),
            ReviewColumn.TIMESTAMP: ("timestamp", "sort_timestamp"),
            ReviewColumn.TITLE: ("title",),
            ReviewColumn.TEXT: ("text",),
            ReviewColumn.STYLE: ("style",),
            ReviewColumn.HELPFUL_VOTES: ("helpful_vote",),
            ReviewColumn.VERIFIED: ("verified_purchase",),
        },
        "ms",
    ),
}


def read_amazon_reviews(
    path: Path, edition: Edition, encoding: str = "auto", missing_values: tuple[str, ...] = MISSING_VALUES
) -> Iterator[Batch]:
    """Reads reviews: JSON lines, a JSON array or Python literals, packed or not.

    In ids and ratings words for "missing" are null; a text may be such a word, since JSON has a null of its own.

    Raises:
        InputError: The file cannot be read or follows another schema.
    """
    layout = _REVIEWS[edition]
    rules = ReviewRules(layout.time_form)
    names = [name for candidates in layout.fields.values() for name in candidates]
    schema: dict[str, pl.DataType] = dict.fromkeys(names, pl.String())
    wordless = (ReviewColumn.USER_ID, ReviewColumn.ASIN, ReviewColumn.RATING)
    never_words = [name for column in wordless for name in layout.fields[column]]
    advice: dict[str, str] = {}
    for batch in read_records(path, encoding):
        parsed = parse_objects([record.raw for record in batch.records], schema)
        if batch.first_row == 0:
            _refuse_another_schema(parsed, batch, path, edition)
        columns = {
            column: pl.col(candidates) if len(candidates) == 1 else first_filled(*candidates)
            for column, candidates in layout.fields.items()
        }
        rows = pl.Series(ReviewColumn.SOURCE_ROW, parsed.positions, dtype=pl.Int64) + batch.first_row
        known, words = null_missing(parsed.frame.select(never_words), missing_values)
        raw = parsed.frame.with_columns(known).select(**columns).with_columns(rows)
        good, bad = checked_reviews(raw, rules)
        reasons = {parsed.positions[index]: reason for index, reason in bad.select("index", REASON).iter_rows()}
        if not advice and NOT_UTF8 in parsed.broken.values():
            advice = {"data.encoding": likely_encoding(path) or "..."}
        broken = set_aside(path, batch, parsed.broken | reasons)
        meant = advice | remedies(raw, bad, rules)
        found, counts = note_unread_fields(batch, names), count_words(words) | count_unrated(good)
        yield Batch(good, broken, len(batch.records), found, counts, meant)


def data_choice(names: set[str]) -> str | None:
    """The choice of data= whose schema JSON objects of these fields follow; None where it is none of them."""
    if {"user_id", "rating"} <= names:
        return "instruments_2023"
    if {"reviewerID", "overall"} <= names:
        return "instruments_2014" if "helpful" in names else "instruments_2018"
    return "sequences" if "items" in names else None


def _refuse_another_schema(parsed: ParsedObjects, batch: RecordBatch, path: Path, edition: Edition) -> None:
    layout = _REVIEWS[edition]
    users, products = layout.fields[ReviewColumn.USER_ID], layout.fields[ReviewColumn.ASIN]
    frame = parsed.frame
    if not frame.is_empty() and all(
        not frame.select(pl.all_horizontal(pl.col(name).is_null() for name in names)).to_series().all()
        for names in (users, products)
    ):
        return
    if frame.is_empty() and NOT_UTF8 in parsed.broken.values():
        raise not_utf8(path)
    record = batch.records[parsed.positions[0] if parsed.positions else 0]
    names = set(field_names(record.raw))
    schema = data_choice(names)
    if schema == "sequences":
        remedy = "these are bare sequences: use data=sequences data.path=..."
    elif schema is not None and schema != edition.replace("amazon", "instruments"):
        year = schema.rpartition("_")[2]
        remedy = f"it is the schema of {year}: use data={schema} (data.reader=amazon_{year})"
    elif "price" in names or "brand" in names or "store" in names:
        remedy = "this looks like product metadata: give it as data.metadata_path and the reviews as data.reviews_path"
    elif names:
        remedy = f"each line needs at least {users[0]} and {products[0]}; objects with other fields: data=table"
    else:
        remedy = "give JSON lines; a CSV or Parquet table is read with data=table"
    raise InputError(
        f"the file does not follow the schema of {edition}",
        where=f"{path}, line {record.line}: {shown_fields(record)}",
        remedy=remedy,
    )
