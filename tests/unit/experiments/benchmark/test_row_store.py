"""A finished row is found again exactly as long as nothing that shapes it has changed."""

import json
from pathlib import Path
from typing import Any

import pytest

from rec_sys.entry import compose_settings
from rec_sys.experiments.benchmark.row_contract import ROW_FILE
from rec_sys.experiments.benchmark.row_store import RowStore
from rec_sys.experiments.benchmark.settings import OWN_MODEL, BenchmarkSettings


def settings(*overrides: str) -> BenchmarkSettings:
    return compose_settings(list(overrides), BenchmarkSettings, "benchmark")


def place(tmp_path: Path, name: str, *overrides: str, fit_on: str = "train", fold: int | None = None) -> Path:
    return RowStore(tmp_path, "data").place(name, fit_on, fold, settings(*overrides))


@pytest.mark.parametrize("name", ["als", OWN_MODEL])
@pytest.mark.parametrize(
    "changed",
    [
        "baselines=[random]",
        "own_model=false",
        "output_dir=elsewhere",
        "report_users=1",
        "row_minutes=3",
        "tracking=none",
    ],
)
def test_what_only_presents_a_row_leaves_it_where_it_is(tmp_path: Path, name: str, changed: str) -> None:
    assert place(tmp_path, name, changed) == place(tmp_path, name)


@pytest.mark.parametrize(
    ("name", "changed", "moves"),
    [
        ("als", "baseline_settings.als.dim=8", True),
        ("als", "baseline_settings.ease.regularization=8", False),
        ("als", "seed=5", True),
        ("als", "ks=[1,5,10]", True),
        ("als", "evaluation=global_time", True),
        ("als", "graph.tie_break=file", True),
        ("als", "model.dim=64", False),
        ("als", "text.max_tokens=99", False),
        ("content", "text.max_tokens=99", True),
        (OWN_MODEL, "model.dim=64", True),
        (OWN_MODEL, "trainer.learning_rate=0.01", True),
        (OWN_MODEL, "trainer.num_threads=1", False),
        (OWN_MODEL, "baseline_settings.als.dim=8", False),
    ],
)
def test_what_shapes_a_row_gives_it_another_place(tmp_path: Path, name: str, changed: str, moves: bool) -> None:
    assert (place(tmp_path, name, changed) != place(tmp_path, name)) is moves


def test_rows_of_other_parts_folds_and_data_lie_apart(tmp_path: Path) -> None:
    places = {
        place(tmp_path, "als"),
        place(tmp_path, "als", fit_on="train+validation"),
        place(tmp_path, "als", fold=0),
        place(tmp_path, "als", fold=1),
        RowStore(tmp_path, "other data").place("als", "train", None, settings()),
    }
    assert len(places) == 5


def test_only_a_whole_row_is_read(tmp_path: Path) -> None:
    store, folder = RowStore(tmp_path, "data"), place(tmp_path, "als")
    assert store.read(folder) is None
    folder.mkdir()
    assert store.read(folder) is None
    row: dict[str, Any] = {"model": "als"}
    (folder / ROW_FILE).write_text(json.dumps(row))
    assert store.read(folder) == row
