"""Where the time of training goes: seconds in the sampler, the attention, the softmax and the rest of a step."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class PartClock:
    """Adds up the seconds of named parts.

    On a GPU a part ends when its work is queued, not when it is done: shares are true for a CPU alone.

    Attributes:
        seconds: By part.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._mark = time.perf_counter()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Counts the block; what was counted inside it by others is not taken out."""
        began = time.perf_counter()
        yield
        self._add(name, time.perf_counter() - began)
        self._mark = time.perf_counter()

    def mark(self, name: str | None = None) -> None:
        """Counts everything since the last mark or part as this part; without a name, as none."""
        now = time.perf_counter()
        if name is not None:
            self._add(name, now - self._mark)
        self._mark = now

    def shares(self) -> dict[str, float]:
        """Parts of 1, the largest first."""
        total = sum(self.seconds.values())
        ordered = sorted(self.seconds.items(), key=lambda item: -item[1])
        return {name: seconds / total for name, seconds in ordered} if total else {}

    def _add(self, name: str, seconds: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
