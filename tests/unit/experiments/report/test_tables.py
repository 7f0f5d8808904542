"""The report's tables: what is marked as best, and figures that say something whatever their size."""

import pytest

from rec_sys.experiments.report.tables import metric_table, readable
from rec_sys.experiments.report.view import Model


def model(name: str, **metrics: float) -> Model:
    return Model(name, ({},), metrics, {key: value / 10 for key, value in metrics.items()}, "#000000")


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
    assert shown in metric_table([model("ease", novelty_at_10=value)], ["novelty_at_10"], costs=False)


def test_the_best_is_marked_whichever_way_a_metric_runs() -> None:
    table = metric_table([model("first", rmse=0.9, auc=0.6), model("second", rmse=1.0, auc=0.7)], ["rmse", "auc"])
    first, second = (line for line in table.split("<tr ")[1:])
    assert first.count('class="best"') == 1
    assert 'class="best" data-value="0.9"' in first
    assert 'class="best" data-value="0.7"' in second


def test_a_name_cannot_break_the_page() -> None:
    table = metric_table([model("<script>", rmse=1.0)], ["rmse"], costs=False)
    assert "<script>" not in table
    assert "&lt;script&gt;" in table


def test_a_metric_that_nobody_has_has_no_column() -> None:
    assert "AUC" not in metric_table([model("first", rmse=0.9)], ["rmse", "auc"], costs=False)
    assert metric_table([model("first", rmse=0.9)], ["auc"]) == ""
