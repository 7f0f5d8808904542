"""A campaign goes on after a failure, counts it and keeps its state; the same seed draws the same."""

from pathlib import Path

from tests.chaos.campaign import Campaign


def test_a_failure_is_counted_and_its_state_kept(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "file").write_text("broken")
    campaign = Campaign("sample", 7, tmp_path / "kept")
    with campaign.case("a case that holds", state):
        pass
    with campaign.case("a case that fails", state):
        raise ValueError("no answer")
    assert campaign.lost == ["a case that fails: no answer"]
    kept = tmp_path / "kept" / "sample-7" / "2"
    assert (kept / "state" / "file").read_text() == "broken"
    assert "ValueError" in (kept / "failure.txt").read_text()
    assert campaign.report().splitlines()[-1] == "tried 2, survived 1"


def test_the_same_seed_draws_the_same(tmp_path: Path) -> None:
    first, again, other = (Campaign("sample", seed, tmp_path).random.random() for seed in (1, 1, 2))
    assert first == again != other
