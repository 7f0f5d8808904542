"""What cannot be used is refused before anything is prepared or embedded."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from rec_sys.contracts import InputError
from rec_sys.entry import compose_settings
from rec_sys.settings import Settings
from rec_sys.tracking_address import ARTIFACTS, DATABASE
from rec_sys.train.run_folder import RunFolder
from rec_sys.train.train import train


def write_database(folder: Path, stage: str, artifacts: Path) -> None:
    with sqlite3.connect(folder / DATABASE) as connection:
        connection.execute("CREATE TABLE experiments (name TEXT, lifecycle_stage TEXT, artifact_location TEXT)")
        connection.execute("INSERT INTO experiments VALUES ('rec_sys', ?, ?)", (stage, str(artifacts)))
    connection.close()


def copied_database(folder: Path) -> list[str]:
    write_database(folder, "active", folder.parent / "elsewhere" / ARTIFACTS)
    return ["text=none"]


def deleted_experiment(folder: Path) -> list[str]:
    write_database(folder, "deleted", folder / ARTIFACTS)
    return ["text=none"]


def no_database(folder: Path) -> list[str]:
    (folder / DATABASE).write_text("notes of my own, longer than the header of a database would ever be\n" * 10)
    return ["text=none"]


def no_server(_: Path) -> list[str]:
    return ["text=none", "tracking.uri=http://127.0.0.1:9"]


def no_database_server(_: Path) -> list[str]:
    return ["text=none", "tracking.uri=postgresql://127.0.0.1:9/runs"]


def no_vectors(folder: Path) -> list[str]:
    np.savez(folder / "vectors.npz", vectors=np.zeros((3, 3), dtype=np.float32))
    return ["text.source=given", f"text.vectors_path={folder / 'vectors.npz'}", "tracking=none"]


@pytest.mark.parametrize(
    ("arrange", "what"),
    [
        (copied_database, "moved or copied"),
        (deleted_experiment, "was deleted"),
        (no_database, "not a database"),
        (no_server, "MLflow cannot be used"),
        (no_database_server, "MLflow cannot be used"),
        (no_vectors, "no plain array"),
        pytest.param(
            lambda _: ["text=none", "tracking=none", "trainer.accelerator=cuda"],
            "no CUDA device",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device"),
        ),
    ],
)
def test_nothing_is_prepared_for_what_is_refused(
    arrange: Callable[[Path], list[str]], what: str, tmp_path: Path
) -> None:
    settings = compose_settings([f"output_dir={tmp_path}", *arrange(tmp_path)], Settings)
    assert settings.tracking.experiment == "rec_sys"
    with pytest.raises(InputError, match=what):
        train(settings, RunFolder(settings))
    assert not (tmp_path / "data").exists()


def test_a_database_that_is_still_empty_is_no_fault(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / DATABASE).close()
    settings = compose_settings([f"output_dir={tmp_path}", "text=none", "data.name=x", "seed=1"], Settings)
    from rec_sys.tracking_address import prove_trackable

    prove_trackable(settings.tracking, tmp_path)
