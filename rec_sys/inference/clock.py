"""Where the time of an answer goes."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, get_args

from rec_sys.inference.contract import StepTimes

Step = Literal["text", "tower", "index", "ranker"]


class StepClock:
    """Starts when it is made and adds up the steps of one answer."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self.seconds: dict[str, float] = dict.fromkeys(get_args(Step), 0.0)

    def times(self) -> StepTimes:
        """The steps up to now, in milliseconds."""
        total = time.perf_counter() - self._began
        every: dict[str, Any] = {**self.seconds, "rest": total - sum(self.seconds.values()), "total": total}
        return StepTimes(**{step: round(1e3 * seconds, 3) for step, seconds in every.items()})


@contextmanager
def timed(step: Step, clocks: Sequence[StepClock]) -> Iterator[None]:
    """Counts what the block takes for every answer that waits for it."""
    began = time.perf_counter()
    try:
        yield
    finally:
        elapsed = time.perf_counter() - began
        for clock in clocks:
            clock.seconds[step] += elapsed
