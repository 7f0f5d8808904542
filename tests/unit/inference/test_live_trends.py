"""What happened to products counts half after each half-life, whichever order it is told in."""

import pytest

from rec_sys.contracts import MILLISECONDS_A_DAY
from rec_sys.inference.live_trends import LiveTrends
from rec_sys.store.messages import Change, ChangeKind, EventKind, WrittenEvent, WrittenReview

NOW = 1_800_000_000_000


def event(kind: EventKind, days_ago: float, asin: str = "p") -> Change:
    at = NOW - round(days_ago * MILLISECONDS_A_DAY)
    said = WrittenEvent(event=kind, request_id="r", asin=asin, timestamp=at)
    return Change(1, ChangeKind.EVENT, said.subject, None, event=said, written=NOW)


def review(days_ago: float, asin: str = "p") -> Change:
    at = NOW - round(days_ago * MILLISECONDS_A_DAY)
    said = WrittenReview(user_id="ada", asin=asin, timestamp=at)
    return Change(1, ChangeKind.REVIEW, said.subject, "ada", said, written=NOW)


@pytest.mark.parametrize("turned", [False, True])
def test_events_add_up_and_each_counts_half_after_a_half_life(turned: bool) -> None:
    changes = [event("click", 7), event("order", 0), review(14), event("impression", 0), event("order", 1, "q")]
    trends = LiveTrends()
    trends.apply(changes[::-1] if turned else changes, ())
    assert trends.at(NOW, "week") == pytest.approx({"p": 0.3 / 2 + 1 + 1 / 4, "q": 2 ** (-1 / 7)})
    later = NOW + 7 * MILLISECONDS_A_DAY
    assert trends.at(later, "week") == pytest.approx({asin: one / 2 for asin, one in trends.at(NOW, "week").items()})
    assert trends.at(NOW, "day")["q"] == pytest.approx(0.5)


def test_a_review_that_is_gone_counts_no_more_and_nothing_happens_in_the_future() -> None:
    trends, written = LiveTrends(), review(3)
    trends.apply([event("click", 1), written, event("order", -9_000, "q")], ())
    trends.apply([], [written.subject, "unknown"])
    assert trends.at(NOW, "week") == pytest.approx({"p": 0.3 * 2 ** (-1 / 7), "q": 1})
