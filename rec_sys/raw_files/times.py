"""Times as text: their form is found from a file's first rows, and every row is read under that one form.

A form is a unit of numbers since 1970 (`s`, `ms`, `us`, `ns`), `iso`, or a format of `strftime` such as `%d/%m/%Y`.
"""

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Final

import polars as pl

# The first review on the web was written in 1995; an earlier time is a wrong unit or a missing one.
EARLIEST: Final = int(datetime(1995, 1, 1, tzinfo=UTC).timestamp() * 1000)
_MILLISECONDS: Final = {"s": 1000.0, "ms": 1.0, "us": 1e-3, "ns": 1e-6}
_UNITS: Final = (*_MILLISECONDS, "iso")
_ZONE: Final = r"[+-]\d\d:?(?:\d\d)?$"
_ISO_FORMATS: Final = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")
_ISO_ZONE_FORMATS: Final = ("%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M%#z")
_DAYS: Final = (
    *(f"%{first}{mark}%{second}{mark}%{year}" for year in "Yy" for mark in "/.-" for first, second in ("dm", "md")),
    *("%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d %B %Y", "%d-%B-%Y", "%B %d, %Y", "%m %d, %Y"),
)
_CLOCKS: Final = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_FORMATS: Final = [day + clock for clock, day in product(_CLOCKS, _DAYS)]
_LOOKS_WRITTEN: Final = r"^.{0,40}\d.{0,40}\d.{0,40}\d.{0,40}$"  # a day and a year have three digits or more
_SHORTEST: Final = len("1/1/95")
_EXAMINED: Final = 10_000  # rows; enough to meet a day above 12


def milliseconds(times: pl.Series, form: str) -> pl.Series:
    """Times in milliseconds since 1970 UTC, int64; null where a text is none. Without a zone they are UTC."""
    texts = times.str.strip_chars()
    if form in _MILLISECONDS:
        number = texts.cast(pl.Float64, strict=False) * _MILLISECONDS[form]
        # A number past int64 cannot be cast; 1e15 ms is far enough in the future to be refused as such.
        return number.set(~number.is_finite(), None).clip(-1e15, 1e15).round().cast(pl.Int64)
    if form != "iso":
        return _parsed(texts, form, None)
    plain = texts.str.replace(r"^(\S{10})[Tt]", "$1 ").str.replace(r"\s*(?:[Zz]|UTC|GMT)$", "")
    has_zone = plain.str.slice(10).str.contains(_ZONE)
    if not has_zone.any():
        return _first_parsed(plain, _ISO_FORMATS, None)
    zoned = _first_parsed(plain.set(~has_zone, None), _ISO_ZONE_FORMATS, "UTC")
    return zoned.fill_null(_first_parsed(plain.set(has_zone, None), _ISO_FORMATS, None))


def time_forms(times: pl.Series) -> list[str]:
    """The forms under which most of the first rows are plausible times.

    Several where a day could be a month; none where no form reads half of them.
    """
    texts = times.head(_EXAMINED).drop_nulls().str.strip_chars()
    texts = texts.filter(texts != "").unique(maintain_order=True)
    counts = {unit: int(_is_plausible(milliseconds(texts, unit)).sum()) for unit in _UNITS}
    if 2 * max(counts.values()) < len(texts):
        # Each of the many formats takes its time, and most columns of a wide table hold no dates.
        written = texts.str.contains(_LOOKS_WRITTEN) & (texts.str.len_chars() >= _SHORTEST)
        if 2 * written.sum() < len(texts):
            return []
        counts = {form: int(_is_plausible(milliseconds(texts, form)).sum()) for form in _FORMATS}
    most = max(counts.values())
    if not len(texts) or 2 * most < len(texts):
        return []
    return [form for form, count in counts.items() if count == most]


def latest_time() -> int:
    """A day from now, in milliseconds: clocks differ, and a later time is no review's."""
    return int((datetime.now(UTC) + timedelta(days=1)).timestamp() * 1000)


def _is_plausible(moments: pl.Series) -> pl.Series:
    return moments.is_between(EARLIEST, latest_time())


def _first_parsed(texts: pl.Series, formats: tuple[str, ...], zone: str | None) -> pl.Series:
    """Each text under the first format that reads it; a later one is tried only on what is left."""
    moments = pl.Series(texts.name, [None], dtype=pl.Int64).new_from_index(0, len(texts))
    for form in formats:
        left = (moments.is_null() & texts.is_not_null()).arg_true()
        if len(left):
            moments = moments.scatter(left, _parsed(texts.gather(left), form, zone))
    return moments


def _parsed(texts: pl.Series, form: str, zone: str | None) -> pl.Series:
    return texts.str.to_datetime(form, strict=False, time_unit="ms", time_zone=zone).dt.epoch("ms")
