"""The campaign of kills, small; and what it would not let pass."""

from pathlib import Path

import pytest

from tests.chaos import kills
from tests.chaos.campaign import Campaign
from tests.chaos.kills import attack


def test_what_is_killed_leaves_the_old_or_the_new_and_ends_as_if_undisturbed(tmp_path: Path) -> None:
    campaign = Campaign("kills", 1, tmp_path)
    attack(campaign, cases=2, num_stages=1)
    assert campaign.lost == []
    assert campaign.tried == 2


def test_a_state_that_no_run_ends_in_is_a_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states = iter(range(1_000))
    monkeypatch.setattr(kills, "state_of", lambda _: {"folders": next(states)})
    campaign = Campaign("kills", 1, tmp_path)
    attack(campaign, cases=1, num_stages=1)
    assert ["elsewhere than an undisturbed run" in lost for lost in campaign.lost] == [True]
