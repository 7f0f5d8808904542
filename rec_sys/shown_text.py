"""Texts that others wrote, as they may be shown: nothing in them steers a terminal, and no address tells a password."""

import re
from typing import Final

_LONGEST: Final = 500  # characters
# C0 but tab and line feed, DEL and C1 (ECMA-48); separators that some readers break lines at; the embeddings, overrides
# and isolates that turn text around (UAX 9); surrogates, which no encoding takes.
_CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def shorten(text: str) -> str:
    """The beginning of a text that is too long for a message."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def escape_controls(text: str) -> str:
    r"""The text with control characters as JSON writes them, so that a JSON text keeps its meaning.

    >>> print(escape_controls("red\x1b[31m, \u202eback"))
    red\u001b[31m, \u202eback
    """
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
