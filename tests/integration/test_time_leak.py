"""Under a split by time no row of the benchmark reads the future: hundreds of reviews after the cut move nothing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import polars as pl
import pytest

from rec_sys.baselines.catalogue import BASELINES
from rec_sys.baselines.rating_baseline import KNOWN_MEAN
from rec_sys.baselines.settings import BaselineName
from rec_sys.bundle import Bundle
from rec_sys.contracts import MILLISECONDS_A_DAY
from rec_sys.data.prepare import prepare
from rec_sys.entry import compose_settings
from rec_sys.experiments.benchmark.measure_model import ask_bundle
from rec_sys.experiments.benchmark.row import compute_row
from rec_sys.experiments.benchmark.row_contract import RowRequest
from rec_sys.experiments.benchmark.settings import OWN_MODEL, BenchmarkSettings
from rec_sys.settings import Settings
from rec_sys.train.run_folder import RunFolder
from rec_sys.train.second_stage import StageGain
from rec_sys.train.train import train
from tests.text_width import TEXT_DIM

NUM_USERS, NUM_PRODUCTS, NUM_DAYS = 40, 20, 200
PLANTED_FROM = 195  # the split's test days begin earlier
HOT = 3
# The worlds have no mean stars of elsewhere, in which nothing here could be read.
ROWS = [*(name for name in get_args(BaselineName) if name != KNOWN_MEAN), OWN_MODEL]
SMALL = ("epochs", 1), ("iterations", 2), ("dim", 8), ("hidden_dim", 8), ("length", 8), ("num_negatives", 4)
OWN = ("model.dim=16", "trainer.max_epochs=1", "trainer.progress=false", "trainer.num_threads=1")


@dataclass(frozen=True)
class World:
    """A data set, prepared."""

    overrides: list[str]
    settings: BenchmarkSettings
    folder: Path


def write_world(folder: Path, hot: bool) -> World:
    """Reviews of some months; then users whom nobody knows review anything, or all of them one product.

    Both worlds have as many reviews, at the same times, so their splits cut at the same moment.
    """
    random = np.random.default_rng(0)
    count = 1_200
    day = np.sort(random.integers(0, PLANTED_FROM, count))
    known = {
        "user_id": [f"u{user}" for user in random.integers(0, NUM_USERS, count)],
        "asin": [f"p{product}" for product in random.integers(0, NUM_PRODUCTS, count)],
        "rating": random.integers(1, 6, count),
        "timestamp": (16_000 + day) * MILLISECONDS_A_DAY // 1000 + np.arange(count) % 86_000,
        "text": [f"text {number} of something" for number in range(count)],
    }
    extra = 200
    late = np.sort(random.integers(PLANTED_FROM, NUM_DAYS, extra))
    anything = random.integers(0, NUM_PRODUCTS, extra)
    planted = {
        "user_id": [f"stranger{number}" for number in range(extra)],
        "asin": [f"p{HOT if hot else product}" for product in anything],
        "rating": np.full(extra, 5) if hot else random.integers(1, 6, extra),
        "timestamp": (16_000 + late) * MILLISECONDS_A_DAY // 1000 + np.arange(extra) % 86_000,
        "text": [f"{'hot' if hot else 'cold'} words {number}" for number in range(extra)],
    }
    path = folder / "reviews.csv"
    pl.concat([pl.DataFrame(known), pl.DataFrame(planted)]).write_csv(path)
    vectors = np.random.default_rng(1).normal(size=(count + extra, TEXT_DIM))
    vectors[count:] *= 100 * hot
    np.save(folder / "vectors.npy", vectors.astype(np.float16))
    overrides = ["data=table", f"data.reviews_path={path}", "data.product_columns=null", f"output_dir={folder}"]
    overrides += ["evaluation=global_time", "evaluation.test_fraction=0.2", "tracking=none"]
    overrides += ["text=given", f"text.vectors_path={folder / 'vectors.npy'}", *OWN]
    settings = compose_settings([*overrides, "ks=[1,10]"], BenchmarkSettings, "benchmark")
    return World(overrides, settings, prepare(settings.data, settings.output_dir).folder)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, World]:
    return (
        write_world(tmp_path_factory.mktemp("anything"), hot=False),
        write_world(tmp_path_factory.mktemp("hot"), hot=True),
    )


def small(settings: BenchmarkSettings, name: str) -> BenchmarkSettings:
    """The settings with a baseline that learns in a moment; whether it is any good is nothing to this test."""
    if name == OWN_MODEL:
        return settings
    fields: dict[str, Any] = settings.baseline_settings.of(name).model_dump()
    fields |= {key: value for key, value in SMALL if key in fields}
    section = type(settings.baseline_settings.of(name)).model_validate(fields)
    return settings.model_copy(
        update={"baseline_settings": settings.baseline_settings.model_copy(update={name: section})}
    )


def measured(world: World, name: str, folder: Path) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, float]]:
    """Its answers to the questions asked at the cut, those asked day by day before the plant, and its stars."""
    request = RowRequest(
        name=name,
        fit_on="train+validation",
        fold=None,
        settings=small(world.settings, name),
        overrides=tuple(world.overrides),
        data_folder=world.folder,
        folder=folder / name,
    )
    found = compute_row(request)
    stars = {key: value for key, value in found.metrics.items() if key in ("rmse", "mae")}
    nothing = pl.DataFrame()
    daily = found.daily if found.daily is not None else nothing
    return (found.queries if found.queries is not None else nothing), daily, stars


@pytest.mark.parametrize("name", ROWS)
def test_nothing_moves(name: str, worlds: tuple[World, World], tmp_path: Path) -> None:
    if name != OWN_MODEL:
        library = BASELINES[name].library
        if library is not None:
            pytest.importorskip(library)
    plain, hot = (measured(world, name, tmp_path / str(place)) for place, world in enumerate(worlds))
    assert plain[0].equals(hot[0])
    assert plain[1].equals(hot[1])
    assert plain[2] == hot[2]
    assert plain[0].height or plain[2]


def test_a_ranker_learns_and_answers_the_same(
    worlds: tuple[World, World], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lightgbm")
    monkeypatch.setattr(StageGain, "is_gain", True)  # adopted, whatever it is worth here
    found = []
    for place, world in enumerate(worlds):
        ranker = "model.tower=none", "model.ranker=lightgbm", "model.second_stage.rounds=20"
        settings = compose_settings([*world.overrides, *ranker, f"run_dir={tmp_path / str(place)}"], Settings)
        folder = RunFolder(settings)
        with folder.locked():
            path = train(settings, folder)
        assert path is not None
        bundle = Bundle(path)
        request = RowRequest(
            name=OWN_MODEL,
            fit_on="train",
            fold=None,
            settings=world.settings,
            overrides=(),
            data_folder=world.folder,
            folder=tmp_path,
        )
        asked = ask_bundle(bundle, request)
        assert asked.queries is not None
        assert asked.daily is not None
        found.append((bundle.ranker_trees(), asked.queries, asked.daily))
    (plain, *answers), (hot, *others) = found
    for name, values in plain.items():
        np.testing.assert_array_equal(values, hot[name])
    assert len(plain["feature"]) > 40
    assert all(one.equals(other) for one, other in zip(answers, others, strict=True))
