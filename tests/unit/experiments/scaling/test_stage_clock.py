"""The clock of stages, on stages whose time and memory are known."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from rec_sys.experiments.scaling.stage_clock import StageClock

REPOSITORY = Path(__file__).resolve().parents[4]
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much memory is anonymous")


def test_waiting_takes_time_on_the_wall_alone() -> None:
    clock = StageClock()
    with clock.stage("wait"):
        time.sleep(0.2)
    with clock.stage("work"):
        until = time.process_time() + 0.1
        while time.process_time() < until:
            pass
    assert list(clock.stages) == ["wait", "work"]
    assert clock.stages["wait"].seconds >= 0.2
    assert clock.stages["wait"].processor_seconds < 0.1
    assert clock.stages["work"].processor_seconds >= 0.1


HOLDS_AND_FREES = """
import sys, time
sys.path.insert(0, sys.argv[1])
import numpy as np
from rec_sys.experiments.scaling.stage_clock import StageClock, peak_resident_bytes
clock, size = StageClock(), 200_000_000
with clock.stage("small"):
    pass
with clock.stage("large"):
    held = np.ones(size, dtype=np.uint8)
    time.sleep(0.2)
    del held
small, large = clock.stages["small"], clock.stages["large"]
assert large.peak_anonymous_bytes - small.peak_anonymous_bytes > 0.9 * size, clock.stages
assert large.peak_anonymous_bytes < large.peak_resident_bytes, clock.stages
assert 0.9 < large.peak_resident_bytes / peak_resident_bytes() < 1.1, (clock.stages, peak_resident_bytes())
"""


@needs_linux
def test_the_peak_is_seen_though_the_memory_is_given_back() -> None:
    # In a process of its own: what others of this one hold and free would count too.
    ended = subprocess.run(
        [sys.executable, "-c", HOLDS_AND_FREES, str(REPOSITORY)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
