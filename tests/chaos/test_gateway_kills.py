"""The campaign of killed gateways, small; and what it would not let pass."""

from pathlib import Path

import httpx
import pytest

from tests.chaos.campaign import Campaign
from tests.chaos.gateway_kills import Writer, attack


def test_what_a_killed_gateway_acknowledged_is_there_once(tmp_path: Path) -> None:
    campaign = Campaign("gateway_kills", 1, tmp_path)
    attack(campaign, cases=2)
    assert campaign.lost == []
    assert campaign.tried == 3


@pytest.mark.parametrize(
    ("listed", "used", "said"),
    [
        (["a"], 1, "1 acknowledged reviews are lost"),
        (["a", "b", "b"], 2, "twice"),
        (["a", "b", "c"], 2, "that nobody knows"),
        (["a", "b"], 3, "reads 3 reviews instead of 2"),
    ],
)
def test_what_is_lost_doubled_or_made_up_is_a_loss(listed: list[str], used: int, said: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        content = {"reviews": [{"review_id": one} for one in listed], "reviews_used": used}
        return httpx.Response(200, json=content)

    client = httpx.Client(base_url="http://test", transport=httpx.MockTransport(answer))
    with client, pytest.raises(AssertionError, match=said):
        Writer("somebody", kept={"a", "b"}).check(client)
