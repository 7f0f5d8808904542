"""The benchmark as a command: what it leaves, what a failing model does to it, and that no row is computed twice."""

import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from rec_sys.bundle import Bundle
from tests import warm_processes
from tests.training_runs import SMALL, write_table
from tests.warm_processes import WarmProcess

PATIENCE_SECONDS = 600


@dataclass
class Ended:
    """What a command left and said."""

    code: int
    printed: str
    said: str

    @property
    def results(self) -> Path:
        return Path(self.printed.splitlines()[-1].removeprefix("results: "))

    @property
    def rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(self.results.read_text())
        return rows


def command(folder: Path, *overrides: str) -> list[str]:
    """What stands after `python`."""
    data = write_table(folder)
    return [
        *("-m", "rec_sys.experiments.benchmark", *data, *SMALL, "trainer.max_epochs=1"),
        *(f"output_dir={folder / 'out'}", "time_column=false", *overrides),
    ]


def run(folder: Path, *overrides: str) -> Ended:
    ended = warm_processes.run(*command(folder, *overrides), timeout=600)
    return Ended(ended.returncode, ended.stdout, ended.stderr)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """Two baselines and our own model, with towers and fast, by time too, recorded in MLflow."""
    wished = ("baselines=[popular,rating_offsets]", "own_modes=[fast]", "time_column=true")
    recorded = ("tracking.enabled=true", "tracking.system_metrics=false")
    line = [sys.executable, *command(tmp_path_factory.mktemp("benchmark"), *wished, *recorded)]
    ended = subprocess.run(line, capture_output=True, text=True, check=False)
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def test_it_ends_well_and_its_last_line_names_the_results(whole: Ended) -> None:
    assert whole.code == 0, whole.said
    assert [row["model"] for row in whole.rows] == ["popular", "rating_offsets", "review_graph_fast", "review_graph"]
    assert {row["status"] for row in whole.rows} == {"done"}


def test_a_row_holds_what_one_needs_to_trust_it(whole: Ended) -> None:
    for row in whole.rows:
        assert row["protocol"] == "leave_last_out"
        assert row["fit_on"] == "train"
        assert row["peak_memory_mb"] > 1
        assert row["fit_seconds"] >= 0
        assert row["settings"] is not None
        assert row["versions"]["python"]
        assert len(row["data_fingerprint"]) >= 32
    ranking = [row for row in whole.rows if "ndcg_at_10_masked" in row["metrics"]]
    assert [row["model"] for row in ranking] == ["popular", "review_graph_fast", "review_graph"]
    for row in ranking:
        for name in ("recall", "ndcg", "map", "mrr", "precision"):
            for k in (1, 5, 10, 25):
                for end in ("", "_masked"):
                    assert 0 <= row["metrics"][f"{name}_at_{k}{end}"] <= 1
                    assert row["standard_error"][f"{name}_at_{k}{end}"] >= 0
        for name in ("coverage", "novelty", "serendipity", "diversity", "popularity"):
            assert f"{name}_at_10" in row["metrics"]
    for row in whole.rows:
        if row["model"] in ("rating_offsets", "review_graph"):
            # Nobody has two held-out reviews here, so there is no order of them to compare.
            expected = ("mae", "rmse", "auc", "f1", "accuracy", "balanced_accuracy")
            assert set(expected) <= set(row["metrics"]) & set(row["standard_error"])


def test_our_own_row_has_the_figures_of_its_bundle(whole: Ended) -> None:
    (own,) = [row for row in whole.rows if row["model"] == "review_graph"]
    measured = Bundle(Path(own["bundle"])).metrics()["test"]
    assert measured
    assert {name: own["metrics"][name] for name in measured} == measured


def test_a_bundle_that_is_there_is_the_own_row_without_another_training(whole: Ended) -> None:
    own = whole.rows[-1]
    folder = whole.results.parents[3]  # where its rows and its data are
    figures = folder / "figures.json"
    asked = "baselines=[popular]", f"bundle={own['bundle']}"
    (_, again) = run(folder, *asked, f"figures={figures}").rows
    assert again["bundle"] == own["bundle"]
    assert again["fit_seconds"] is None
    assert again["metrics"]["ndcg_at_10_masked"] == pytest.approx(own["metrics"]["ndcg_at_10_masked"])
    headline = {"recall_at_10_masked", "ndcg_at_10_masked", "rmse"}
    assert headline == json.loads(figures.read_text())["review_graph (train)"].keys()
    refused = run(folder, *asked, "fit_on=[train+validation]")
    assert refused.code == 1
    assert refused.rows[-1]["reason"] == "the bundle is of another split"


def test_an_own_mode_is_a_row_of_its_own_with_its_seconds(whole: Ended) -> None:
    fast = whole.rows[-2]
    assert fast["settings"]["model"]["tower"] == "none"
    assert fast["settings"]["text"]["encoder"] == "lsa"
    assert fast["fit_cpu_seconds"] > 1
    assert fast["metrics"]["ndcg_at_10_masked"] > 0


def test_the_markdown_table_names_every_model(whole: Ended) -> None:
    table = whole.results.with_name("results.md").read_text()
    assert re.search(r"^\| review_graph \| train \| 0\.\d{4} ± 0\.\d{4} \|", table, re.MULTILINE)
    assert all(row["model"] in table for row in whole.rows)


