"""Several processes: here on one CPU, where they talk as GPUs or machines would."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from rec_sys.bundle import Bundle
from rec_sys.contracts import InputError
from rec_sys.train.fitting import choose_devices
from tests.integration.test_training_resume import wait_for_checkpoint
from tests.training_runs import EPOCH, settings_of, train_here, training_command, write_table
from tests.warm_processes import WarmProcess

ROOT = Path(__file__).parents[2]
# Each process draws its own dropout; and one alone has sparse gradients of what it draws, several add up whole ones.
EQUAL = ("model.dropout=0", "trainer.max_epochs=4", "trainer.learning_rate=0.01", "trainer.num_candidates=8")


def started_by_torchrun(rank: int, processes: int, port: int) -> dict[str, str]:
    return os.environ | {
        **{"TORCHELASTIC_RUN_ID": "test", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)},
        **{"RANK": str(rank), "LOCAL_RANK": str(rank)},
        **{"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)},
    }


def free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


def figures(metrics: dict[str, dict[str, float]]) -> dict[str, float]:
    return {f"{split} {name}": value for split in ("validation", "test") for name, value in metrics[split].items()}


def test_two_processes_equal_one_though_one_of_them_was_killed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = write_table(tmp_path)
    alone = train_here(caplog, tmp_path / "alone", *table, *EQUAL)
    command = training_command(tmp_path / "two", *table, *EQUAL)
    port = free_port()
    first, second = (WarmProcess(*command, environment=started_by_torchrun(rank, 2, port)) for rank in range(2))
    with first, second:
        said = ""
        for line in first.stderr:
            said += line
            if "epoch 2 of" in line:
                wait_for_checkpoint(tmp_path / "two", 2)
                second.kill()
                break
        _, rest = first.communicate(timeout=60)
        assert first.wait() == 2, said + rest
        assert "error: another process of this training has ended" in rest
        assert "it goes on from the last epoch" in rest
        assert "Traceback" not in rest
        assert second.communicate() == ("", "")  # the first says what all do
    assert not list((tmp_path / "two").glob("bundles/*"))

    # Goes on under Lightning's own launcher.
    done = subprocess.run(
        [sys.executable, *command, "trainer.devices=2"], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert "resume: an interrupted run" in done.stderr
    assert "Traceback" not in done.stderr
    (bundle,) = (tmp_path / "two" / "bundles").iterdir()
    assert done.stdout.splitlines()[-1] == f"bundle: {bundle}"
    # Every epoch is reported once, by the first process, and none is trained again.
    epochs = [int(number) for number, _ in EPOCH.findall(said + rest + done.stderr)]
    assert [number for number in epochs if number > 2] == [3, 4]
    resumed = [int(number) for number, _ in EPOCH.findall(done.stderr)]
    assert resumed == list(range(resumed[0], 5))
    assert figures(Bundle(bundle).metrics()) == pytest.approx(figures(alone.metrics), abs=1e-4)
    losses = re.findall(r"epoch \d+ of .*train loss ([\d.]+), validation loss ([\d.]+)", done.stderr)
    wanted = re.findall(r"epoch \d+ of .*train loss ([\d.]+), validation loss ([\d.]+)", alone.said)
    assert losses == wanted[-len(losses) :]


def test_processes_that_do_not_fit_the_settings_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="65 processes share the 64 reviews of a step"):
        choose_devices(settings_of(tmp_path, "trainer.devices=65").trainer)
    for name, value in started_by_torchrun(1, 4, 1).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    chosen = choose_devices(settings_of(tmp_path).trainer)
    assert (chosen["devices"], chosen["num_nodes"]) == (2, 2)
    with pytest.raises(InputError, match="torchrun has started 2 processes on this machine"):
        choose_devices(settings_of(tmp_path, "trainer.devices=4").trainer)
