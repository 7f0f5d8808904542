"""How signals reach a command: SIGINT and SIGTERM unwind its stack, whatever its libraries make of them."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def stopping_signals() -> Iterator[list[int]]:
    """Turns SIGTERM into the `KeyboardInterrupt` that SIGINT already is; yields the list of what has arrived."""
    received: list[int] = []
    owner = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:
            # A forked worker inherits this handler; for it the signal means what it always means.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        received.append(number)
        if number == signal.SIGTERM:
            # It can arrive twice, from the launcher and from the group; the second must not break the cleaning up.
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield received  # Python delivers signals to the main thread alone
        return
    before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:  # a command in the background of a script ignores SIGINT
            signal.signal(number, stop)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def interrupt_waits() -> None:
    """Lets Ctrl-C end what waits in the main thread, also where Polars was imported.

    Polars has a handler of its own, which calls Python's, and asks the system to go on with what was interrupted: a
    wait for a process or a lock would go on until it ends by itself, and only then the command.
    """
    import polars  # noqa: F401 # its handler is set here and not again

    signal.siginterrupt(signal.SIGINT, True)
