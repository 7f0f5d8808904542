"""One process a folder, and an interrupted run is only picked up where nothing has changed."""

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from rec_sys.contracts import InputError
from rec_sys.entry import compose_settings
from rec_sys.settings import Settings
from rec_sys.train import run_folder
from rec_sys.train.run_folder import RunFolder


@cache
def defaults() -> Settings:
    return compose_settings([], Settings)


def settings_of(output_dir: Path, **changes: Any) -> Settings:
    """The defaults with some changed; `trainer__learning_rate` stands for `trainer.learning_rate`."""
    values = defaults().model_dump(mode="json") | {"output_dir": output_dir}
    for key, value in changes.items():
        section, _, name = key.rpartition("__")
        (values[section] if section else values)[name] = value
    return Settings.model_validate(values)


def folder(output_dir: Path, **changes: Any) -> RunFolder:
    return RunFolder(settings_of(output_dir, **changes))


LOCK_IN_ANOTHER_PROCESS = """
import sys
from rec_sys.contracts import InputError
from rec_sys.settings import Settings
from rec_sys.train.run_folder import RunFolder
try:
    with RunFolder(Settings.model_validate_json(sys.argv[1])).locked():
        print("locked")
except InputError as error:
    print(error)
"""


def try_to_lock(settings: Settings) -> str:
    command = [sys.executable, "-c", LOCK_IN_ANOTHER_PROCESS, settings.model_dump_json()]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3], check=True)
    return done.stdout


def test_a_second_process_is_refused_while_the_first_is_at_work(tmp_path: Path) -> None:
    ours = folder(tmp_path)
    with ours.locked():
        refusal = try_to_lock(settings_of(tmp_path))
        assert "another training run is at work" in refusal
        assert str(ours.path) in refusal
    assert try_to_lock(settings_of(tmp_path)).strip() == "locked"


def test_a_run_with_other_settings_is_not_in_the_way(tmp_path: Path) -> None:
    with folder(tmp_path).locked():
        with folder(tmp_path, seed=1).locked():
            pass
        with pytest.raises(InputError, match="another training run"), folder(tmp_path).locked():
            pass


def test_the_lock_is_released_after_a_failure(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), folder(tmp_path).locked():
        raise ZeroDivisionError
    with folder(tmp_path).locked():
        pass


def test_a_worker_of_another_device_enters_the_folder_that_its_parent_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with folder(tmp_path).locked():
        monkeypatch.setenv("LOCAL_RANK", "1")
        with folder(tmp_path).locked():
            pass


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"), folder(tmp_path / "file").locked():
        pass


def leave_checkpoint(run: RunFolder, data_identity: str = "data") -> Path:
    """What an interrupted run leaves."""
    run.sweep(data_identity)
    run.checkpoints.mkdir(parents=True)
    last = run.checkpoints / "last.ckpt"
    last.write_text("weights")
    return last


def test_an_interrupted_run_is_picked_up_by_the_same_settings_data_and_code(tmp_path: Path) -> None:
    last = leave_checkpoint(folder(tmp_path))
    folder(tmp_path).sweep("data")
    assert last.read_text() == "weights"
    assert last.parent == folder(tmp_path).checkpoints


def test_a_checkpoint_of_other_data_is_swept_away(tmp_path: Path) -> None:
    last = leave_checkpoint(folder(tmp_path))
    folder(tmp_path).sweep("other data")
    assert not last.exists()


def test_a_checkpoint_of_other_code_is_swept_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    last = leave_checkpoint(folder(tmp_path))
    monkeypatch.setattr(run_folder, "hash_code", lambda: "another version")
    folder(tmp_path).sweep("data")
    assert not last.exists()


def test_checkpoints_of_unknown_origin_are_swept_away(tmp_path: Path) -> None:
    last = leave_checkpoint(folder(tmp_path))
    (folder(tmp_path).path / run_folder.STATE).unlink()
    folder(tmp_path).sweep("data")
    assert not last.exists()


def test_a_finished_run_leaves_nothing_to_go_on_from(tmp_path: Path) -> None:
    run = folder(tmp_path)
    leave_checkpoint(run)
    run.clear()
    assert not run.checkpoints.exists()
    run.clear()  # nothing left to remove


CHANGES: dict[str, Any] = {
    "seed": 1,
    "trainer__learning_rate": 0.1,
    "trainer__max_epochs": 3,
    "model__convolution": "gat",
    "model__dim": 64,
    "graph__tie_break": "file",
    "evaluation__protocol": "random_split",
    "text__source": "none",
    "data__seed": 8,
}
INCIDENTAL: dict[str, Any] = {
    "output_dir": "elsewhere",
    "run_dir": "elsewhere",
    "trainer__progress": False,
    "trainer__num_threads": 1,
    "trainer__devices": 2,
    "tracking__enabled": False,
    "tracking__experiment": "other",
}


@pytest.mark.parametrize("key", CHANGES)
def test_what_shapes_the_model_names_the_run(tmp_path: Path, key: str) -> None:
    assert folder(tmp_path, **{key: CHANGES[key]}).name != folder(tmp_path).name


@pytest.mark.parametrize("key", INCIDENTAL)
def test_what_does_not_shape_the_model_leaves_the_name(tmp_path: Path, key: str) -> None:
    changed = RunFolder(settings_of(**({"output_dir": tmp_path} | {key: INCIDENTAL[key]})))
    assert changed.name == folder(tmp_path).name


def test_run_dir_is_the_folder_itself(tmp_path: Path) -> None:
    assert folder(tmp_path, run_dir=tmp_path / "here").path == tmp_path / "here"
    assert folder(tmp_path).path.parent == tmp_path / "runs"
    assert folder(Path("outputs")).path.is_absolute()
