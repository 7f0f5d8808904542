"""What a killed run leaves is picked up, and the end is as if nothing had happened."""

import signal
from pathlib import Path

import pytest

from rec_sys.train import results
from tests.training_runs import train_here, training_command, write_table
from tests.warm_processes import WarmProcess

LONG = ("trainer.max_epochs=6", "trainer.patience=2", "trainer.learning_rate=0.02")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    return write_table(tmp_path_factory.mktemp("table"))


def kill_after_epoch(number: int, output_dir: Path, *overrides: str) -> str:
    """Runs the command and ends it without warning when it reports that epoch; what it said until then."""
    run = WarmProcess(*training_command(output_dir, *overrides))
    said = ""
    for line in run.stderr:
        said += line
        if f"epoch {number} of" in line:
            # The report comes before the epoch's checkpoint; the next epoch is under way when that is written.
            wait_for_checkpoint(output_dir, number)
            run.kill()
            break
    assert run.wait() == -signal.SIGKILL, said
    run.close()
    return said


def wait_for_checkpoint(output_dir: Path, epochs: int) -> None:
    import time

    import torch

    for _ in range(600):
        for path in output_dir.rglob("last.ckpt"):
            if torch.load(path, map_location="cpu", weights_only=False)["epoch"] >= epochs - 1:
                return
        time.sleep(0.05)
    pytest.fail("the epoch's checkpoint was never written")


def test_a_killed_run_ends_with_the_metrics_of_an_undisturbed_one(
    tmp_path: Path, table: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    whole = train_here(caplog, tmp_path / "whole", *table, *LONG)
    said = kill_after_epoch(3, tmp_path / "killed", *table, *LONG)
    assert "resume" not in said
    assert not list((tmp_path / "killed").glob("bundles/*"))
    resumed = train_here(caplog, tmp_path / "killed", *table, *LONG)
    assert "resume: an interrupted run" in resumed.said
    # No finished epoch is trained again, though the third need not have been the best.
    assert 0 < len(resumed.epochs) <= 3  # a quick one has ended another when it is killed
    assert resumed.epochs == whole.epochs[-len(resumed.epochs) :]
    assert resumed.metrics == whole.metrics


class KilledWhileExporting(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.mark.parametrize("overrides", [LONG, (*LONG, "evaluation.refit=true"), ("trainer.max_epochs=2",)])
def test_a_run_killed_after_its_training_does_not_train_an_epoch_more(
    tmp_path: Path,
    table: tuple[str, ...],
    overrides: tuple[str, ...],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def die(*_: object) -> None:
        raise KilledWhileExporting

    monkeypatch.setattr(results, "export_towers", die)
    with pytest.raises(KilledWhileExporting):
        train_here(caplog, tmp_path, *table, *overrides, towers=True)
    said = caplog.text
    resumed = train_here(caplog, tmp_path, *table, *overrides)
    assert "epoch 1 of" in said
    assert resumed.epochs == []
    undisturbed = train_here(caplog, tmp_path, *table, *overrides)
    assert undisturbed.metrics == resumed.metrics
    assert len(undisturbed.epochs) >= 2
