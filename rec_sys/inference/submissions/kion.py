"""The file of the online cinema: ten films for everybody who is asked for."""

import itertools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rec_sys.inference.served_bundle import ServedBundle
from rec_sys.inference.submissions.contract import Lists, SubmissionFormat
from rec_sys.inference.submissions.truth import mean_average_precision, read_truth, recall

FILMS: Final = 10
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


def measure(lists: Lists, truth: Path, served: ServedBundle) -> dict[str, dict[str, float]]:
    """The model beside what most watch, both without what a user has watched, over the users that it knows."""
    watched = {user: films for user, films in read_truth(truth, served).items() if user in served.users}
    popular = [served.asins[film] for film in served.by_popularity.tolist()]
    unseen = {}
    for user in watched:
        seen = {served.asins[film] for film in served.users.product[served.users.rows(user)].tolist()}
        unseen[user] = list(itertools.islice((film for film in popular if film not in seen), FILMS))
    return {
        name: {
            f"map_at_{FILMS}": mean_average_precision(found, watched, FILMS),
            f"recall_at_{FILMS}": recall(found, watched, FILMS),
        }
        for name, found in (("model", lists), ("popular", unseen))
    }


FORMAT: Final = SubmissionFormat(
    ("user_id", "item_id"), products=FILMS, write=write_films, read=read_films, measure=measure
)
