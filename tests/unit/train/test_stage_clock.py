"""The clock of stages, on stages whose time and memory are known."""

import sys
import time

import numpy as np
import pytest

from rec_sys.train.stage_clock import StageClock, peak_resident_bytes

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


@needs_linux
def test_the_peak_is_seen_though_the_memory_is_given_back() -> None:
    clock = StageClock()
    size = 200_000_000
    with clock.stage("small"):
        pass
    with clock.stage("large"):
        held = np.ones(size, dtype=np.uint8)
        time.sleep(0.2)
        del held
    small, large = (clock.stages[name] for name in ("small", "large"))
    assert small.peak_anonymous_bytes
    assert large.peak_anonymous_bytes
    assert large.peak_resident_bytes
    assert large.peak_anonymous_bytes - small.peak_anonymous_bytes > 0.9 * size
    # What ran in this process before may have held more.
    assert large.peak_anonymous_bytes < large.peak_resident_bytes <= 1.01 * peak_resident_bytes()
