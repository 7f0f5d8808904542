"""Shares of the time."""

import time

import pytest

from rec_sys.train.part_clock import PartClock


def test_parts_and_marks_share_the_time() -> None:
    clock = PartClock()
    assert clock.shares() == {}
    for _ in range(2):
        with clock.part("softmax"):
            time.sleep(0.03)
        time.sleep(0.01)
        clock.mark("sampler")
    time.sleep(0.05)
    clock.mark()  # belongs to nobody
    clock.mark("optimiser")
    shares = clock.shares()
    assert sum(shares.values()) == pytest.approx(1)
    assert list(shares) == ["softmax", "sampler", "optimiser"]
    assert clock.seconds["softmax"] >= 0.06
    assert clock.seconds["optimiser"] < 0.05
