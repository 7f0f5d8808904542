"""Where the time of an answer goes."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from rec_sys.inference.contract import StepTimes

Step = Literal["text", "tower", "index"]


class StepClock:
    """Starts when it is made and adds up the steps of one answer."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._seconds: dict[Step, float] = {"text": 0.0, "tower": 0.0, "index": 0.0}

    def add(self, step: Step, seconds: float) -> None:
        """Counts time for a step."""
        self._seconds[step] += seconds

    def times(self) -> StepTimes:
        """The steps up to now, in milliseconds."""
        total = time.perf_counter() - self._began
        rest = total - sum(self._seconds.values())
        return StepTimes.model_construct(
            text=round(1e3 * self._seconds["text"], 3),
            tower=round(1e3 * self._seconds["tower"], 3),
            index=round(1e3 * self._seconds["index"], 3),
            rest=round(1e3 * rest, 3),
            total=round(1e3 * total, 3),
        )


@contextmanager
def timed(step: Step, clocks: Sequence[StepClock]) -> Iterator[None]:
    """Counts what the block takes for every answer that waits for it."""
    began = time.perf_counter()
    try:
        yield
    finally:
        elapsed = time.perf_counter() - began
        for clock in clocks:
            clock.add(step, elapsed)
