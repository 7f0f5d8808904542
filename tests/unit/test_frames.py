"""Frames of other libraries: read whole, or refused with the column that cannot be."""

import datetime
import decimal
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from rec_sys.contracts import InputError
from rec_sys.frames import read_frame, reviews_by_user
from rec_sys.settings import EventSettings, ReviewColumnMap, TableData

FIELDS = ("asin", "text", "title", "rating", "timestamp")
SHOP = TableData(
    name="shop",
    reader="table",
    reviews_path=Path("shop.csv"),
    columns=ReviewColumnMap(
        user_id="CustomerID", asin="ItemCode", rating="Points", timestamp="When", title=None, text="Words", style="Size"
    ),
    rating_scale=(0, 10),
    timestamp_format="%d/%m/%Y",
)


@pytest.mark.parametrize("library", [pl.DataFrame, pd.DataFrame, pa.table])
def test_any_library_is_read(library: Any) -> None:
    read = read_frame(library({"a": ["x", "y"], "b": [1, 2]}), "reviews")
    assert read.to_dict(as_series=False) == {"a": ["x", "y"], "b": [1, 2]}


def test_a_named_index_of_pandas_is_a_column() -> None:
    frame = pd.DataFrame({"user_id": ["u", "v"], "asin": ["p", "q"], "rating": [5, 4]})
    for index in ("user_id", ["user_id", "asin"]):
        read = read_frame(frame.set_index(index), "reviews")
        assert read.select("user_id", "asin", "rating").rows() == [("u", "p", 5), ("v", "q", 4)]
    assert read_frame(frame, "reviews").columns == ["user_id", "asin", "rating"]
    assert read_frame(frame.set_index("asin", drop=False), "reviews").columns == ["user_id", "asin", "rating"]


def test_decimals_are_numbers() -> None:
    frame = pd.DataFrame({"whole": [decimal.Decimal("7.00")], "large": [decimal.Decimal(10**18)]})
    assert read_frame(frame, "reviews").row(0) == (7.0, 10**18)


