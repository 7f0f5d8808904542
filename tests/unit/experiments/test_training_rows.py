"""What every table of trainings refuses: a seed or a row that would be counted twice."""

import pytest

from rec_sys.contracts import InputError
from rec_sys.entry import compose_settings
from rec_sys.experiments.ablation import AblationSettings
from rec_sys.experiments.cold_start.settings import ColdStartSettings
from rec_sys.experiments.text_benchmark.settings import TextBenchmarkSettings
from rec_sys.settings import Settings

TABLES = {
    "ablation": (AblationSettings, "ablation"),
    "cold_start": (ColdStartSettings, "cold_start"),
    "text_benchmark": (TextBenchmarkSettings, "measurement"),
}


@pytest.mark.parametrize("table", TABLES)
def test_a_seed_given_twice_is_refused(table: str) -> None:
    schema, group = TABLES[table]
    assert issubclass(schema, Settings)
    compose_settings([f"{group}.seeds=[1,2]"], schema, table)
    with pytest.raises(InputError, match="a seed stands there twice"):
        compose_settings([f"{group}.seeds=[1,1]"], schema, table)


@pytest.mark.parametrize("table", ["ablation", "text_benchmark"])
def test_two_rows_of_one_name_are_refused(table: str) -> None:
    schema, group = TABLES[table]
    with pytest.raises(InputError, match="two rows have one name"):
        compose_settings([f"{group}.rows=[{{name:a}},{{name:a}}]"], schema, table)
