"""The report's tables: what is marked as best, and figures that say something whatever their size."""

import re

import pytest

from rec_sys.experiments.report.page import templates
from rec_sys.experiments.report.tables import Column, cost_columns, metric_columns, readable, segment_columns
from rec_sys.experiments.report.view import Model


def model(name: str, **metrics: float) -> Model:
    return Model(name, ({},), metrics, {key: value / 10 for key, value in metrics.items()}, "#000000")


def show(models: list[Model], columns: list[Column]) -> str:
    return str(templates().get_template("macros.html.jinja").module.table(models, columns))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "words"),
    [("ndcg_at_10_masked", "NDCG@10, masked"), ("rank_correlation", "Rank correlation"), ("rmse", "RMSE")],
)
def test_metrics_are_called_by_their_usual_names(name: str, words: str) -> None:
    assert readable(name) == words


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.1014, "0.1014<small> ± 0.0101"), (0.000123, "0.000123<small> ± 0.000012"), (1086.0, "1,086.0<small> ± 108.6")],
)
def test_a_figure_has_the_decimals_its_size_asks_for(value: float, shown: str) -> None:
    models = [model("ease", novelty_at_10=value)]
    assert shown in show(models, metric_columns(models, ["novelty_at_10"]))


def test_the_best_is_marked_whichever_way_a_metric_runs() -> None:
    models = [model("first", rmse=0.9, auc=0.6), model("second", rmse=1.0, auc=0.7)]
    first, second = show(models, metric_columns(models, ["rmse", "auc"])).split("<tr ")[1:]
    assert first.count('class="best"') == 1
    assert 'class="best" data-value="0.9"' in first
    assert 'class="best" data-value="0.7"' in second


def test_no_popularity_is_the_best() -> None:
    assert metric_columns([model("first", popularity_at_10=3.0)], ["popularity_at_10"])[0].best is None


def test_a_bar_is_as_long_as_its_share_of_the_largest() -> None:
    models = [model("first", auc=0.8), model("second", auc=0.2)]
    assert re.findall(r"--share:([\d.]+)", show(models, metric_columns(models, ["auc"]))) == ["1.000", "0.250"]


def test_a_name_cannot_break_the_page() -> None:
    models = [model('<script>"', rmse=1.0)]
    table = show(models, metric_columns(models, ["rmse"]))
    assert "<script>" not in table
    assert 'data-model="&lt;script&gt;&#34;"' in table


def test_a_metric_that_nobody_has_has_no_column() -> None:
    models = [model("first", rmse=0.9)]
    assert [column.head for column in metric_columns(models, ["rmse", "auc"])] == ["RMSE"]
    assert metric_columns(models, ["auc"]) == []


def test_a_model_without_a_figure_has_an_empty_cell() -> None:
    models = [model("first", rmse=0.9), model("second")]
    assert show(models, metric_columns(models, ["rmse"])).count("<td>-</td>") == 1


def test_costs_are_means_over_the_folds() -> None:
    folds = ({"fit_seconds": 100.0, "parameters": 57_600}, {"fit_seconds": 200.0, "parameters": None})
    fit, _, answer, _, parameters = cost_columns([Model("ease", folds, {}, {}, "#000000")])
    assert fit.write(fit.values["ease"]) == "2.5 min"
    assert answer.values == {}
    assert parameters.write(parameters.values["ease"]) == "57.6 k"


def test_segments_stand_apart_with_their_number_of_queries() -> None:
    rows = (
        {"cold_products": {"num_queries": 1200.0, "ndcg": 0.25}},
        {"cold_products": {"num_queries": 9, "ndcg": 0.75}},
    )
    (column,) = segment_columns([Model("ease", rows, {}, {}, "#000000"), model("other")], "ndcg")
    assert (column.head, column.note, column.values) == ("new products", "1,200 test queries", {"ease": 0.5})
