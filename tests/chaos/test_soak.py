"""The soak, small; and what it would not let pass."""

from pathlib import Path

import pytest

from tests.chaos.campaign import Campaign
from tests.chaos.soak import Watched, attack
from tests.triton_servers import needs_core


@needs_core
def test_nothing_is_lost_at_work(tmp_path: Path) -> None:
    campaign = Campaign("soak", 1, tmp_path)
    attack(campaign, seconds=6)
    assert campaign.lost == []
    assert int(str(campaign.figures["reviews written and removed"])) > 1
    assert campaign.tried >= 2


def watched(megabytes_a_second: float, files_a_second: float) -> Watched:
    moments = [float(second) for second in range(600)]
    sizes = [300 + megabytes_a_second * moment + (moment % 7) for moment in moments]
    return Watched(moments, sizes, [40 + int(files_a_second * moment) for moment in moments])


def test_what_stays_as_it_is_passes_and_the_warm_up_does_not_count() -> None:
    one = watched(0, 0)
    one.megabytes[:100] = [0.0] * 100
    one.check()


@pytest.mark.parametrize(("megabytes", "files", "said"), [(0.01, 0, r"\+5.95 MB"), (0, 0.05, r"\+10.0 open")])
def test_what_grows_is_a_loss(megabytes: float, files: float, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        watched(megabytes, files).check()
