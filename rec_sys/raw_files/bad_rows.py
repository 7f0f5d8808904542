"""A raw row that cannot be used, and how much is read at once."""

from typing import Final, NamedTuple

BATCH_ROWS: Final = 50_000  # a few tens of megabytes of reviews, and already at polars' full speed
RAW_CHARACTERS: Final = 500  # kept of a bad row


class BadRow(NamedTuple):
    """A raw row that cannot be used."""

    line: int
    reason: str
    raw: str
