"""Without a terminal the user reads a line every ten seconds."""

import pytest

from rec_sys.progress import WorkProgress


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the clock shows."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def test_a_line_every_ten_seconds_shows_the_rate_and_the_time_left(
    caplog: pytest.LogCaptureFixture, now: list[float]
) -> None:
    with WorkProgress("text: embedding", "texts", 1_000, effort=50_000) as progress:
        for now[0] in (104.0, 108.0, 112.0, 116.0, 120.0):
            progress.advance(100, 10_000)
    # At 112 s 300 texts and 30,000 of 50,000 tokens are done in 12 s.
    assert caplog.messages == ["text: embedding: 300 of 1,000 texts, 25 a second, about 8 s left"]


def test_what_another_process_did_counts_as_done_but_not_as_our_speed(
    caplog: pytest.LogCaptureFixture, now: list[float]
) -> None:
    with WorkProgress("text: embedding", "texts", 1_000, effort=50_000) as progress:
        progress.advance(500, 25_000, own=False)
        now[0] += 10.0
        progress.advance(100, 10_000)
    assert caplog.messages[0].startswith("text: embedding: 600 of 1,000 texts, 10 a second, about ")


def test_pieces_of_one_price_need_no_effort(caplog: pytest.LogCaptureFixture, now: list[float]) -> None:
    with WorkProgress("index: writing", "products", 4_000) as progress:
        for seconds in (4.0, 7.0, 4.0, 15.0):
            now[0] += seconds
            progress.advance(1_000)
    assert caplog.messages == ["index: writing: 2,000 of 4,000 products, 182 a second, about 11 s left"]


def test_progress_that_is_not_wanted_is_not_shown(caplog: pytest.LogCaptureFixture, now: list[float]) -> None:
    with WorkProgress("index: writing", "products", 4_000, shown=False) as progress:
        now[0] += 40.0
        progress.advance(1_000)
    assert caplog.messages == []
