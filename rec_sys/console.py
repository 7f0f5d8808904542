"""The one place where commands print: a line for people wraps nowhere, and a table in a file is whole.

Much of what is printed was written by others (reviews, titles, ids, paths), so no text is ever read as markup or as the
name of an emoji, and none steers the terminal: `[/b]` and `:smile:` are printed as they are, escape characters escaped.
"""

import sys
import traceback
from collections.abc import Iterable
from typing import Any, Final

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import TextColumn
from rich.segment import Segment
from rich.text import Text

from rec_sys.shown_text import escape_controls, strip_secrets

_FILE_WIDTH: Final = 10_000  # rich cuts cells where a table is wider than its console; a file has no width


def say(text: object) -> None:
    """Prints a line to standard output, at once."""
    print(escape_controls(str(text)), flush=True)


def say_error(text: object) -> None:
    """Prints a line to standard error, where no secret belongs."""
    print(escape_controls(strip_secrets(str(text))), file=sys.stderr, flush=True)


def say_trace(error: BaseException) -> None:
    """Prints an exception with its stack to standard error."""
    say_error("".join(traceback.format_exception(error)).rstrip())


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


class _PlainConsole(Console):
    """Escapes texts before their width is measured, and again whatever came to it as something else than a text."""

    def render_str(self, text: str, **options: Any) -> Text:
        """A text as rich lays it out."""
        return super().render_str(escape_controls(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The pieces of anything that is printed; those that move the cursor are rich's own."""
        for piece in super().render(renderable, options):
            yield piece if piece.control else Segment(escape_controls(piece.text), piece.style)


def _plain_console(*, stderr: bool = False, width: int | None = None, soft_wrap: bool) -> Console:
    return _PlainConsole(stderr=stderr, width=width, soft_wrap=soft_wrap, highlight=False, markup=False, emoji=False)
