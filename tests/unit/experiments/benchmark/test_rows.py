"""What a benchmark refuses before it computes anything, and which rows it then has."""

import csv
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rec_sys.contracts import InputError
from rec_sys.data.dataset import PreparedDataset
from rec_sys.data.prepare import prepare
from rec_sys.entry import compose_settings
from rec_sys.experiments.benchmark.measure_model import training_arguments
from rec_sys.experiments.benchmark.row_contract import RowRequest
from rec_sys.experiments.benchmark.rows import list_rows
from rec_sys.experiments.benchmark.settings import BenchmarkSettings

NUM_PRODUCTS = 12


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reviews with stars and days, without a word of text."""
    random = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("rows") / "reviews.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user_id", "asin", "rating", "timestamp"])
        for number in range(160):
            product = number % NUM_PRODUCTS if number < NUM_PRODUCTS else random.integers(NUM_PRODUCTS)
            writer.writerow([f"u{number % 20}", f"p{product}", random.integers(1, 6), 1_400_000_000 + 86_400 * number])
    return path


@pytest.fixture(scope="module")
def dataset(table: Path) -> PreparedDataset:
    settings = settings_of(table)
    return prepare(settings.data, settings.output_dir)


def settings_of(table: Path, *overrides: str) -> BenchmarkSettings:
    data = ("data=table", f"data.reviews_path={table}", "data.product_columns=null", "data.columns.text=null")
    return compose_settings(
        [*data, f"output_dir={table.parent}", "ks=[1,10]", *overrides], BenchmarkSettings, "benchmark"
    )


def test_every_model_has_a_row_for_each_part_it_is_fitted_on_and_ours_is_the_last(
    table: Path, dataset: PreparedDataset
) -> None:
    rows = list_rows(dataset, settings_of(table, "baselines=[popular,ease]", "fit_on=[train,train+validation]"))
    assert [(row.name, row.fit_on) for row in rows] == [
        ("popular", "train"),
        ("popular", "train+validation"),
        ("ease", "train"),
        ("ease", "train+validation"),
        ("review_graph", "train"),
        ("review_graph", "train+validation"),
    ]


def test_other_modes_of_our_own_model_have_rows_and_command_lines_of_their_own(
    table: Path, dataset: PreparedDataset
) -> None:
    typed = ("baselines=[popular]", "own_modes=[fast,auto]")
    chosen = settings_of(table, *typed)
    names = [row.name for row in list_rows(dataset, chosen)]
    assert names == ["popular", "review_graph_fast", "review_graph_auto", "review_graph"]
    lines = {
        name: training_arguments(
            RowRequest(
                name=name,
                fit_on="train",
                fold=None,
                settings=chosen,
                overrides=("data=sequences", "experiment=sequences", "model.dim=64"),
                data_folder=table.parent,
                folder=table.parent,
            ),
            table.parent / "run",
        )
        for name in names[1:]
    }
    assert lines["review_graph"][:3] == ["data=sequences", "experiment=sequences", "model.dim=64"]
    assert lines["review_graph_fast"][:3] == ["data=sequences", "experiment=fast", "model.dim=64"]
    assert lines["review_graph_auto"][:4] == [*lines["review_graph"][:3], "model.tower=auto"]
    with pytest.raises(InputError, match="stands there twice"):
        settings_of(table, "own_modes=[fast,fast]")


def test_a_baseline_that_the_data_has_nothing_for_is_skipped_with_the_reason(
    table: Path, dataset: PreparedDataset
) -> None:
    rows = list_rows(dataset, settings_of(table, "baselines=[content,popular]"))
    assert [row.unfit for row in rows] == ["the data has no texts", "", ""]


def test_time_folds_have_a_row_each_and_those_without_a_question_say_so(table: Path, dataset: PreparedDataset) -> None:
    wish = ("baselines=[popular]", "own_model=false", "evaluation=time_folds", "evaluation.window_days=40")
    rows = list_rows(dataset, settings_of(table, *wish, "evaluation.num_folds=4"))
    assert [row.fold for row in rows] == [0, 1, 2, 3]
    assert "leaves no" in rows[0].unfit
    assert rows[-1].unfit == ""


@pytest.mark.parametrize(
    ("overrides", "what", "remedy"),
    [
        (("ks=[1,10,500]",), "k=500 is more than the 12 products", ""),
        (("baselines=[]", "own_model=false"), "there is nobody to measure", "name some"),
        (("evaluation=time_folds", "evaluation.window_days=4000"), "leaves no", ""),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused(
    table: Path, dataset: PreparedDataset, overrides: tuple[str, ...], what: str, remedy: str
) -> None:
    with pytest.raises(InputError) as refused:
        list_rows(dataset, settings_of(table, *overrides))
    assert what in refused.value.what
    assert remedy in refused.value.remedy


@pytest.mark.parametrize(
    ("library", "overrides"), [("lightfm", ("baselines=[popular,lightfm]",)), ("optuna", ("tuning.trials=2",))]
)
def test_a_library_that_is_not_installed_is_named_with_the_command_that_installs_it(
    table: Path, dataset: PreparedDataset, monkeypatch: pytest.MonkeyPatch, library: str, overrides: tuple[str, ...]
) -> None:
    find = importlib.util.find_spec

    def find_others(name: str, *arguments: Any) -> Any:
        return None if name == library else find(name, *arguments)

    monkeypatch.setattr(importlib.util, "find_spec", find_others)
    with pytest.raises(InputError) as refused:
        list_rows(dataset, settings_of(table, *overrides))
    assert library in refused.value.what
    assert "uv run --group baselines" in refused.value.remedy


@pytest.mark.parametrize(
    ("override", "listed"), [("baselines=[popular,svd]", "pure_svd"), ("evaluation.protocol=loo", "leave_last_out")]
)
def test_an_unknown_baseline_or_protocol_is_answered_with_those_there_are(
    table: Path, override: str, listed: str
) -> None:
    with pytest.raises(InputError) as refused:
        settings_of(table, override)
    assert listed in str(refused.value)


@pytest.mark.parametrize(
    ("override", "timed"),
    [
        ("seed=0", True),
        ("time_column=false", False),
        ("evaluation=next_days", False),
        ("evaluation=random_split", True),
    ],
)
def test_what_ranks_is_measured_by_time_too_where_the_data_has_time(
    table: Path, dataset: PreparedDataset, override: str, timed: bool
) -> None:
    rows = list_rows(dataset, settings_of(table, "baselines=[popular,rating_mean]", override))
    assert {row.name: row.by_time for row in rows} == {"popular": timed, "rating_mean": False, "review_graph": timed}
