"""What the user sees of long work: a bar in a terminal, a line every ten seconds elsewhere."""

import logging
import time
from types import TracebackType
from typing import Final, Self

from rich.progress import BarColumn, Progress, TimeRemainingColumn

from rec_sys.console import error_console, text_column

_LOG: Final = logging.getLogger(__name__)
_SECONDS_BETWEEN_LINES: Final = 10.0


class WorkProgress:
    """Shows pieces a second and the time left.

    Args:
        name: What is done, such as `text: embedding`.
        pieces: What is counted, such as `texts`.
        total: Pieces to do.
        effort: What all of them cost, where some cost more than others: the time left is estimated from it.
        shown: False to stay silent.
    """

    def __init__(self, name: str, pieces: str, total: int, effort: int | None = None, shown: bool = True) -> None:
        self._name, self._pieces, self._total, self._shown = name, pieces, total, shown
        self._effort = total if effort is None else effort
        self._done = self._spent = self._own = 0
        console = error_console()
        columns = text_column(name), BarColumn(), text_column("{task.fields[count]}"), TimeRemainingColumn()
        self._bar = Progress(*columns, console=console, transient=True) if shown and console.is_terminal else None

    def __enter__(self) -> Self:
        self._began = self._logged = time.monotonic()
        if self._bar is not None:
            self._task = self._bar.add_task("", total=self._effort, count=f"0 of {self._total:,}")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, pieces: int, effort: int | None = None, *, own: bool = True) -> None:
        """Counts finished pieces.

        Args:
            pieces: How many.
            effort: What they cost; None where each costs the same.
            own: False where another process has done them.
        """
        self._done, self._spent = self._done + pieces, self._spent + (pieces if effort is None else effort)
        self._own += pieces if own else 0
        now = time.monotonic()
        rate = self._own / max(now - self._began, 1e-9)
        count = f"{self._done:,} of {self._total:,} {self._pieces}, {rate:,.0f} a second"
        if self._bar is not None:
            self._bar.update(self._task, completed=self._spent, count=count)
        elif self._shown and now - self._logged >= _SECONDS_BETWEEN_LINES and self._done < self._total:
            self._logged = now
            left = (self._effort - self._spent) * (now - self._began) / max(self._spent, 1)
            _LOG.info(f"{self._name}: {count}, about {left:,.0f} s left")
