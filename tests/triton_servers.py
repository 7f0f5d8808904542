"""Where Triton's core can run, and what its processes are."""

import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

HAS_CORE = sys.platform == "linux" and platform.machine() == "x86_64"
needs_core = pytest.mark.skipif(not HAS_CORE, reason="Triton's core is published for Linux on x86-64 alone")


def is_running(process_id: int) -> bool:
    """Whether a process exists and has not ended; one that nobody has asked about yet has."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children_of(process_id: int) -> list[int]:
    """The processes that a process has started and that still are its own."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, *_ = path.read_text().rpartition(")")[2].split()
        except FileNotFoundError:
            continue
        if int(parent) == process_id and state != "Z":
            found.append(int(path.parent.name))
    return found


def until(condition: Callable[[], bool], seconds: float = 200) -> bool:
    """Waits for a condition; False where it did not come true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False