def test_each_model_is_compared_with_ours_on_the_same_questions(whole: Ended) -> None:
    compared = json.loads(whole.results.with_name("comparisons.json").read_text())
    assert {(one["model"], one["against"]) for one in compared} == {
        ("popular", "review_graph"),
        ("review_graph_fast", "review_graph"),
    }
    by_model = {row["model"]: row["metrics"] for row in whole.rows}
    for one in compared:
        difference = by_model[one["model"]][one["metric"]] - by_model["review_graph"][one["metric"]]
        assert one["difference"] == pytest.approx(difference, abs=1e-6)
        assert one["low"] <= one["difference"] <= one["high"]


def test_what_ranks_has_columns_of_global_time_and_is_compared_there(whole: Ended) -> None:
    timed = {f"{prefix}ndcg_at_10_masked" for prefix in ("global_time_", "daily_")}
    for row in whole.rows:
        assert timed <= row["metrics"].keys() or row["model"] == "rating_offsets"
        assert not timed & row["metrics"].keys() or row["model"] != "rating_offsets"
    head = whole.results.with_name("results.md").read_text().splitlines()[0]
    assert "| global_time_ndcg@10_masked | daily_ndcg@10_masked |" in head
    compared = json.loads(whole.results.with_name("comparisons.json").read_text())
    assert {one["model"] for one in compared if one["metric"] in timed} == {"popular", "review_graph_fast"}


def test_every_row_is_a_run_in_mlflow(whole: Ended) -> None:
    import mlflow

    database = whole.results.parents[2] / "mlflow.db"
    mlflow.set_tracking_uri(f"sqlite:///{database}")
    runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
    recorded = {one.info.run_name: one.data.metrics for one in runs}
    for row in whole.rows:
        name = f"benchmark-{row['model']}-train-leave_last_out"
        for metric in ("ndcg_at_10_masked", "rmse"):
            if metric in row["metrics"]:
                assert recorded[name][metric] == pytest.approx(row["metrics"][metric])


def test_a_model_that_fails_says_so_and_the_others_go_on(tmp_path: Path) -> None:
    diverging = ("baseline_settings.bpr.learning_rate=0.9", "baseline_settings.bpr.iterations=2000")
    ended = run(tmp_path, "baselines=[popular,bpr,random]", "own_model=false", *diverging)
    assert ended.code == 1
    assert [(row["model"], row["status"]) for row in ended.rows] == [
        ("popular", "done"),
        ("bpr", "failed"),
        ("random", "done"),
    ]
    assert "NaN" in ended.rows[1]["reason"]
    assert Path(ended.rows[1]["log"]).is_file()
    assert "bpr (train): failed" in ended.results.with_name("results.md").read_text()


def test_rows_that_were_done_before_a_kill_are_kept(tmp_path: Path) -> None:
    endless = "baseline_settings.gru4rec.epochs=10000"
    wish = ("baselines=[popular,item_knn,gru4rec]", "own_model=false")
    first = WarmProcess(*command(tmp_path, *wish, endless))
    for line in first.stderr:
        if line.strip().endswith("s") and "item_knn (train):" in line:
            break
    own = psutil.Process(first.pid)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (learning := own.children(recursive=True)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert learning, "the third row has not begun"
    first.kill()
    first.wait()
    first.close()
    gone, alive = psutil.wait_procs(learning, timeout=60)
    assert not alive, "a killed benchmark left its row's process behind"
    assert gone

    second = run(tmp_path, *wish, "baseline_settings.gru4rec.epochs=1")
    assert second.code == 0, second.said
    assert "popular (train), kept from before" in second.said
    assert "item_knn (train), kept from before" in second.said
    assert "gru4rec (train): ndcg" in second.said
    assert [row["status"] for row in second.rows] == ["done"] * 3


@pytest.mark.parametrize(
    ("override", "answer"),
    [
        ("baselines=[popular,svd]", "pure_svd"),
        ("evaluation=loo", "leave_last_out"),
        ("ks=[1,10,500]", "k=500 is more than the 30 products"),
    ],
)
def test_a_wish_that_cannot_be_met_is_answered_in_words(tmp_path: Path, override: str, answer: str) -> None:
    ended = run(tmp_path, override)
    assert ended.code != 0
    assert answer in ended.said
    assert "Traceback" not in ended.said
    assert not ended.printed


def test_tuning_chooses_on_validation_and_its_settings_are_what_the_row_ran(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="optuna is in the optional group: uv run --group baselines pytest")
    import yaml

    ended = run(tmp_path, "baselines=[ease,popular]", "own_model=false", "tuning.trials=4")
    assert ended.code == 0, ended.said
    (tuned,) = json.loads(ended.results.with_name("tuned.json").read_text())
    assert (tuned["name"], tuned["trials"]) == ("ease", 4)
    chosen = yaml.safe_load(ended.results.with_name("baseline_settings.yaml").read_text())
    (row,) = [row for row in ended.rows if row["model"] == "ease"]
    assert row["settings"] == chosen["ease"]
    assert {name: row["settings"][name] for name in tuned["values"]} == tuned["values"]
    again = run(tmp_path, "baselines=[ease,popular]", "own_model=false", "tuning.trials=4")
    assert "ease (train), kept from before" in again.said
    (remembered,) = json.loads(again.results.with_name("tuned.json").read_text())
    assert {**remembered, "seconds": 0} == {**tuned, "seconds": 0}
