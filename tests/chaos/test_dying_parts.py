"""The campaign of dying parts, small; and what it would not let pass."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.chaos.campaign import Campaign
from tests.chaos.dying_parts import Answered, attack, check_answer
from tests.triton_servers import needs_core

GOLDEN = {"b1": [[("p1", 1.0), ("p2", 0.5)]], "b2": [[("p2", 1.0), ("p1", 0.5)]]}


@needs_core
def test_every_answer_is_whole_while_parts_die(tmp_path: Path) -> None:
    campaign = Campaign("dying_parts", 1, tmp_path)
    attack(campaign, seconds=12, a_second=(10, 10), recovery=30)  # this machine may be busy with other tests
    assert campaign.lost == []
    assert campaign.tried >= 2


def answered(status: int = 200, headers: dict[str, str] | None = None, **content: Any) -> Answered:
    products = [{"asin": "p1", "score": 1.0}, {"asin": "p2", "score": 0.5}]
    whole = {"fallback": None, "versions": {"bundle": "b1"}, "products": products, "error": "away"} | content
    return Answered(0, 0, "in_process", 0, status, httpx.Headers(headers or {}), whole)


def test_what_is_whole_or_says_what_it_lacks_passes() -> None:
    check_answer(answered(), GOLDEN)
    check_answer(answered(fallback="in_process"), GOLDEN)
    check_answer(answered(503, {"Retry-After": "1"}), GOLDEN)


@pytest.mark.parametrize(
    "broken",
    [
        answered(500),
        answered(0),
        answered(503, {"Retry-After": "0"}),
        answered(fallback="popular"),
        answered(versions={"bundle": "b2"}),
        answered(products=[{"asin": "p1", "score": 1.0}]),
    ],
)
def test_what_is_not_is_a_loss(broken: Answered) -> None:
    with pytest.raises(AssertionError):
        check_answer(broken, GOLDEN)
