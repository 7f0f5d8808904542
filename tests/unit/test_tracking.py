"""What tracking promises before MLflow is there: to stay away when switched off, and to refuse early."""

import subprocess
import sys
from pathlib import Path

import pytest

from rec_sys.contracts import InputError
from rec_sys.settings import Address, TrackingSettings
from rec_sys.tracking import Tracker
from rec_sys.tracking_address import prove_trackable

OFF = TrackingSettings(enabled=False)

WITHOUT_TRACKING = """
import sys
from pathlib import Path
from rec_sys.settings import TrackingSettings
from rec_sys.tracking import Tracker

with Tracker(TrackingSettings(enabled=False), Path(sys.argv[1]) / "outputs", "run") as tracker:
    tracker.log_settings({"seed": 0})
    tracker.log_metrics({"loss": 1.0}, step=1)
    tracker.log_folder(Path("nowhere"), "bundle")
    tracker.log_picture(Path("nowhere.png"))
    tracker.set_tags({"data": "sample"})
    assert tracker.run_id is None and tracker.uri is None
assert "mlflow" not in sys.modules, "a run without tracking pays for the import of MLflow"
"""


def test_switched_off_it_takes_every_call_writes_nothing_and_never_imports_mlflow(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", WITHOUT_TRACKING, str(tmp_path)], check=True, cwd=Path(__file__).parents[2])
    assert list(tmp_path.iterdir()) == []


def test_switched_off_it_still_refuses_the_names_that_mlflow_would_refuse() -> None:
    with Tracker(OFF, Path("outputs"), "run") as tracker, pytest.raises(ValueError, match="ndcg@10"):
        tracker.log_metrics({"loss": 1.0, "ndcg@10": 0.5})


def test_the_address_is_absolute_also_where_the_folder_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Tracker(TrackingSettings(), Path("outputs"), "run").uri == f"sqlite:///{tmp_path}/outputs/mlflow.db"
    own = TrackingSettings(uri="sqlite:///shared.db")
    assert Tracker(own, Path("outputs"), "run").uri == f"sqlite:///{tmp_path}/shared.db"


@pytest.mark.parametrize("name", ["100%", "what?", "take #2"])
def test_a_folder_that_an_address_cannot_spell_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="choose another output_dir"):
        Tracker(TrackingSettings(), tmp_path / name, "run")


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_a_database_that_forgets_is_refused(tmp_path: Path, uri: str) -> None:
    with pytest.raises(InputError, match="in memory"):
        prove_trackable(TrackingSettings(uri=Address(uri)), tmp_path)


def test_a_tracker_outside_its_block_says_so(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="inside its with block"):
        Tracker(TrackingSettings(), tmp_path, "run").log_folder(tmp_path, "bundle")