@pytest.mark.parametrize(
    ("frame", "message", "remedy"),
    [
        ([{"a": 1}], "list is no data frame", "pandas or Polars"),
        ("reviews.csv", "str is no data frame", '"data.reviews_path=FILE"'),
        (pl.LazyFrame({"a": [1]}), "LazyFrame is no data frame", "collect()"),
        (pl.Series([1]), "Series is no data frame", "pandas or Polars"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "several columns are called 'a'", "name of its own"),
        (pd.DataFrame([[1, 2]], columns=["5", 5]), "several columns are called '5'", "name of its own"),
        (pa.table([[1], [2]], names=["a", "a"]), "several columns are called 'a'", "name of its own"),
        (pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])), "have 2 levels", "join"),
        (pd.DataFrame({"a": [1, "x"], "b": [1, 2]}), "'a' holds .*: int, str", "frame['a'].astype(str)"),
        (pd.DataFrame({"a": [datetime.date(2020, 1, 1), "x"]}), "'a' holds .*: date, str", "astype(str)"),
        (pd.DataFrame({"a": [1j, 2j]}), "'a' holds", "astype(str)"),
        (pd.DataFrame({"a": pd.period_range("2020", "2021", freq="Y")}), "'a' holds", "astype(str)"),
        (pd.DataFrame({"a": pd.interval_range(0, 2)}), "'a' holds", "astype(str)"),
        (pl.DataFrame({"a": pl.Series([object()], dtype=pl.Object)}), "'a' holds", "astype(str)"),
    ],
)
def test_what_cannot_be_read_is_named(frame: Any, message: str, remedy: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        read_frame(frame, "reviews")
    assert remedy in refused.value.remedy
    assert refused.value.where == "reviews"


def test_uuids_are_told_to_become_texts() -> None:
    frame = pd.DataFrame({"user_id": [uuid.UUID(int=5)], "asin": ["p"]})
    with pytest.raises(InputError, match="'user_id' is Binary") as refused:
        reviews_by_user(read_frame(frame, "reviews"), FIELDS, None)
    assert "astype(str) for UUIDs" in refused.value.remedy


def test_reviews_under_our_names_keep_the_order_of_the_rows() -> None:
    rows = [(7.0, 1, None, 5.0), (8.0, 2, "t", None), (7.0, 3, "s", float("nan"))]
    frame = pl.DataFrame(rows, schema=["user_id", "asin", "text", "rating"], orient="row")
    assert reviews_by_user(frame, FIELDS, None) == {
        "7": [{"asin": "1", "text": None, "rating": 5.0}, {"asin": "3", "text": "s", "rating": None}],
        "8": [{"asin": "2", "text": "t", "rating": None}],
    }


def test_reviews_under_the_names_of_training_are_read_as_there(caplog: pytest.LogCaptureFixture) -> None:
    frame = pl.DataFrame(
        {
            "CustomerID": [17850, 17850, 17851],
            "ItemCode": ["A", "B", "C"],
            "Points": [10, None, 0],
            "When": ["03/01/2015", "04/01/2015", None],
            "Words": ["It&#39;s <b>fine</b>", None, "nan"],
            "Size": ["L", "M", "S"],
            "Colour": ["red", "red", "red"],
        }
    )
    found = reviews_by_user(frame, FIELDS, SHOP)
    day = 86_400_000
    third = int(datetime.datetime(2015, 1, 3, tzinfo=datetime.UTC).timestamp() * 1000)
    assert found == {
        "17850": [
            {"asin": "A", "rating": 10.0, "timestamp": third, "text": "It's fine"},
            {"asin": "B", "rating": None, "timestamp": third + day, "text": None},
        ],
        "17851": [{"asin": "C", "rating": 0.0, "timestamp": None, "text": None}],
    }
    assert caplog.messages == [
        "columns that nothing reads: Colour; the training data had CustomerID, ItemCode, Points, When, Words, Size"
    ]
    moments = frame.with_columns(pl.col("When").str.to_date("%d/%m/%Y"))
    assert reviews_by_user(moments, FIELDS, SHOP) == found


def test_events_weigh_what_they_did_in_training(caplog: pytest.LogCaptureFixture) -> None:
    events = EventSettings(column="Action", weights={"view": 0.5, "order": 2.0}, amount="Share", full_amount=100)
    shop = SHOP.model_copy(update={"events": events})
    frame = pl.DataFrame(
        {
            "CustomerID": ["u", "u", "u", "v"],
            "ItemCode": ["A", "B", "C", "D"],
            "Action": ["view", " order", "click", "order"],
            "Share": [50, 100, 100, 0],
        }
    )
    expected = [{"asin": "A", "weight": 0.25, "event": "view"}, {"asin": "B", "weight": 2.0, "event": "order"}]
    assert reviews_by_user(frame, FIELDS, shop) == {"u": expected}
    assert caplog.messages == [
        "events that weigh nothing, as in training: 2 of 4 rows; the kinds that weigh are view, order"
    ]
    whole = reviews_by_user(frame.drop("Share"), FIELDS, shop)
    assert whole["v"] == [{"asin": "D", "weight": 2.0, "event": "order"}]
    with pytest.raises(InputError, match="'much' cannot be read: an amount is a number"):
        reviews_by_user(frame.with_columns(Share=pl.lit("much")), FIELDS, shop)


def test_a_duration_weighs_what_it_did_in_training() -> None:
    events = EventSettings(amount="Share", full_amount=100, duration="Seconds", full_duration=60)
    shop = SHOP.model_copy(update={"events": events})
    frame = pl.DataFrame({"CustomerID": ["u"] * 2, "ItemCode": ["A", "B"], "Share": [50, 50], "Seconds": [30, 600]})
    assert [row["weight"] for row in reviews_by_user(frame, FIELDS, shop)["u"]] == [0.25, 0.5]
    with pytest.raises(InputError, match="'long' cannot be read"):
        reviews_by_user(frame.with_columns(Seconds=pl.lit("long")), FIELDS, shop)


def test_our_names_hold_where_those_of_training_are_not_there() -> None:
    frame = pl.DataFrame({"user_id": ["u"], "asin": ["A"], "rating": [5], "timestamp": [1_600_000_000_000]})
    assert reviews_by_user(frame, FIELDS, SHOP) == {"u": [{"asin": "A", "rating": 5, "timestamp": 1_600_000_000_000}]}


def test_times_of_requests_hold_beside_those_of_training() -> None:
    frame = pl.DataFrame({"CustomerID": ["u"] * 2, "ItemCode": ["A"] * 2, "When": ["2020-09-13T12:26:40Z", None]})
    found = reviews_by_user(frame, FIELDS, SHOP)
    assert [review["timestamp"] for review in found["u"]] == [1_600_000_000_000, None]


@pytest.mark.parametrize(
    ("changed", "message", "where"),
    [
        ({"Points": [3, 11]}, "'11' cannot be read: ratings go from 0 to 10", "row 2, column 'Points'"),
        ({"Points": ["good", "3"]}, "'good' cannot be read", "row 1, column 'Points'"),
        (
            {"When": [None, "yesterday"]},
            r"'yesterday' cannot be read: times are %d/%m/%Y or ms",
            "row 2, column 'When'",
        ),
        ({"When": [datetime.timedelta(1)] * 2}, "'When' is Duration", "column When"),
        ({"Words": [["a"], ["b"]]}, r"'Words' is List\(String\)", "column Words"),
        ({"CustomerID": ["u", None]}, "an id is missing", "row 2, column 'CustomerID'"),
        ({"ItemCode": [[True], [False]]}, "'ItemCode' is Boolean", "the frame reviews"),
        ({"ItemCode": [{"a": 1}] * 2}, r"'ItemCode' is Struct", "the frame reviews"),
    ],
)
def test_values_that_training_would_not_read_are_named(changed: dict[str, Any], message: str, where: str) -> None:
    frame = pl.DataFrame({"CustomerID": ["u", "v"], "ItemCode": ["A", "B"]} | changed, strict=False)
    with pytest.raises(InputError, match=message) as refused:
        reviews_by_user(frame, FIELDS, SHOP)
    assert refused.value.where == where


@pytest.mark.parametrize("products", [[["A", "B"], ["C"], []], ["['A', 'B']", "C", "[]"]])
def test_a_row_of_several_products_is_a_review_of_each_and_one_of_none_is_named(products: list[Any]) -> None:
    frame = pl.DataFrame({"CustomerID": [1, 2, 3], "ItemCode": products, "Points": [10, 5, 0]})
    with pytest.raises(InputError, match="an id is missing") as refused:
        reviews_by_user(frame, FIELDS, SHOP)
    assert refused.value.where == "row 4, column 'ItemCode'"
    found = reviews_by_user(frame.head(2), FIELDS, SHOP)
    assert found == {
        "1": [{"asin": "A", "rating": 10.0}, {"asin": "B", "rating": 10.0}],
        "2": [{"asin": "C", "rating": 5.0}],
    }


def test_a_missing_column_is_told_with_the_names_of_training() -> None:
    with pytest.raises(InputError, match="no column asin and no column user_id") as refused:
        reviews_by_user(pl.DataFrame({"Customer": ["u"]}), FIELDS, SHOP)
    assert "to user_id and asin, or as in training to CustomerID and ItemCode" in refused.value.remedy


def test_numbers_of_numpy_become_ids() -> None:
    frame = pd.DataFrame({"user_id": np.array([1.0, 2.0], dtype=np.float32), "asin": pd.Categorical([5, 6])})
    assert reviews_by_user(read_frame(frame, "reviews"), FIELDS, None) == {"1": [{"asin": "5"}], "2": [{"asin": "6"}]}
