"""Long lists of names in a line for people."""

from collections.abc import Sequence
from typing import Final

MOST_NAMES: Final = 12  # more are read by nobody


def first_of(names: Sequence[str], separator: str = ", ", most: int = MOST_NAMES) -> str:
    """The names, or the first of them and how many more there are.

    >>> first_of(["a", "b", "c", "d"], most=2)
    'a, b and 2 more'
    """
    more = len(names) - most
    return separator.join(names[:most]) + (f" and {more} more" if more > 0 else "")
