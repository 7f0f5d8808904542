"""Arguments of a call in Python, looked at before anything is asked."""

import difflib
import operator
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rec_sys.contracts import InputError

if TYPE_CHECKING:
    from rec_sys.inference.contract import Filter

_TRUTH: Final = ("bool", "bool_", "bool8")  # Python's, and numpy's, which may not be imported


def whole_number(value: Any, name: str, most: int) -> int:
    """A number from 1 to `most`, numpy's among them.

    Raises:
        InputError: It is none.
    """
    try:
        number = -1 if type(value).__name__ in _TRUTH else operator.index(value)
    except TypeError:
        number = -1
    if not 1 <= number <= most:
        raise InputError(f"{name} is {value!r}", where=name, remedy=f"give a whole number from 1 to {most:,}")
    return number


def true_or_false(value: Any, name: str) -> bool:
    """A bool, or one of numpy's.

    Raises:
        InputError: It is none.
    """
    if type(value).__name__ not in _TRUTH:
        raise InputError(f"{name} is {value!r}", where=name, remedy="give True or False")
    return bool(value)


def one_of(value: Any, name: str, choices: Sequence[str]) -> str:
    """One of some words.

    Raises:
        InputError: It is none of them.
    """
    if not isinstance(value, str) or value not in choices:
        words = " or ".join(map(repr, choices))
        raise InputError(f"{name} is {value!r}", where=name, remedy=f"give {words}")
    return value


def read_filter(given: Any) -> "Filter":
    """A filter of products as the service takes it.

    Raises:
        InputError: It is no mapping, or a part of it is unknown or out of range.
    """
    from rec_sys.inference.contract import Filter
    from rec_sys.inference.request_parsing import parse

    names = list(Filter.model_fields)
    if given is None:
        return Filter()
    if not isinstance(given, Mapping):
        example = 'such as {"max_price": 40}'
        raise InputError(
            f"filter is {given!r}", where="filter", remedy=f"give a dict with any of {', '.join(names)}, {example}"
        )
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(str(name), names, n=1)
            question = f"did you mean {near[0]}? " if near else ""
            raise InputError(
                f"a filter has no {name!r}", where="filter", remedy=f"{question}it takes {', '.join(names)}"
            )
    try:
        return parse(Filter, {name: _as_list(value) for name, value in given.items()})
    except InputError as error:
        raise InputError(error.what, where=f"filter: {error.where}", remedy=error.remedy) from error


def _as_list(value: Any) -> Any:
    """A series or an array as the list that it holds."""
    return value.tolist() if hasattr(value, "tolist") else value.to_list() if hasattr(value, "to_list") else value
