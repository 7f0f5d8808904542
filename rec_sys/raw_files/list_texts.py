"""Lists within a text: what a cell or a field holds as JSON, or as Python and numpy print it, is a list."""

import io
import json
import re
import tokenize
from typing import Any, Final

import polars as pl

from rec_sys.raw_files.json_objects import read_literal

_FOLLOWING_TEXTS: Final = re.compile(r"""['"]\s+['"]""")


def texts_within(value: str) -> list[str]:
    """The texts of a field that may hold one text or a list of them; none where it is blank."""
    if not value.strip():
        return []
    found = _read_list(value)
    return [value] if found is None else [str(text) for text in found if text is not None]


def first_path(value: str) -> list[str]:
    """Likewise, of several lists the first: Amazon of 2014 lists all paths of categories, the main one first."""
    found = _read_list(value)
    if found and isinstance(found[0], list):
        return [str(name) for name in found[0] if name is not None]
    return texts_within(value)


def first_filled(*names: str) -> pl.Expr:
    """The first of some columns of texts that holds something: neither blank nor an empty list."""
    columns = [pl.col(name) for name in names]
    return pl.coalesce(pl.when(column.str.contains(r"[^\s\[\]]")).then(column) for column in columns)


def _read_list(value: str) -> list[Any] | None:
    text = value.strip()
    if not (text.startswith("[") and text.endswith("]")):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        try:
            found = read_literal(_with_commas(text))
        except ValueError:
            return None
    return found if isinstance(found, list) else None


def _with_commas(text: str) -> str:
    """numpy prints lists without commas, and Python would join the texts that follow each other."""
    if not _FOLLOWING_TEXTS.search(text):
        return text
    pieces: list[str] = []
    try:
        before = tokenize.ENCODING
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == before == tokenize.STRING:
                pieces.append(",")
            if token.type not in (tokenize.NL, tokenize.NEWLINE):
                pieces.append(token.string)
                before = token.type
    except (tokenize.TokenError, IndentationError):
        return text
    return " ".join(pieces)
