"""What the user sees while texts are embedded: a bar in a terminal, a line every ten seconds elsewhere."""

import logging
import time
from types import TracebackType
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

_LOG: Final = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES: Final = 10.0


class EmbeddingProgress:
    """Shows texts a second and the time left.

    The longest texts are embedded first, so the time left is estimated from tokens.

    Args:
        num_texts: Texts to embed.
        num_tokens: Their tokens together.
    """

    def __init__(self, num_texts: int, num_tokens: int) -> None:
        self._num_texts, self._num_tokens = num_texts, num_tokens
        self._texts = self._tokens = self._embedded = 0
        console = Console(stderr=True)
        self._bar: Progress | None = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("text: embedding"),
                BarColumn(),
                TextColumn("{task.fields[count]}"),
                TimeRemainingColumn(),
                console=console,
                transient=True,
            )

    def __enter__(self) -> "EmbeddingProgress":
        self._began = self._said = time.monotonic()
        if self._bar is not None:
            self._task = self._bar.add_task("", total=self._num_tokens, count=f"0 of {self._num_texts:,}")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, num_texts: int, num_tokens: int, *, embedded: bool = True) -> None:
        """Counts finished texts.

        Args:
            num_texts: Texts finished.
            num_tokens: Their tokens together.
            embedded: False where another process has embedded them.
        """
        self._texts, self._tokens = self._texts + num_texts, self._tokens + num_tokens
        self._embedded += num_texts if embedded else 0
        now = time.monotonic()
        rate = self._embedded / max(now - self._began, 1e-9)
        count = f"{self._texts:,} of {self._num_texts:,} texts, {rate:,.0f} a second"
        if self._bar is not None:
            self._bar.update(self._task, completed=self._tokens, count=count)
        elif now - self._said >= _SECONDS_BETWEEN_LINES and self._texts < self._num_texts:
            self._said = now
            left = (self._num_tokens - self._tokens) * (now - self._began) / max(self._tokens, 1)
            _LOG.info(f"text: {count}, about {left:,.0f} s left")
