"""The campaign of floods, small; and what its calls are."""

from pathlib import Path
from random import Random

import pytest

from rec_sys.serving.application import create_application
from rec_sys.settings import ServingSettings
from tests.chaos.campaign import Campaign
from tests.chaos.floods import attack
from tests.chaos.odd_calls import draw_bodies, draw_bytes, draw_calls
from tests.scripted_recommender import ScriptedRecommender


def test_floods_do_no_harm(tmp_path: Path) -> None:
    campaign = Campaign("floods", 0, tmp_path)
    attack(campaign, connections=200, slower=50, seconds=1)  # this machine may be busy with other tests
    assert campaign.lost == []
    assert campaign.tried == 7


def test_the_same_seed_draws_the_same_calls_of_every_address() -> None:
    description = create_application(ServingSettings(), ScriptedRecommender()).openapi()
    first, again = (draw_calls(Random(1), description, 500) for _ in range(2))
    assert first == again
    assert draw_bodies(Random(1), 9) == draw_bodies(Random(1), 9)
    assert draw_bytes(Random(1), 9) == draw_bytes(Random(1), 9)
    targets = b" ".join(call.sent.split(b" ", 2)[1] for call in first)
    beginnings = {path.partition("{")[0].encode() for path in description["paths"]}
    assert {beginning for beginning in beginnings if beginning not in targets} == set()


def test_a_status_that_is_not_documented_is_a_loss() -> None:
    [call] = draw_bodies(Random(0), 1)
    call.check(200)
    with pytest.raises(AssertionError, match="500 for"):
        call.check(500)
