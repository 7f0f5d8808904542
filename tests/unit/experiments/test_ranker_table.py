"""The table of second stages: what its rows say, and which settings every data set is trained with."""

from pathlib import Path

import pytest

from rec_sys.entry import compose_settings
from rec_sys.experiments.kept_training import compose
from rec_sys.experiments.ranker_table import RankerTableSettings, _files_of, markdown

FIGURES = {
    "test ndcg_at_10_masked": 0.05,
    "ranker adopted": 1.0,
    "ranker fit_seconds": 2.34,
    "ranker earlier before": 0.02,
    "ranker earlier after": 0.03,
    "ranker earlier error": 0.004,
    "ranker validation before": 0.04,
    "ranker validation after": 0.035,
    "ranker validation error": 0.001,
    "ranker p50": 6.25,
}


def test_a_row_says_what_both_stages_measured() -> None:
    rows = [
        {"data": "shop", "ranker": "none", "figures": {"test ndcg_at_10_masked": 0.04}},
        {"data": "shop", "ranker": "lightgbm", "figures": FIGURES},
        {"data": "shop", "ranker": "catboost", "figures": FIGURES | {"ranker adopted": 0.0}},
    ]
    lines = markdown(rows).splitlines()
    assert lines[2] == "| shop | none | - | - | - | - | - | 0.0400 | - | - |"
    assert lines[3] == (
        "| shop | lightgbm | 0.0200 | +0.0100 ± 0.0040 | 0.0400 | -0.0050 ± 0.0010 | yes | 0.0500 | 2.3 | 6.2 |"
    )
    assert "| no |" in lines[4]


@pytest.mark.parametrize("name", ["sample", "instruments_2014", "shop"])
def test_every_data_set_is_sound_with_its_files(name: str, tmp_path: Path) -> None:
    local = tmp_path / "instruments.json.gz"
    wanted = compose_settings(
        [f"ranker_table.instruments_path={local}"], RankerTableSettings, "ranker_table"
    ).ranker_table
    (data,) = (one for one in wanted.datasets if one.name == name)
    files = _files_of(data, wanted, tmp_path)
    settings = compose(name, [*data.changes, *files, f"output_dir={tmp_path}"])
    assert settings.data.name == name
    assert len(files) == {"sample": 0, "instruments_2014": 1, "shop": 2}[name]
