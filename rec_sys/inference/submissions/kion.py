"""The file of the online cinema: ten films for everybody who is asked for."""

import json
import re
from collections.abc import Sequence
from typing import Final

from rec_sys.inference.submissions.contract import SubmissionFormat

_FIELD: Final = re.compile(r"\[\d+(, \d+)*\]")


def write_films(films: Sequence[str]) -> str:
    """Numbers in a list.

    >>> write_films(["15", "9728"])
    '[15, 9728]'
    """
    return f"[{', '.join(films)}]"


def read_films(field: str) -> list[str]:
    """The same backwards.

    Raises:
        ValueError: It is not written so.
    """
    if not _FIELD.fullmatch(field):
        raise ValueError(f"{field[:40]!r} is no list of numbers such as [1, 2]")
    return [str(number) for number in json.loads(field)]


FORMAT: Final = SubmissionFormat(("user_id", "item_id"), products=10, write=write_films, read=read_films)
