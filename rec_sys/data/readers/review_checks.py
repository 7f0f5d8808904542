"""Decides which raw rows are reviews: every reader's rows pass here, so that one rule holds for all formats."""

import json
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import polars as pl

from rec_sys.contracts import ReviewColumn
from rec_sys.data.plain_text import plain_text
from rec_sys.data.readers.batches import REVIEW_SCHEMA

TimeUnit = Literal["s", "ms", "us", "iso"]

# The first review on the web was written in 1995; an earlier time is a wrong unit or a missing one.
EARLIEST: Final = int(datetime(1995, 1, 1, tzinfo=UTC).timestamp() * 1000)
MILLISECONDS: Final = {"s": 1000.0, "ms": 1.0, "us": 0.001}
REASON: Final = "reason"
_ISO_FORMATS: Final = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")
_TRUE: Final = ("true", "yes", "y", "t", "1", "1.0")
_FALSE: Final = ("false", "no", "n", "f", "0", "0.0")
_COUNT: Final = r"^\[?\s*(\d{1,3}(?:,\d{3})+|\d+)"  # "3", "1,234" and the first of "[2, 5]"


def checked_reviews(
    raw: pl.DataFrame, *, time_unit: TimeUnit | None, has_rating: bool
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Types the raw rows and parts the good from the bad.

    Args:
        raw: The columns of `REVIEW_SCHEMA` as strings, `source_row` as an integer.
        time_unit: Unit of `timestamp`; None where the data has no time.
        has_rating: Whether a row without a rating is a bad one.

    Returns:
        The good rows as `REVIEW_SCHEMA`, and the bad ones as `index` (row in `raw`) and `reason`.
    """
    rating = pl.col(ReviewColumn.RATING).str.strip_chars().cast(pl.Float64, strict=False)
    # Types first, so that the reasons below compare numbers.
    typed = raw.with_columns(
        _identifier(ReviewColumn.USER_ID),
        _identifier(ReviewColumn.ASIN),
        rating.alias(ReviewColumn.RATING),
        pl.col(ReviewColumn.RATING).is_null().alias("rating_is_missing"),
        milliseconds(pl.col(ReviewColumn.TIMESTAMP), time_unit).alias(ReviewColumn.TIMESTAMP),
    )
    reasoned = typed.with_columns(_reason(time_unit is not None, has_rating).alias(REASON)).with_row_index("index")
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


def milliseconds(time: pl.Expr, unit: TimeUnit | None) -> pl.Expr:
    """A time, given as text, in milliseconds since 1970 UTC; null where it is none."""
    if unit is None:
        return pl.lit(None, dtype=pl.Int64)
    text = time.str.strip_chars()
    if unit == "iso":
        plain = text.str.replace("[Tt]", " ").str.replace("[Zz]$", "")
        without_zone = [plain.str.to_datetime(form, strict=False, time_unit="ms") for form in _ISO_FORMATS]
        with_zone = plain.str.to_datetime("%Y-%m-%d %H:%M:%S%.f%#z", strict=False, time_unit="ms", time_zone="UTC")
        return pl.coalesce(with_zone.dt.epoch("ms"), *(moment.dt.epoch("ms") for moment in without_zone))
    number = text.cast(pl.Float64, strict=False) * MILLISECONDS[unit]
    # A number past int64 cannot be cast; 1e15 ms is far enough in the future to be refused as such.
    return pl.when(number.is_finite()).then(number.clip(-1e15, 1e15).round()).cast(pl.Int64)


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


def _reason(has_time: bool, has_rating: bool) -> pl.Expr:
    rating, time = pl.col(ReviewColumn.RATING), pl.col(ReviewColumn.TIMESTAMP)
    latest = int((datetime.now(UTC) + timedelta(days=1)).timestamp() * 1000)
    faults = [
        (pl.col(ReviewColumn.USER_ID).is_null(), "user id is missing"),
        (pl.col(ReviewColumn.ASIN).is_null(), "product id is missing"),
    ]
    if has_rating:
        faults += [
            (pl.col("rating_is_missing"), "rating is missing"),
            (rating.is_null() | ~rating.is_finite(), "rating is not a number"),
            (~rating.is_between(1, 5), "rating is outside 1 to 5"),
        ]
    if has_time:
        faults += [
            (time.is_null(), "time is missing or not a time"),
            (time < EARLIEST, "time is before 1995"),
            (time > latest, "time is in the future"),
        ]
    return pl.coalesce(*(pl.when(is_so).then(pl.lit(reason)) for is_so, reason in faults))
