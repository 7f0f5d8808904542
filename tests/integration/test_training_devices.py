"""Several devices: here two processes on one CPU, which talk as two GPUs would."""

import subprocess
import sys
from pathlib import Path

from rec_sys.bundle import Bundle
from tests.training_runs import EPOCH, training_command, write_table

ROOT = Path(__file__).parents[2]


def test_two_processes_train_one_model_and_one_of_them_writes_the_bundle(tmp_path: Path) -> None:
    command = training_command(tmp_path, *write_table(tmp_path), "trainer.devices=2", "trainer.strategy=auto")
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    bundles = list((tmp_path / "bundles").iterdir())
    assert done.stdout.splitlines()[-1] == f"bundle: {bundles[0]}"
    assert len(bundles) == 1
    metrics = Bundle(bundles[0]).metrics()
    assert metrics["test"]["ndcg_at_10_masked"] > 1.2 * metrics["baselines"]["popular"]["ndcg_at_10_masked"]
    # Every epoch is reported once, by the first process.
    assert [number for number, _ in EPOCH.findall(done.stderr)] == ["1", "2", "3"]
    assert "Traceback" not in done.stderr
