"""The description of the service, tried small; and what the campaign would not let pass."""

import subprocess
from pathlib import Path

import pytest

from tests.chaos import api_schema
from tests.chaos.api_schema import attack
from tests.chaos.campaign import Campaign


@pytest.mark.timeout(1_200)
def test_no_request_gets_what_is_not_documented(tmp_path: Path) -> None:
    campaign = Campaign("api_schema", 1, tmp_path)
    attack(campaign, cases=2_000)
    assert campaign.lost == []
    assert int(str(campaign.figures["requests"]).replace(",", "")) > 1_500


def test_what_schemathesis_finds_is_a_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = subprocess.CompletedProcess([], 1, "POST /v1/reviews\n418, documented: 201\n9 generated", "")
    monkeypatch.setattr(api_schema, "_ask", lambda *_: found)
    campaign = Campaign("api_schema", 1, tmp_path)
    attack(campaign, cases=1)
    assert ["418" in lost for lost in campaign.lost] == [True]
