"""Runs in a real MLflow on SQLite: complete, honest about their end, and safe beside one another."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

from rec_sys.contracts import InputError
from rec_sys.settings import Address, TrackingSettings
from rec_sys.tracking import Tracker
from tests import warm_processes

ROOT = Path(__file__).parents[2]
PLAIN = TrackingSettings(system_metrics=False)


def read_run(tracker: Tracker) -> Any:
    from mlflow import MlflowClient

    assert tracker.run_id is not None
    return MlflowClient(tracker.uri).get_run(tracker.run_id)


def list_artifacts(tracker: Tracker, folder: str) -> list[str]:
    from mlflow import MlflowClient

    assert tracker.run_id is not None
    return [file.path for file in MlflowClient(tracker.uri).list_artifacts(tracker.run_id, folder)]


@pytest.fixture(scope="module")
def output_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One migrated database for the tests that do not need a fresh one."""
    return tmp_path_factory.mktemp("with a blank") / "outputs"


def test_a_run_keeps_settings_metrics_files_and_tags(
    output_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "manifest.json").write_text("{}")
    (tmp_path / "curves.png").write_bytes(b"a picture")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(output_dir.parent)
    with Tracker(PLAIN, Path("outputs"), "first run") as tracker:
        monkeypatch.chdir(elsewhere)  # nothing may depend on where the process stands later
        many = {f"setting_{number}": number for number in range(150)}
        tracker.log_settings({"seed": 0, "data": {"name": "sample", "path": None}, "long": "x" * 900, "many": many})
        for epoch, loss in enumerate([2.0, float("nan"), 1.0]):
            tracker.log_metrics({"loss": loss, "ndcg_at_10": 0.1 * epoch}, step=epoch)
        tracker.log_folder(tmp_path / "bundle", "bundle")
        tracker.log_picture(tmp_path / "curves.png")
        tracker.set_tags({"data": "sample"})

    run = read_run(tracker)
    assert (run.info.run_name, run.info.status) == ("first run", "FINISHED")
    assert run.data.params["data.name"] == "sample"
    assert run.data.params["data.path"] == "null"
    assert run.data.params["many.setting_149"] == "149"
    assert len(run.data.params["long"]) == 500
    history = MlflowClient(tracker.uri).get_metric_history(run.info.run_id, "loss")
    assert [(metric.step, metric.value) for metric in history] == [(0, 2.0), (2, 1.0)]
    assert (run.data.tags["data"], run.data.tags["skipped_metric_values"]) == ("sample", "1")
    assert list_artifacts(tracker, "bundle") == ["bundle/manifest.json"]
    assert list_artifacts(tracker, "pictures") == ["pictures/curves.png"]
    assert (output_dir / "mlflow-artifacts" / run.info.run_id / "artifacts/bundle/manifest.json").is_file()
    assert list(elsewhere.iterdir()) == []


def interrupted_within_a_library() -> None:
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        sys.exit(1)


def fail_with(error: BaseException | None) -> None:
    if error is None:
        interrupted_within_a_library()
    else:
        raise error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("diverged"), "FAILED"),
        (InputError("bad", where="here", remedy="mend it"), "FAILED"),
        (SystemExit(2), "FAILED"),
        (SystemExit(0), "FINISHED"),
        (KeyboardInterrupt(), "KILLED"),
        (None, "KILLED"),
    ],
)
def test_a_run_ends_as_what_ended_it(output_dir: Path, error: BaseException | None, status: str) -> None:
    expected: type[BaseException] = SystemExit if error is None else type(error)
    with pytest.raises(expected), Tracker(PLAIN, output_dir, "ended") as tracker:
        fail_with(error)
    assert read_run(tracker).info.status == status


def test_system_figures_are_sampled_while_the_run_lasts(output_dir: Path) -> None:
    from mlflow import MlflowClient

    with Tracker(TrackingSettings(), output_dir, "watched") as tracker:
        name = "system/cpu_utilization_percentage"
        deadline = time.monotonic() + 200
        while time.monotonic() < deadline and name not in read_run(tracker).data.metrics:
            time.sleep(0.5)
    assert tracker.run_id is not None
    assert MlflowClient(tracker.uri).get_metric_history(tracker.run_id, name)


def train_beside_others(output_dir: Path, number: int, delay: float, together: Barrier) -> None:
    import mlflow.db  # noqa: F401  (the slow import, so that the processes reach the database at once)

    together.wait(timeout=600)
    time.sleep(delay)
    with Tracker(PLAIN, output_dir, f"process {number}") as tracker:
        for step in range(20):
            tracker.log_metrics({"loss": 1.0 / (step + 1)}, step)


