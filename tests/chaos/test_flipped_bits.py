"""The campaign of flipped bits, small; and what it would not let pass."""

from pathlib import Path

import pytest

from rec_sys import bundle, bundle_manifest
from rec_sys.vector_database import edge_version
from tests.chaos.campaign import Campaign
from tests.chaos.flipped_bits import attack


def test_nothing_is_answered_from_a_damaged_file(tmp_path: Path) -> None:
    campaign = Campaign("flipped_bits", 1, tmp_path)
    attack(campaign, cases=30)
    assert campaign.lost == []
    assert campaign.tried == 34


def test_a_damaged_file_that_is_opened_is_a_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((bundle, "check_files"), (bundle_manifest, "check_files"), (edge_version, "check_folder")):
        monkeypatch.setattr(module, name, lambda *_: None)
    campaign = Campaign("flipped_bits", 1, tmp_path)
    attack(campaign, cases=12)
    assert any("it was opened" in lost for lost in campaign.lost)
    assert list(tmp_path.glob("flipped_bits-1/*/failure.txt"))
