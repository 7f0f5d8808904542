"""Decides which raw rows are reviews: every reader's rows pass here, so that one rule holds for all formats."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from rec_sys.contracts import LONGEST_ID, ReviewColumn
from rec_sys.data.readers.batches import REVIEW_SCHEMA
from rec_sys.raw_files.plain_text import plain_text
from rec_sys.raw_files.rating_scales import STARS, proposed_settings, stars
from rec_sys.raw_files.times import EARLIEST, latest_time, milliseconds, time_forms

REASON: Final = "reason"
_TRUE: Final = ("true", "yes", "y", "t", "1", "1.0")
_FALSE: Final = ("false", "no", "n", "f", "0", "0.0")
_COUNT: Final = r"^\[?\s*(\d{1,3}(?:,\d{3})+|\d+)"  # "3", "1,234" and the first of "[2, 5]"


@dataclass(frozen=True)
class ReviewRules:
    """How the values of a file are meant.

    Args:
        time_form: Form of `timestamp`, see `times`; None where the data has no time.
        rating_scale: The lowest and the highest rating.
        rating_words: Word in the place of a rating -> stars.
    """

    time_form: str | None
    rating_scale: tuple[float, float] = STARS
    rating_words: Mapping[str, float] = field(default_factory=dict)


def checked_reviews(raw: pl.DataFrame, rules: ReviewRules) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Types the raw rows and parts the good from the bad.

    Args:
        raw: The columns of `REVIEW_SCHEMA` as strings, `source_row` as an integer; `event` and `weight`, a number,
            only where rows are events.
        rules: How the values are meant.

    Returns:
        The good rows as `REVIEW_SCHEMA`, and the bad ones as `index` (row in `raw`) and `reason`.
    """
    if ReviewColumn.WEIGHT not in raw.columns:
        one_kind = pl.lit(None, dtype=pl.String).alias(ReviewColumn.EVENT)
        raw = raw.with_columns(one_kind, pl.lit(1.0, dtype=pl.Float32).alias(ReviewColumn.WEIGHT))
    times, ratings = raw[ReviewColumn.TIMESTAMP], raw[ReviewColumn.RATING]
    # Types first, so that the reasons below compare numbers.
    typed = raw.with_columns(
        _identifier(ReviewColumn.USER_ID),
        _identifier(ReviewColumn.ASIN),
        stars(ratings, rules.rating_scale, rules.rating_words).alias(ReviewColumn.RATING),
        (ratings.str.strip_chars() != "").alias("rating_is_given"),
        milliseconds(times, rules.time_form).alias(ReviewColumn.TIMESTAMP)
        if rules.time_form is not None
        else pl.lit(None, dtype=pl.Int64).alias(ReviewColumn.TIMESTAMP),
    )
    reasoned = typed.with_columns(_reason(rules).alias(REASON)).with_row_index("index")
    bad = reasoned.filter(pl.col(REASON).is_not_null()).select("index", REASON)
    good = reasoned.filter(pl.col(REASON).is_null())
    votes = pl.col(ReviewColumn.HELPFUL_VOTES).str.extract(_COUNT).str.replace_all(",", "")
    verified = pl.col(ReviewColumn.VERIFIED).str.strip_chars().str.to_lowercase()
    good = good.with_columns(
        votes.cast(pl.Int32, strict=False).alias(ReviewColumn.HELPFUL_VOTES),
        pl.when(verified.is_in(_TRUE)).then(True).when(verified.is_in(_FALSE)).then(False).alias(ReviewColumn.VERIFIED),
        plain_text(good[ReviewColumn.TITLE]),
        plain_text(good[ReviewColumn.TEXT]),
        tidy_style(good[ReviewColumn.STYLE]),
    )
    return good.select(pl.col(name).cast(dtype) for name, dtype in REVIEW_SCHEMA.items()), bad


def count_unrated(good: pl.DataFrame) -> dict[str, int]:
    """The reviews without a rating of `checked_reviews`, as `Batch.counts`."""
    return {"reviews without a rating": missing} if (missing := good[ReviewColumn.RATING].null_count()) else {}


def remedies(raw: pl.DataFrame, bad: pl.DataFrame, rules: ReviewRules) -> dict[str, str]:
    """Setting -> value under which bad rows of `checked_reviews` could be read, as their values tell."""
    found: dict[str, str] = {}
    if bad[REASON].str.contains("^rating is (?:not|outside)").any():
        found |= proposed_settings(raw[ReviewColumn.RATING])
    late = bad.filter(pl.col(REASON).str.starts_with("time is"))["index"]
    forms = time_forms(raw[ReviewColumn.TIMESTAMP].gather(late)) if len(late) else []
    if forms and rules.time_form not in forms:
        found |= dict([time_setting(forms[0])])
    return found


def time_setting(form: str) -> tuple[str, str]:
    """The setting that says this form, and its value on a command line."""
    return ("data.timestamp_format", f"'{form}'") if "%" in form else ("data.timestamp_unit", form)


def tidy_style(styles: pl.Series) -> pl.Series:
    """Variant descriptions as JSON objects with tidy names: `{"Size:": " 5"}` becomes `{"Size": "5"}`."""
    distinct = styles.drop_nulls().unique()
    if distinct.is_empty():
        return styles
    tidy = pl.Series([_tidy_style(style) for style in distinct.to_list()], dtype=pl.String)
    return styles.replace_strict(distinct, tidy, default=None, return_dtype=pl.String)


def _tidy_style(style: str) -> str | None:
    try:
        parts = json.loads(style)
    except (ValueError, RecursionError):
        parts = style
    if not isinstance(parts, dict):
        parts = {"style": parts}
    tidy = {name.strip().rstrip(":").strip(): str(value).strip() for name, value in parts.items() if value is not None}
    texts = plain_text(pl.Series(list(tidy.values()), dtype=pl.String)).to_list()
    known = {name: text for name, text in zip(tidy, texts, strict=True) if text}
    return json.dumps(known, ensure_ascii=False) if known else None


def _identifier(name: str) -> pl.Expr:
    text = pl.col(name).str.replace_all("\x00", "", literal=True).str.strip_chars()
    return pl.when(text != "").then(text).alias(name)


def _reason(rules: ReviewRules) -> pl.Expr:
    """Why a row is no review; null where it is one."""
    rating, time = pl.col(ReviewColumn.RATING), pl.col(ReviewColumn.TIMESTAMP)
    low, high = rules.rating_scale
    faults = [
        (pl.col(ReviewColumn.USER_ID).is_null(), "user id is missing"),
        (pl.col(ReviewColumn.ASIN).is_null(), "product id is missing"),
        (pl.col(ReviewColumn.USER_ID).str.len_chars() > LONGEST_ID, f"user id has more than {LONGEST_ID} characters"),
        (pl.col(ReviewColumn.ASIN).str.len_chars() > LONGEST_ID, f"product id has more than {LONGEST_ID} characters"),
        (pl.col(ReviewColumn.WEIGHT).is_null(), "amount is missing or no number from 0"),
        # A review may have no rating: the model has a vector for that.
        (pl.col("rating_is_given") & rating.is_null(), "rating is not a number"),
        (~rating.is_between(*STARS), f"rating is outside {low:g} to {high:g}"),
    ]
    if rules.time_form is not None:
        faults += [
            (time.is_null(), "time is missing or not a time"),
            (time < EARLIEST, "time is before 1995"),
            (time > latest_time(), "time is in the future"),
        ]
    return pl.coalesce(*(pl.when(is_so).then(pl.lit(reason)) for is_so, reason in faults))
