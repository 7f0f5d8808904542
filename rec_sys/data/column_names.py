"""What columns are called in many languages, and how sure a name says what a column is."""

import re
import tomllib
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any, Final

LIKELY: Final = 2.0  # a word of it
_SURE, _UNSURE = 3.0, 1.0  # the whole name; a word of a name that means a title


def likeness(name: str, known: list[str]) -> float:
    """How sure a column's name says that it is one of these; 0 where it does not."""
    spelled = {compact(one): place / 1000 for place, one in enumerate(known)}
    whole, words = compact(name), split_words(name)
    if whole in spelled:
        return _SURE - spelled[whole]
    places = [spelled[word] for word in words if word in spelled]
    if not places:
        return 0.0
    return (_UNSURE if {"name", "title"} & {*words} else LIKELY) - min(places)


def is_known(name: str) -> bool:
    """Whether a whole name is known, and not only a word of it."""
    names = known_names()
    return any(likeness(name, known) > LIKELY for part in ("reviews", "products") for known in names[part].values())


def split_words(name: str) -> list[str]:
    """The words of a name, without capitals and accents."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    plain = unicodedata.normalize("NFKD", parted.casefold())
    return re.findall(r"\w+", "".join(mark for mark in plain if not unicodedata.combining(mark)).replace("_", " "))


def compact(name: str) -> str:
    """A name however it is spelled: `User_ID`, `userId` and `user id` are one."""
    return "".join(split_words(name))


@cache
def known_names() -> dict[str, Any]:
    """`column_names.toml`: the names of each column, and the words of ratings."""
    found = tomllib.loads(Path(__file__).with_name("column_names.toml").read_text(encoding="utf-8"))
    found["products"].pop("asin")
    return found
