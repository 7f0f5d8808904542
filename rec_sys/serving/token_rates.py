"""How often each token may ask: so many requests a second, a second's worth of them at once."""

import fcntl
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from rec_sys.serving.problems import Refusal
from rec_sys.serving.worker_memory import ALONE, WorkerMemory

_FILE: Final = "token_rates"


class TokenRates:
    """Counts by the generic cell rate algorithm (ITU-T I.371): one time for each token, that of its next cell.

    Args:
        a_second: Requests; None for as many as one likes.
        bearers: The names of the tokens.
        memory: Where workers of one service count together.
        clock: Seconds that never go back, the same for all processes.
    """

    def __init__(
        self,
        a_second: float | None,
        bearers: Sequence[str] = (),
        memory: WorkerMemory = ALONE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pause = 0.0 if a_second is None else 1 / a_second
        self._at_once = max(1.0, self._pause)
        self._clock = clock
        self._place = {name: place for place, name in enumerate(bearers)}
        self._due = memory.view(_FILE, 8 * max(1, len(bearers))).cast("d")
        self._lock = None if memory.folder is None else (memory.folder / f"{_FILE}.lock").open("wb")

    def take(self, bearer: str | None) -> None:
        """Counts a request of a token's bearer; those who need no token are not counted.

        Raises:
            Refusal: 429; it has asked too often.
        """
        if bearer is None or not self._pause:
            return
        place, now = self._place[bearer], self._clock()
        with self._alone():
            due = max(now, self._due[place]) + self._pause
            too_early = due - now - self._at_once
            if too_early <= 1e-9:  # rounding
                self._due[place] = due
                return
        seconds = str(math.ceil(too_early))
        raise Refusal(
            429,
            f"{1 / self._pause:g} requests a second are allowed for this token",
            where="header Authorization",
            remedy=f"try again after {seconds} s, and ask less often",
            headers={"Retry-After": seconds},
        )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keeps other workers out, for a `with` block; one that is killed meanwhile does so no more."""
        if self._lock is None:
            yield
            return
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
