"""A finished row is found again exactly as long as nothing that shapes it has changed."""

import json
import shutil
from functools import cache, reduce
from importlib import metadata
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
import yaml

import rec_sys
from rec_sys.entry import compose_settings
from rec_sys.experiments.benchmark.import_closure import SourceTree
from rec_sys.experiments.benchmark.row_contract import ROW_FILE
from rec_sys.experiments.benchmark.row_store import RowStore
from rec_sys.experiments.benchmark.settings import OWN_MODEL, BenchmarkSettings

THIS = SourceTree(Path(rec_sys.__file__).parents[1])


@cache
def settings(override: str = "") -> BenchmarkSettings:
    """The default settings with one changed; a value is set as it stands, since composing takes half a second."""
    key, _, value = override.partition("=")
    if not override or key in ("evaluation", "tracking"):  # groups
        return compose_settings([override] if override else [], BenchmarkSettings, "benchmark")
    whole = settings().model_dump(mode="json")
    *sections, name = key.split(".")
    section = reduce(getitem, sections, whole)
    assert name in section
    section[name] = yaml.safe_load(value)
    return BenchmarkSettings.model_validate(whole)


def place(tmp_path: Path, name: str, *overrides: str, fit_on: str = "train", fold: int | None = None) -> Path:
    return RowStore(tmp_path, "data", THIS).place(name, fit_on, fold, settings(*overrides))


@pytest.mark.parametrize("name", ["als", OWN_MODEL])
@pytest.mark.parametrize(
    "changed",
    [
        "baselines=[random]",
        "own_model=false",
        "own_modes=[fast]",
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
        (f"{OWN_MODEL}_fast", "model.dim=64", True),
        (f"{OWN_MODEL}_fast", "trainer.num_threads=1", False),
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
        RowStore(tmp_path, "other data", THIS).place("als", "train", None, settings()),
    }
    assert len(places) == 5


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> SourceTree:
    """A copy of this project's code, to be changed."""
    root = tmp_path_factory.mktemp("sources")
    package = Path(rec_sys.__file__).parent
    shutil.copytree(package, root / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    return SourceTree(root)


def all_places(root: Path, sources: SourceTree) -> dict[tuple[str, str], Path]:
    """Where rows, and the searches for their settings, lie: of models that depend on different code."""
    store = RowStore(root, "data", sources)
    asked = settings()
    names = ("popular", "content", "item_knn", "light_gcn", "rating_mean", OWN_MODEL)
    rows = {("row", name): store.place(name, "train", None, asked) for name in names}
    return rows | {("search", name): store.search_place(name, asked) for name in names}


@pytest.mark.parametrize(
    ("file", "moved"),
    [
        ("text/encoder.py", {"content", OWN_MODEL}),
        ("text/tokens.py", {"content", OWN_MODEL}),
        ("graph/build.py", {"content", OWN_MODEL}),
        ("data/dataset.py", {"popular", "content", "item_knn", "light_gcn", "rating_mean", OWN_MODEL}),
        ("baselines/nets.py", {"light_gcn"}),
        ("baselines/item_to_item.py", {"item_knn"}),
        ("baselines/catalogue.py", set()),
        ("train/train.py", {OWN_MODEL}),
        ("train/fitting.py", {OWN_MODEL}),
        ("experiments/benchmark/measure_model.py", {OWN_MODEL}),
        ("experiments/report/page.py", set()),
        ("serving/gateway.py", set()),
    ],
)
def test_a_changed_file_renews_what_depends_on_it_and_nothing_else(
    tmp_path: Path, sources: SourceTree, file: str, moved: set[str]
) -> None:
    path = sources.files["rec_sys"].parent / file
    before, content = all_places(tmp_path, sources), path.read_text()
    try:
        path.write_text(content + "\n")
        after = all_places(tmp_path, sources)
    finally:
        path.write_text(content)
    for job in ("row", "search"):
        assert {name for asked, name in before if asked == job and before[job, name] != after[job, name]} == moved


@pytest.mark.parametrize(
    ("library", "moved", "stays"),
    [
        ("pm-implicit", "item_knn", "popular"),
        ("onnxruntime", "content", "item_knn"),
        ("torch-geometric", "light_gcn", "content"),
        ("torch", OWN_MODEL, "popular"),
        ("numpy", "popular", None),
    ],
)
def test_a_changed_library_renews_the_rows_whose_code_imports_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sources: SourceTree, library: str, moved: str, stays: str | None
) -> None:
    def places(name: str) -> tuple[Path, Path]:
        store = RowStore(tmp_path, "data", sources)
        return store.place(name, "train", None, settings()), store.search_place(name, settings())

    before = {name: places(name) for name in (moved, stays) if name}
    installed = metadata.version
    monkeypatch.setattr(sources, "installed", {})  # each is read once
    monkeypatch.setattr(metadata, "version", lambda name: "99" if name == library else installed(name))
    assert not {*places(moved)} & {*before[moved]}
    assert stays is None or places(stays) == before[stays]


def test_a_search_depends_on_the_code_that_searches_and_a_row_does_not(tmp_path: Path, sources: SourceTree) -> None:
    path = sources.files["rec_sys.experiments.benchmark.tuning"]
    before, content = all_places(tmp_path, sources), path.read_text()
    try:
        path.write_text(content + "\n")
        after = all_places(tmp_path, sources)
    finally:
        path.write_text(content)
    assert {job for job, name in before if before[job, name] != after[job, name]} == {"search"}


def test_only_a_whole_row_is_read(tmp_path: Path) -> None:
    store, folder = RowStore(tmp_path, "data", THIS), place(tmp_path, "als")
    assert store.read(folder) is None
    folder.mkdir()
    assert store.read(folder) is None
    row: dict[str, Any] = {"model": "als"}
    (folder / ROW_FILE).write_text(json.dumps(row))
    assert store.read(folder) == row
