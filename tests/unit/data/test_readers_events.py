"""Rows as events: kinds, weights, amounts, lists of products, equal rows and age."""

import logging
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from rec_sys.contracts import InputError
from rec_sys.data.dataset import PreparedDataset
from rec_sys.data.prepare import prepare
from rec_sys.settings import TableData

DAY = 1_400_000_000
KINDS = {"column": "action", "weights": {"view": 0.1, "order": 1.0}}


def _prepared(folder: Path, rows: pl.DataFrame | str, **settings: Any) -> PreparedDataset:
    path = folder / ("events.csv" if isinstance(rows, str) else "events.parquet")
    if isinstance(rows, str):
        path.write_text(rows)
    else:
        rows.write_parquet(path)
    data = {"name": "events", "reader": "table", "reviews_path": path, "timestamp_unit": "s", "max_bad_share": 0.5}
    return prepare(TableData.model_validate(data | settings), folder / "out")


def _events(*rows: tuple[Any, ...], columns: str = "user,item,time,action") -> str:
    return "\n".join([columns, *(",".join(map(str, row)) for row in rows), ""])


def _kept(dataset: PreparedDataset) -> list[tuple[Any, ...]]:
    found = dataset.reviews().sort("source_row", "asin").select("asin", "event", pl.col("weight").round(4))
    return [(asin, event, pytest.approx(weight)) for asin, event, weight in found.rows()]


def test_each_kind_has_its_weight_and_others_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = _events(("u", "p", DAY, "view"), ("u", "q", DAY + 1, " order "), ("u", "r", DAY + 2, "search"))
    dataset = _prepared(tmp_path, rows, events=KINDS)
    assert _kept(dataset) == [("p", "view", 0.1), ("q", "order", 1.0)]
    summary = dataset.summary
    assert (summary.rows_read, summary.num_reviews, summary.rows_set_aside) == (3, 2, 0)
    assert summary.counts["events of kind view"] == summary.counts["events of kind order"] == 1
    assert summary.counts["events of kind search (left out: no weight)"] == 1


def test_a_kind_without_any_weights_weighs_one(tmp_path: Path) -> None:
    dataset = _prepared(tmp_path, _events(("u", "p", DAY, "view"), ("u", "q", DAY, "buy")), events={"column": "action"})
    assert _kept(dataset) == [("p", "view", 1.0), ("q", "buy", 1.0)]


def test_kinds_may_be_numbers(tmp_path: Path) -> None:
    rows = pl.DataFrame({"user": ["u", "u"], "item": ["p", "q"], "time": [DAY, DAY], "action": [0, 5]})
    dataset = _prepared(tmp_path, rows, events={"column": "action", "weights": {0: 0.1, 5: 1}})
    assert _kept(dataset) == [("p", "0", 0.1), ("q", "5", 1.0)]


def test_weights_of_kinds_that_are_not_there_are_refused_with_those_that_are(tmp_path: Path) -> None:
    rows = _events(("u", "p", DAY, "View"), ("u", "q", DAY, "Order"))
    with pytest.raises(InputError, match=r"no row is of a kind .* \(view, order\)") as raised:
        _prepared(tmp_path, rows, events=KINDS)
    assert raised.value.remedy == "the column 'action' also holds Order, View"


def test_a_weight_that_no_row_needs_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    _prepared(tmp_path, _events(("u", "p", DAY, "view"), ("u", "q", DAY, "buy")), events=KINDS)
    assert "no row is of the kind order of data.events.weights; the column 'action' also holds buy" in caplog.text


def test_a_kind_that_differs_in_case_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    rows = [("u", "p", DAY, "view"), ("u", "q", DAY, "order"), ("u", "r", DAY, "View")]
    _prepared(tmp_path, _events(*rows), events=KINDS)
    assert "rows of the kind View are left out; data.events.weights names view" in caplog.text


def test_settings_that_would_do_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"needs data\.events\.column"):
        _prepared(tmp_path, _events(("u", "p", DAY, "view")), events={"weights": {"view": 1}})
    without = {"columns": {"user_id": "user", "asin": "item", "timestamp": None}}
    with pytest.raises(InputError, match="halves with age needs times"):
        _prepared(tmp_path, _events(("u", "p", DAY, "view")), events=KINDS | {"half_life_days": 3}, **without)


