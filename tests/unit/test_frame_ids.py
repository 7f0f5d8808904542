"""Ids of Python's, numpy's and pandas' types are the texts that training reads, or refused with a remedy."""

import datetime
import decimal
import uuid
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from rec_sys.contracts import InputError
from rec_sys.frame_ids import check_id_column, text_id, text_ids


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        *(("a", "a"), (" a\x00 ", "a"), (7, "7"), (7.0, "7"), (10**20, str(10**20)), (np.int64(7), "7")),
        *((np.float32(7), "7"), (np.str_("a"), "a"), (decimal.Decimal("7.00"), "7"), (pa.scalar("a"), "a")),
    ],
)
def test_a_text_or_a_whole_number_is_an_id(given: Any, meant: str) -> None:
    assert text_id(given, "users[0]") == meant


@pytest.mark.parametrize("given", [None, "", " ", "nan", float("nan"), pd.NA, pd.NaT, decimal.Decimal("NaN")])
def test_an_id_that_is_missing_is_said_so(given: Any) -> None:
    with pytest.raises(InputError, match="an id is missing") as refused:
        text_id(given, "users[3]")
    assert refused.value.where == "users[3]"


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        *((True, "bool"), (np.True_, "bool"), (1.5, "float"), (float("inf"), "float"), (2.0**53, "float")),
        *((np.float32(2**24), "float32"), (decimal.Decimal("1.5"), "Decimal"), (b"a", "bytes"), (["a"], "list")),
        *(({"a": 1}, "dict"), (1j, "complex"), (datetime.date(2020, 1, 1), "date"), (uuid.UUID(int=5), "UUID")),
    ],
)
def test_what_is_no_id_is_refused_by_its_type(given: Any, kind: str) -> None:
    with pytest.raises(InputError, match=f"of type {kind}_? is no id") as refused:
        text_id(given, "users[0]")
    assert "as a text" in refused.value.remedy


@pytest.mark.parametrize("given", ["a\ud800", "\udc00"])
def test_an_id_with_half_of_a_character_is_refused(given: str) -> None:
    with pytest.raises(InputError, match="half of a character"):
        text_ids(["é", given], "asins")


@pytest.mark.parametrize(
    "given",
    [
        *(["1", "2"], (1, 2.0), iter([1, 2]), np.array([1, 2]), np.array(["1", "2"]), np.array([1.0, 2.0])),
        *(pd.Series([1, 2]), pd.Index(["1", "2"]), pd.Categorical(["1", "2"]), pl.Series([1, 2]), pa.array([1, 2])),
    ],
)
def test_ids_come_from_whatever_gives_one_after_another(given: Any) -> None:
    assert text_ids(given, "users") == ["1", "2"]


@pytest.mark.parametrize("given", ["a", b"a", 5, None, np.array([[1, 2]]), np.array(1), pd.DataFrame({"a": [1]})])
def test_what_is_no_list_of_ids_is_refused(given: Any) -> None:
    with pytest.raises(InputError, match="a list of ids is asked for") as refused:
        text_ids(given, "asins")
    assert "asins=[...]" in refused.value.remedy


@pytest.mark.parametrize(
    "values",
    [
        *(["a", None], [1, None], [1.0, None, float("nan")], [None, None]),
        *(pl.Series(["a"], dtype=pl.Categorical), pl.Series(["a"], dtype=pl.Enum(["a"])), [decimal.Decimal("7.00")]),
    ],
)
def test_columns_of_texts_and_whole_numbers_are_ids(values: Any) -> None:
    check_id_column(pl.Series("who", values), "reviews")


@pytest.mark.parametrize(
    ("values", "message", "remedy"),
    [
        ([["a"]], r"'who' is List\(String\), such as", "explode"),
        ([{"a": 1}], "'who' is Struct", "one field"),
        ([b"a"], "'who' is Binary, such as b'a'", "decode"),
        ([1.0, 2.5], "'who' is Float64, such as 2.5", "Int64"),
        ([2.0**53], "'who' is Float64, such as", "Int64"),
        (pl.Series([2.0**24], dtype=pl.Float32), "'who' is Float32, such as", "Int64"),
        ([decimal.Decimal("2.5")], "'who' is Decimal.*, such as 2.5", "Int64"),
        ([True], "'who' is Boolean, such as True", "astype"),
        ([datetime.date(2020, 1, 1)], "'who' is Date", "astype"),
        ([datetime.datetime(2020, 1, 1)], "'who' is Datetime", "astype"),
        ([datetime.timedelta(1)], "'who' is Duration", "astype"),
    ],
)
def test_a_column_that_cannot_hold_ids_is_named_with_its_type(values: Any, message: str, remedy: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        check_id_column(pl.Series("who", values), "reviews")
    assert remedy in refused.value.remedy
    assert refused.value.where == "the frame reviews"
