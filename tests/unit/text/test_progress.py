"""Without a terminal the user reads a line every ten seconds."""

import pytest

from rec_sys.text.progress import EmbeddingProgress


def test_a_line_every_ten_seconds_tells_the_rate_and_the_time_left(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with EmbeddingProgress(num_texts=1_000, num_tokens=50_000) as progress:
        for now[0] in (104.0, 108.0, 112.0, 116.0, 120.0):
            progress.advance(100, 10_000)
    # At 112 s 300 texts and 30,000 of 50,000 tokens are done in 12 s.
    assert caplog.messages == ["text: 300 of 1,000 texts, 25 a second, about 8 s left"]


def test_texts_of_another_process_count_as_done_but_not_as_our_speed(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with EmbeddingProgress(num_texts=1_000, num_tokens=50_000) as progress:
        progress.advance(500, 25_000, embedded=False)
        now[0] = 10.0
        progress.advance(100, 10_000)
    assert caplog.messages[0].startswith("text: 600 of 1,000 texts, 10 a second, about ")
