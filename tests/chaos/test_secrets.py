"""The campaign of secrets, small; and what it would not let pass."""

import base64
from pathlib import Path

import pytest

from tests.chaos.campaign import Campaign
from tests.chaos.secrets import GROUPS, attack, entries, refuse_secret


def test_no_command_shows_what_is_planted(tmp_path: Path) -> None:
    campaign = Campaign("secrets", 1, tmp_path)
    attack(campaign, cases=3)
    assert campaign.lost == []
    assert campaign.tried == 5


def test_every_group_that_carries_secrets_is_one_of_some_command() -> None:
    configs = "".join(entries().values())
    assert [group for group in GROUPS if f"- {group}:" not in configs] == []


def test_what_holds_the_secret_is_a_loss() -> None:
    refuse_secret("xq7-12", "nothing", "a page")
    for said in ("a xq7-12 b", b"xq7-12", base64.b64encode(b"ada:xq7-12").decode()):
        with pytest.raises(AssertionError, match="in a page"):
            refuse_secret("xq7-12", said, "a page")
