"""What each stage of a process takes: seconds on the wall and on the processors, and the memory at its height."""

import resource
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_STATUS: Final = Path("/proc/self/status")  # Linux alone has it
_SAMPLE_SECONDS: Final = 0.02
_KIBIBYTE: Final = 1024


@dataclass
class Stage:
    """What a stage took.

    Attributes:
        seconds: By the clock on the wall.
        processor_seconds: Of all threads together; little disturbed by other work on the machine.
        peak_resident_bytes: Memory and the pages of mapped files, as sampled; None where the system does not say.
        peak_anonymous_bytes: The same without the pages of files, which the system takes back when it needs them.
    """

    seconds: float
    processor_seconds: float
    peak_resident_bytes: int | None = None
    peak_anonymous_bytes: int | None = None


class StageClock:
    """Measures the stages of this process, one after another; `stages` has them in order."""

    def __init__(self) -> None:
        self.stages: dict[str, Stage] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measures the block."""
        finished = threading.Event()
        samples: list[tuple[int, int]] = []
        watcher = threading.Thread(target=_watch, args=(finished, samples), daemon=True)
        watcher.start()
        began, processor_began = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            stage = Stage(time.perf_counter() - began, time.process_time() - processor_began)
            finished.set()
            watcher.join()
        if samples:
            stage.peak_resident_bytes, stage.peak_anonymous_bytes = map(max, zip(*samples, strict=True))
        self.stages[name] = stage


def peak_resident_bytes() -> int:
    """The most memory that this process ever held, the pages of mapped files included."""
    status = _read_status()
    if "VmHWM" in status:
        # getrusage would also count what the parent held when it started this process.
        return status["VmHWM"]
    return most_resident_bytes(resource.RUSAGE_SELF)


def most_resident_bytes(whose: int) -> int:
    """What the system counted for this process or for its largest child, as `resource` names them."""
    return resource.getrusage(whose).ru_maxrss * (1 if sys.platform == "darwin" else _KIBIBYTE)


def _watch(finished: threading.Event, samples: list[tuple[int, int]]) -> None:
    """Notes resident and anonymous memory until `finished` is set, once at least."""
    while True:
        status = _read_status()
        if "RssAnon" in status:
            samples.append((status["VmRSS"], status["RssAnon"]))
        if finished.wait(_SAMPLE_SECONDS):
            return


def _read_status() -> dict[str, int]:
    """The sizes in the kernel's description of this process, in bytes; empty where there is none."""
    if not _STATUS.is_file():
        return {}
    lines = (line.split() for line in _STATUS.read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) * _KIBIBYTE for words in lines if words[-1:] == ["kB"]}
