"""Files and texts made to do harm: `uv run -m tests.chaos.poison --seed 0 --cases 200`.

Each case is refused in words or answered, runs nothing, stays below `MEMORY_BOUND` and `SECONDS`, and what is printed
of it holds no character that steers a terminal. The cases run in a process of their own, so that a crash is seen too.
"""

import contextlib
import io
import json
import os
import random
import re
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from tests.chaos.campaign import Campaign, run_by_hand
from tests.chaos.poisoned_files import POISONS

MEMORY_BOUND: Final = 1_000  # MB above what the process had before
SECONDS: Final = 120.0
CANARY: Final = "canary"  # what a payload makes where it runs
_STEERS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def poison(campaign: Campaign, cases: int, kinds: Sequence[str] = tuple(POISONS)) -> None:
    """Tries so many poisons: each kind once, then drawn ones."""
    kinds = list(kinds)
    drawn = kinds[:cases] + [campaign.random.choice(kinds) for _ in range(cases - len(kinds))]
    seeds = [campaign.random.randrange(2**31) for _ in drawn]
    peak, slowest, refused = 0, 0.0, 0
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="poison-")))
        pool = stack.enter_context(_process())
        for number, (kind, seed) in enumerate(zip(drawn, seeds, strict=True)):
            folder = home / str(number)
            folder.mkdir()
            with campaign.case(f"{kind}, seed {seed}", folder):
                try:
                    memory, seconds, words = pool.submit(_try, kind, seed, folder).result()
                except BrokenProcessPool:  # it crashed
                    pool = stack.enter_context(_process())
                    raise
                peak, slowest, refused = max(peak, memory), max(slowest, seconds), refused + bool(words)
                assert memory <= MEMORY_BOUND, f"{memory:,} MB"
                assert seconds <= SECONDS, f"{seconds:.0f} s"
            shutil.rmtree(folder)
    campaign.figures |= {"refused": refused, "most memory": f"{peak:,} MB", "slowest": f"{slowest:.1f} s"}


def _process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn"))


def _try(kind: str, seed: int, folder: Path) -> tuple[int, float, str]:
    """MB above the start, seconds, and the words of a refusal; it raises where the poison worked."""
    from rec_sys.contracts import InputError

    os.chdir(folder)
    act: Callable[[], object] = POISONS[kind](random.Random(seed), folder, f"touch {folder / CANARY}")
    _forget_peak()
    before, began, words = _peak(), time.perf_counter(), ""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as errors:
        try:
            act()
        except InputError as error:
            words = str(error)
        except BaseException as error:  # some cannot be sent to another process, and panics are no Exception
            raise AssertionError("".join(traceback.format_exception(error))) from None
    seconds, memory = time.perf_counter() - began, _peak() - before
    said = out.getvalue() + errors.getvalue()
    assert not (found := _STEERS.search(said)), f"printed: {json.dumps(said[max(0, found.start() - 40) : found.end()])}"
    assert not list(folder.rglob(CANARY)), "a payload was run"
    assert len(words) < 20_000, f"{len(words):,} characters of refusal"
    return memory, seconds, words


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")  # Linux's way to begin the peak anew


def _peak() -> int:
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) >> 10


if __name__ == "__main__":
    run_by_hand("poison", poison, "cases", 200)
