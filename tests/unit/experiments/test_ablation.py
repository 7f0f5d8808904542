"""The ablation's table: means, deviations and paired changes, computed by hand."""

import pytest
from pydantic import ValidationError

from rec_sys.contracts import InputError
from rec_sys.entry import compose_settings
from rec_sys.experiments.ablation import (
    AblationSettings,
    AblationTable,
    compare_components,
    markdown,
    summarise,
)
from rec_sys.experiments.training_rows import TrainingRow
from rec_sys.settings import Settings

NDCG = "test ndcg_at_10_masked"
ROWS = (TrainingRow(name="whole"), TrainingRow(name="less", changes=("text=none",)), TrainingRow(name="later"))


def test_a_row_has_mean_deviation_and_its_change_seed_by_seed() -> None:
    found = {"whole": {0: {NDCG: 0.2}, 1: {NDCG: 0.4}}, "less": {0: {NDCG: 0.1}, 1: {NDCG: 0.1}}, "later": {}}
    # Only what all seeds of both have can be compared.
    for seeds in found.values():
        for figures in seeds.values():
            figures["validation ndcg_at_10_masked"] = 0.5
    whole, less = summarise(ROWS, found)
    assert whole["mean"][NDCG] == pytest.approx(0.3)
    assert whole["deviation"][NDCG] == pytest.approx(0.1 * 2**0.5)
    assert "change" not in whole
    assert less["change"][NDCG] == pytest.approx(-0.2)
    assert less["change_deviation"][NDCG] == pytest.approx(0.1 * 2**0.5)
    assert less["changes"] == ["text=none"]
    table = markdown([whole, less])
    assert "| whole | 0.5000 ± 0.0000 | 0.3000 ± 0.1414 | - | - | - | - | - |" in table
    assert "| -0.2000 ± 0.1414 |" in table


def test_one_seed_has_no_deviation() -> None:
    figures = {NDCG: 0.25, "validation ndcg_at_10_masked": 0.3}
    (row,) = summarise(ROWS[:1], {"whole": {0: figures}})
    assert row["deviation"] == {}
    assert "| 0.2500 |" in markdown([row])


@pytest.mark.parametrize("table", ["default", "instruments_2014"])
def test_every_row_of_a_table_composes_and_changes_the_first(table: str) -> None:
    rows = compose_settings([f"ablation={table}"], AblationSettings, "ablation").ablation.rows
    of_data = [] if table == "default" else [f"data={table}", f"experiment={table}"]
    whole, *others = (compose_settings([*of_data, *row.changes], Settings) for row in rows)
    assert len(others) >= 12
    assert whole not in others


def test_two_rows_of_one_name_and_a_seed_given_twice_are_refused() -> None:
    with pytest.raises(ValidationError, match="two rows have one name"):
        AblationTable(rows=(TrainingRow(name="a"), TrainingRow(name="a")))
    with pytest.raises(ValidationError, match="a seed stands there twice"):
        AblationTable(seeds=(1, 1), rows=ROWS)


@pytest.mark.parametrize(
    ("change", "message"),
    [("data=sequences", "may not change data"), ("model.dimm=3", "ablation row 'less': setting model.dimm")],
)
def test_a_row_that_cannot_be_compared_or_does_not_exist_is_refused_before_anything_is_trained(
    change: str, message: str
) -> None:
    settings = compose_settings([], AblationSettings, "ablation")
    rows = (TrainingRow(name="whole"), TrainingRow(name="less", changes=(change,)))
    with pytest.raises(InputError, match=message):
        compare_components(settings.model_copy(update={"ablation": AblationTable(rows=rows)}), typed=[])