def test_a_column_of_too_many_kinds_and_one_that_is_not_there_are_named(tmp_path: Path) -> None:
    rows = _events(*(("u", f"p{row}", DAY, row) for row in range(120)))
    with pytest.raises(InputError, match="'action' holds 120 different values"):
        _prepared(tmp_path, rows, events={"column": "action"})
    with pytest.raises(InputError, match=r"no column 'acton' \(data.events.column\)") as raised:
        _prepared(tmp_path, rows, events={"column": "acton"})
    assert "did you mean: data.events.column=action" in str(raised.value.remedy)


def test_an_amount_multiplies_and_nothing_is_left_out(tmp_path: Path) -> None:
    rows = _events(
        ("u", "p", DAY, 50), ("u", "q", DAY, 100), ("u", "r", DAY, 0), ("u", "s", DAY, "much"), ("u", "t", DAY, -5)
    )
    events = {"amount": "action", "full_amount": 100}
    dataset = _prepared(tmp_path, rows, events=events, columns={"rating": None})
    assert _kept(dataset) == [("p", None, 0.5), ("q", None, 1.0)]
    assert dataset.summary.counts["events of no amount (left out)"] == 1
    assert dataset.summary.reasons == {"amount is missing or no number from 0": 2}


def test_a_duration_counts_up_to_its_full_length(tmp_path: Path) -> None:
    rows = _events(("u", "p", DAY, 15), ("u", "q", DAY, 60), ("u", "r", DAY, 0), ("u", "s", DAY, "long"))
    events = {"duration": "action", "full_duration": 30}
    dataset = _prepared(tmp_path, rows, events=events, columns={"rating": None})
    assert _kept(dataset) == [("p", None, 0.5), ("q", None, 1.0)]
    assert sum(dataset.summary.reasons.values()) == 1


@pytest.mark.parametrize("cells", [["p", "q"], '["p", "q"]', "['p' 'q']"])
def test_a_list_of_products_is_a_row_for_each(tmp_path: Path, cells: list[str] | str) -> None:
    one: list[str] | str = ["r"] if isinstance(cells, list) else "r"
    rows = pl.DataFrame({"user": ["u", "v"], "item": [cells, one], "time": [DAY, DAY]})
    dataset = _prepared(tmp_path, rows)
    assert [asin for asin, *_ in _kept(dataset)] == ["p", "q", "r"]
    assert dataset.reviews().sort("asin")["source_row"].to_list() == [0, 0, 1]
    assert dataset.summary.counts["rows of several products"] == 1


def test_what_is_no_list_of_ids_is_set_aside_and_counted(tmp_path: Path) -> None:
    cells = ['["p", null]', '["p", "q"', '[{"id": 1}]', "[[1, 2]]", "[]", "r"]
    rows = pl.DataFrame({"user": [f"u{row}" for row in range(6)], "item": cells, "time": [DAY] * 6})
    dataset = _prepared(tmp_path, rows, max_bad_share=0.9)
    assert [asin for asin, *_ in _kept(dataset)] == ["p", "r"]
    assert dataset.summary.reasons == {"product id is missing": 4}


def test_an_empty_list_of_products_is_set_aside_once(tmp_path: Path) -> None:
    rows = pl.DataFrame({"user": ["u", "v"], "item": [[], ["r"]], "time": [DAY, DAY]})
    dataset = _prepared(tmp_path, rows)
    assert [asin for asin, *_ in _kept(dataset)] == ["r"]
    assert dataset.summary.reasons == {"product id is missing": 1}


def test_equal_rows_are_one_or_a_quantity(tmp_path: Path) -> None:
    rows = _events(*[("u", "p", DAY, "order")] * 3, ("u", "p", DAY, "view"), ("u", "q", DAY, "order"))
    (tmp_path / "one").mkdir()
    dataset = _prepared(tmp_path / "one", rows, events=KINDS)
    assert sorted(_kept(dataset), key=str) == sorted(
        [("p", "order", 1.0), ("p", "view", 0.1), ("q", "order", 1.0)], key=str
    )
    dataset = _prepared(tmp_path, rows, events=KINDS, equal_rows="quantity")
    assert dataset.reviews().filter(pl.col("event") == "order").sort("asin")["weight"].to_list() == [3.0, 1.0]
    assert dataset.summary.duplicates_merged == 2


def test_a_weight_halves_with_age(tmp_path: Path) -> None:
    rows = _events(*(("u", f"p{age}", DAY - age * 86_400, "order") for age in (0, 10, 20, 5_000)))
    weights = {
        asin: weight for asin, _, weight in _kept(_prepared(tmp_path, rows, events=KINDS | {"half_life_days": 10}))
    }
    assert weights == {"p0": 1.0, "p10": 0.5, "p20": 0.25, "p5000": 0.0}
