"""Times as requests have them: milliseconds, or dates."""

from datetime import UTC, datetime
from typing import Final

LAST_TIMESTAMP: Final = 7_258_118_400_000  # the year 2200, in milliseconds
_FIRST_SECOND: Final = 788_918_400  # 1995, the first review on the web
_OTHER_UNITS: Final = {"seconds": 1, "microseconds": 1_000_000, "nanoseconds": 1_000_000_000}
_DATE_DIGITS: Final = 8  # of a date such as 20200913; a longer number is a time
_SHOWN: Final = 40  # characters of what is no time


def as_milliseconds(value: object) -> object:
    """A date text of ISO 8601 as milliseconds; without a zone it is UTC.

    A number that would be a time of the web in another unit is refused with the milliseconds that are meant.
    """
    if isinstance(value, str) and value.isdigit() and len(value) > _DATE_DIGITS:
        value = int(value)
    if isinstance(value, int | float):
        for unit, a_second in _OTHER_UNITS.items():
            if _FIRST_SECOND * a_second <= value < LAST_TIMESTAMP // 1000 * a_second:
                moment = datetime.fromtimestamp(value / a_second, UTC)
                meant = round(value / a_second * 1000)
                raise ValueError(f"{value} looks like {unit}: in milliseconds {moment:%Y-%m-%d} is {meant}")
    if not isinstance(value, str):
        return value
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise ValueError(
            f"a time is milliseconds since 1970 UTC or a date of ISO 8601, and {value[:40]!r} is none"
        ) from error
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
