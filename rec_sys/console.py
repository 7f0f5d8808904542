"""The one place where consoles are made: a line for people wraps nowhere, and a table in a file is whole."""

import sys
from typing import Final

from rich.console import Console

_FILE_WIDTH: Final = 10_000  # rich cuts cells where a table is wider than its console; a file has no width


def print_table(table: object) -> None:
    """Prints a table to standard output: fitted to a terminal, else whole."""
    width = None if sys.stdout.isatty() else _FILE_WIDTH
    Console(width=width, soft_wrap=width is not None).print(table)


def error_console() -> Console:
    """Standard error for people: progress bars and lines, as they are written."""
    return Console(stderr=True, highlight=False, soft_wrap=True)
