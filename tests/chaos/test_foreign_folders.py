"""The campaign of foreign folders, small; and what it would not let pass."""

from pathlib import Path

import pytest

from tests.chaos import foreign_folders
from tests.chaos.campaign import Campaign
from tests.chaos.foreign_folders import KINDS, attack, can_be_foreign
from tests.chaos.stages import Stage, Undisturbed

needs_root = pytest.mark.skipif(not can_be_foreign(), reason="this process may not mount, or give folders to others")


@needs_root
def test_every_command_refuses_a_foreign_folder_or_goes_on(tmp_path: Path) -> None:
    campaign = Campaign("foreign_folders", 1, tmp_path)
    attack(campaign, cases=len(KINDS), num_stages=1)
    assert campaign.lost == []
    assert "refused" in str(campaign.figures["ends"])
    assert "whole" in str(campaign.figures["ends"])


@needs_root
def test_a_command_without_a_word_of_the_folder_is_a_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage("json.tool", ("--no-such-option",))
    start = tmp_path / "start"
    start.mkdir()
    (start / "file").touch()
    monkeypatch.setattr(foreign_folders, "run_undisturbed", lambda *_: (Undisturbed(stage, start, start, 0.0),))
    campaign = Campaign("foreign_folders", 1, tmp_path / "kept")
    attack(campaign, cases=len(KINDS))
    assert len(campaign.lost) == len(KINDS)
    assert all("0 messages" in lost for lost in campaign.lost)
    assert len(list(tmp_path.glob("kept/foreign_folders-1/*/log.txt"))) == len(KINDS)
