"""Texts that others wrote, as they may be shown: nothing in them steers a terminal, and no address tells a password."""

import re
from typing import Final

_LONGEST: Final = 500  # characters
_HIDDEN: Final = "***"
# What stands before the host may hold any character but blanks: libraries take passwords that are not escaped.
_ADDRESS: Final = re.compile(
    r"""(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,30}://)(?P<user>[^\s/?#:@]*(?::\S*)?@)?(?P<place>[^\s?#'"<>]*)(?P<query>[?#][^\s'"<>]*)?"""
)
# Of a query the values alone, but for those as short as in `download=1`.
_PARAMETER: Final = re.compile(r"(?<=[?#&;])([^=&;#]*=)[^&;#]{5,}|(?<=[?&;])[^=&;#]{5,}(?=[&;#]|$)")
SECRET_NAMES: Final = ("token", "api_key", "password")  # of settings; addresses are looked through by themselves
_SECRET: Final = re.compile(
    rf"""(?P<name>\b(?:{"|".join(SECRET_NAMES)})\b["']?[ \t]*[=:][ \t]*)(?!null\b)"""
    r"""(?:'(?:[^']|'')*'|"(?:[^"\\]|\\.)*"|\$\{[^}]*\}|["']?[^\s,}\]]+)"""
)
# C0 but tab and line feed, DEL and C1 (ECMA-48); separators that some readers break lines at; the embeddings, overrides
# and isolates that turn text around (UAX 9); surrogates, which no encoding takes.
_CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def shorten(text: str) -> str:
    """The beginning of a text that is too long for a message."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def strip_secrets(text: str) -> str:
    """The text without the passwords, keys and tokens in it: those of addresses, and those of settings.

    >>> strip_secrets("postgresql://ada:pw@host/db?sslkey=a-key and serving.token=a-long-secret")
    'postgresql://***@host/db?sslkey=*** and serving.token=***'
    """
    return _SECRET.sub(rf"\g<name>{_HIDDEN}", _ADDRESS.sub(_strip_address, text))


def _strip_address(found: re.Match[str]) -> str:
    user = f"{_HIDDEN}@" if found["user"] else ""
    query = _PARAMETER.sub(lambda one: f"{one[1] or ''}{_HIDDEN}", found["query"] or "")
    return f"{found['scheme']}{user}{found['place']}{query}"


def escape_controls(text: str) -> str:
    r"""The text with control characters as JSON writes them, so that a JSON text keeps its meaning.

    >>> print(escape_controls("red\x1b[31m, \u202eback"))
    red\u001b[31m, \u202eback
    """
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