def test_processes_that_start_together_on_a_fresh_folder_all_complete(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    forks = warm_processes.CONTEXT
    delays = [0.0, 0.0, 1.0]  # the last one comes while the others migrate
    together = forks.Barrier(len(delays))
    processes = [
        forks.Process(target=train_beside_others, args=(tmp_path, number, delay, together))
        for number, delay in enumerate(delays)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=600)
    assert [process.exitcode for process in processes] == [0, 0, 0]

    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name(PLAIN.experiment)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.info.run_name for run in runs) == ["process 0", "process 1", "process 2"]
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert all(len(client.get_metric_history(run.info.run_id, "loss")) == 20 for run in runs)


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """A port of this machine on which nobody answers: taken, but not listened to."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


def test_a_server_that_does_not_answer_is_named_at_once_with_its_remedy(tmp_path: Path) -> None:
    begin = time.monotonic()
    with (
        closed_port() as port,
        pytest.raises(InputError, match="tracking=none") as refusal,
        Tracker(TrackingSettings(uri=Address(f"http://someone:secret@127.0.0.1:{port}")), tmp_path, "run"),
    ):
        pass
    assert time.monotonic() - begin < 100
    assert f"127.0.0.1:{port}" in str(refusal.value)
    assert "secret" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("uri", ["file:./mlruns", "nonsense://here", "postgresql+nothing://here/there"])
def test_an_address_that_mlflow_cannot_use_is_refused(tmp_path: Path, uri: str) -> None:
    with pytest.raises(InputError, match="tracking=none"), Tracker(TrackingSettings(uri=Address(uri)), tmp_path, "run"):
        pass


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("notes of my own, longer than a header of a database would ever be\n" * 10)
    begin = time.monotonic()
    with pytest.raises(InputError, match="not a database"), Tracker(PLAIN, tmp_path, "run"):
        pass
    assert time.monotonic() - begin < 100
    assert (tmp_path / "mlflow.db").read_text().startswith("notes of my own")


def test_a_deleted_experiment_is_refused(output_dir: Path) -> None:
    from mlflow import MlflowClient

    settings = TrackingSettings(experiment="thrown away", system_metrics=False)
    with Tracker(settings, output_dir, "run") as tracker:
        experiment_id = read_run(tracker).info.experiment_id
    MlflowClient(tracker.uri).delete_experiment(experiment_id)
    with pytest.raises(InputError, match="was deleted"), Tracker(settings, output_dir, "run"):
        pass


def test_a_moved_folder_never_writes_back_to_where_it_stood(output_dir: Path, tmp_path: Path) -> None:
    with Tracker(PLAIN, output_dir, "run"):
        pass
    moved = tmp_path / "moved"
    moved.mkdir()
    (moved / "mlflow.db").write_bytes((output_dir / "mlflow.db").read_bytes())
    with pytest.raises(InputError, match="moved or copied"), Tracker(PLAIN, moved, "run"):
        pass
    other = TrackingSettings(experiment="since the move", system_metrics=False)
    with Tracker(other, moved, "run") as tracker:
        assert read_run(tracker).info.artifact_uri.startswith(str(moved))


LISTENING_TO_SOCKETS = """
import json, socket, sys
from pathlib import Path

asked = []
socket.getaddrinfo = lambda host, *rest, **more: asked.append(str(host)) or (_ for _ in ()).throw(OSError("no network"))

from rec_sys.settings import Address, TrackingSettings
from rec_sys.tracking import Tracker

with Tracker(TrackingSettings(), Path(sys.argv[1]), "run") as tracker:
    tracker.log_metrics({"loss": 1.0})

from mlflow.telemetry import get_telemetry_client

client = get_telemetry_client()
if client is not None:
    client.flush()
print(json.dumps({"asked": asked, "telemetry": client is not None}))
"""


def test_a_run_calls_no_one_and_says_nothing(tmp_path: Path) -> None:
    # MLflow keeps silent of its own accord where it sees a test or a build server: hide both from the child.
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MLFLOW", "PYTEST", "GITHUB", "GITLAB", "BUILDKITE"))
        and name not in ("DO_NOT_TRACK", "CI")
    }
    finished = subprocess.run(
        [sys.executable, "-c", LISTENING_TO_SOCKETS, str(tmp_path)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    assert json.loads(finished.stdout) == {"asked": [], "telemetry": False}
    assert finished.stderr == ""
