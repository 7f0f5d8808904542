"""The campaign of full disks, small; and what it would not let pass."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos import full_disks
from tests.chaos.campaign import Campaign
from tests.chaos.full_disks import attack, can_mount, mounted
from tests.chaos.stages import Stage, Undisturbed

needs_mounts = pytest.mark.skipif(not can_mount(), reason="this process may not mount a file system of its own")


@needs_mounts
def test_every_command_says_that_the_disk_is_full_and_goes_on_with_space(tmp_path: Path) -> None:
    campaign = Campaign("full_disks", 1, tmp_path)
    attack(campaign, cases=3, num_stages=1)
    assert campaign.lost == []
    assert "refused" in str(campaign.figures["ends"])


@needs_mounts
def test_a_command_without_a_word_of_the_disk_is_a_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage("json.tool", ("--no-such-option",))
    start = tmp_path / "empty"
    start.mkdir()
    monkeypatch.setattr(full_disks, "run_undisturbed", lambda *_: (Undisturbed(stage, start, start, 0.0),))
    campaign = Campaign("full_disks", 1, tmp_path / "kept")
    attack(campaign, cases=2)
    assert len(campaign.lost) == 2
    assert all("no word of the disk" in lost for lost in campaign.lost)


@needs_mounts
def test_edge_takes_no_more_of_a_tmpfs_than_was_looked_for(tmp_path: Path) -> None:
    with mounted("tmpfs", tmp_path, 1_024) as disk:
        command = [sys.executable, "-m", "tests.chaos.tmpfs_index", str(disk), str(tmp_path / "bundle"), "300"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr  # -7: a page was missing
    assert len(ended.stdout.splitlines()) == 2
