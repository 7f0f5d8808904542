"""What a value may be, in words: for settings and for requests, whose validators speak of types and inputs."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import NoneType
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import AwareDatetime, BaseModel, Secret, SecretStr
from pydantic.fields import FieldInfo

KINDS: Final[Mapping[Any, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    Path: "a path",
    AwareDatetime: "a time with its zone, such as 2027-01-31T12:00:00Z",
}
BOUNDS: Final = {
    "ge": "at least",
    "gt": "above",
    "le": "at most",
    "lt": "below",
    "min_length": "of length at least",
    "max_length": "of length at most",
    "pattern": "matching",
}
_OBJECT: Final = "an object of fields"
_BROKEN_UNICODE: Final = "a text of whole characters"
# pydantic's types of fault -> what the value may be; in braces what it says of the bound.
_TAKES: Final = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), KINDS[int]),
    "int_parsing_size": "a number that is not so long",
    **dict.fromkeys(("float_type", "float_parsing"), KINDS[float]),
    "finite_number": "a number that is neither infinite nor NaN",
    **dict.fromkeys(("bool_type", "bool_parsing"), KINDS[bool]),
    "string_type": KINDS[str],
    "string_unicode": _BROKEN_UNICODE,
    "string_too_short": f"a text {BOUNDS['min_length']} {{min_length}}",
    "string_too_long": f"a text {BOUNDS['max_length']} {{max_length}}",
    "string_pattern_mismatch": f"a text {BOUNDS['pattern']} {{pattern}}",
    "too_short": f"a list {BOUNDS['min_length']} {{min_length}}",
    "too_long": f"a list {BOUNDS['max_length']} {{max_length}}",
    "greater_than_equal": f"a number, {BOUNDS['ge']} {{ge}}",
    "greater_than": f"a number, {BOUNDS['gt']} {{gt}}",
    "less_than_equal": f"a number, {BOUNDS['le']} {{le}}",
    "less_than": f"a number, {BOUNDS['lt']} {{lt}}",
    "literal_error": "{expected}",
    "enum": "{expected}",
    **dict.fromkeys(("list_type", "tuple_type", "set_type"), "a list"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), _OBJECT),
    "path_type": KINDS[Path],
    **dict.fromkeys(("timezone_aware", "datetime_parsing", "datetime_type"), KINDS[AwareDatetime]),
}
_WHOLE: Final = {
    "missing": "{name} is missing",
    "extra_forbidden": "there is no field {name} here",
    "json_invalid": "{name} is no JSON",
}


def fault_in_words(fault: Mapping[str, Any], name: str) -> str:
    """What is wrong with a value.

    >>> fault_in_words({"type": "less_than_equal", "ctx": {"le": 5}}, "rating")
    'rating takes a number, at most 5'

    Args:
        fault: One of those that pydantic's `errors()` lists.
        name: The value's name, as its sender writes it.
    """
    kind, context = fault["type"], {str(key): _shown(value) for key, value in fault.get("ctx", {}).items()}
    if kind == "value_error":  # our own validators speak in words
        return str(fault["msg"]).removeprefix("Value error, ")
    if kind in _WHOLE:
        return _WHOLE[kind].format(name=name)
    return f"{name} takes {_TAKES.get(kind, 'another value').format(**context)}"


def _shown(bound: Any) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}" if isinstance(bound, float) else str(bound)


def describe_values(field: FieldInfo) -> str:
    """The kind and the range of a field's values, in words."""
    return _bounded(field.annotation, field.metadata)


def _bounded(annotation: Any, constraints: Iterable[Any]) -> str:
    words = _either(_kinds(annotation))
    for constraint in constraints:
        for name, phrase in BOUNDS.items():
            if (bound := getattr(constraint, name, None)) is not None:
                words += f", {phrase} {bound}"
    return words


def _either(words: Iterable[str]) -> str:
    *before, last = dict.fromkeys(words)
    return f"{', '.join(before)} or {last}" if before else last


def _kinds(annotation: Any) -> Iterator[str]:
    if annotation in (None, NoneType):
        yield "null"
    elif annotation in KINDS:
        yield KINDS[annotation]
    elif get_origin(annotation) is Literal:
        yield from (str(value) for value in get_args(annotation))
    elif get_origin(annotation) in (list, tuple, set):
        yield f"a list such as [a,b], each {_either(_kinds(get_args(annotation)[0]))}"
    elif get_origin(annotation) is dict:
        value, *further = get_args(get_args(annotation)[1]) or (get_args(annotation)[1],)
        constraints = [one for field in further if isinstance(field, FieldInfo) for one in field.metadata]
        yield f"a mapping such as {{a: b}}, each value {_bounded(value, constraints)}"
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield f"a section with {', '.join(annotation.model_fields)}"
    elif isinstance(annotation, type) and issubclass(annotation, Secret | SecretStr):
        yield "a text" if annotation is SecretStr else "an address"
    else:
        for argument in get_args(annotation):
            yield from _kinds(argument)
