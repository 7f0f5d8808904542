"""How often each token may ask: so many requests a second, a second's worth of them at once."""

import math
import time
from collections.abc import Callable

from rec_sys.serving.problems import Refusal


class TokenRates:
    """Counts by the generic cell rate algorithm (ITU-T I.371): one time for each token, that of its next cell.

    Args:
        a_second: Requests; None for as many as one likes.
        clock: Seconds that never go back.
    """

    def __init__(self, a_second: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._pause = 0.0 if a_second is None else 1 / a_second
        self._at_once = max(1.0, self._pause)
        self._clock = clock
        self._due: dict[str, float] = {}

    def take(self, bearer: str | None) -> None:
        """Counts a request of a token's bearer; those who need no token are not counted.

        Raises:
            Refusal: 429; it has asked too often.
        """
        if bearer is None or not self._pause:
            return
        now = self._clock()
        due = max(now, self._due.get(bearer, now)) + self._pause
        too_early = due - now - self._at_once
        if too_early > 1e-9:  # rounding
            seconds = str(math.ceil(too_early))
            raise Refusal(
                429,
                f"{1 / self._pause:g} requests a second are allowed for this token",
                where="header Authorization",
                remedy=f"try again after {seconds} s, and ask less often",
                headers={"Retry-After": seconds},
            )
        self._due[bearer] = due
