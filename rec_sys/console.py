"""The one place where consoles are made: a line for people wraps nowhere, and a table in a file is whole.

Much of what is printed was written by others (reviews, titles, ids, paths), so no text is ever read as markup or as the
name of an emoji: `[/b]` and `:smile:` are printed as they are.
"""

import sys
from typing import Final

from rich.console import Console
from rich.progress import TextColumn

_FILE_WIDTH: Final = 10_000  # rich cuts cells where a table is wider than its console; a file has no width


def print_table(table: object) -> None:
    """Prints a table to standard output: fitted to a terminal, else whole."""
    width = None if sys.stdout.isatty() else _FILE_WIDTH
    _plain_console(width=width, soft_wrap=width is not None).print(table)


def error_console() -> Console:
    """Standard error for people: progress bars and lines, as they are written."""
    return _plain_console(stderr=True, soft_wrap=True)


def text_column(text_format: str) -> TextColumn:
    """A column of a progress bar, as it is written; the format may name fields such as `{task.description}`."""
    return TextColumn(text_format, markup=False)


def _plain_console(*, stderr: bool = False, width: int | None = None, soft_wrap: bool) -> Console:
    return Console(stderr=stderr, width=width, soft_wrap=soft_wrap, highlight=False, markup=False, emoji=False)
