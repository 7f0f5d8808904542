"""Each kind of poison once."""

from pathlib import Path

from tests.chaos.campaign import Campaign
from tests.chaos.poison import poison
from tests.chaos.poisoned_files import POISONS


def test_no_poison_works(tmp_path: Path) -> None:
    campaign = Campaign("poison", 0, tmp_path)
    poison(campaign, len(POISONS))
    assert campaign.lost == []
    assert campaign.tried == len(POISONS)
    assert campaign.figures["refused"] != 0
