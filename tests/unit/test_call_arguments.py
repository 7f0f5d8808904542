"""Arguments in Python that cannot be meant are refused by their name, with what they take."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from rec_sys.call_arguments import one_of, read_filter, true_or_false, whole_number
from rec_sys.contracts import InputError


def test_what_is_meant_is_taken_of_numpy_too() -> None:
    assert [whole_number(value, "k", 10) for value in (1, 10, np.int64(3))] == [1, 10, 3]
    assert [true_or_false(value, "filter_viewed") for value in (True, False, np.True_)] == [True, False, True]
    assert one_of("text", "by", ("graph", "text")) == "text"


@pytest.mark.parametrize("value", [0, -1, 11, 1.0, 1.5, True, np.True_, "3", None, [3]])
def test_a_number_is_whole_and_within_its_range(value: Any) -> None:
    with pytest.raises(InputError, match="k is ") as refused:
        whole_number(value, "k", 10)
    assert (refused.value.where, refused.value.remedy) == ("k", "give a whole number from 1 to 10")


@pytest.mark.parametrize("value", [0, 1, "yes", None, []])
def test_a_truth_is_one(value: Any) -> None:
    with pytest.raises(InputError, match="filter_viewed is ") as refused:
        true_or_false(value, "filter_viewed")
    assert refused.value.remedy == "give True or False"


@pytest.mark.parametrize("value", ["zzz", "Graph", None, ["graph"], 1])
def test_a_word_is_one_of_those_allowed(value: Any) -> None:
    with pytest.raises(InputError, match="by is ") as refused:
        one_of(value, "by", ("graph", "text"))
    assert refused.value.remedy == "give 'graph' or 'text'"


def test_a_filter_takes_lists_of_any_library() -> None:
    assert read_filter(None) == read_filter({})
    for names in (["a"], ("a",), {"a"}, np.array(["a"]), pd.Series(["a"]), pl.Series(["a"])):
        assert read_filter({"brands": names}).brands == ("a",)


@pytest.mark.parametrize(
    ("given", "message", "remedy"),
    [
        ("x", "filter is 'x'", "give a dict with any of not_seen, categories_any"),
        ([("max_price", 4)], "filter is ", "give a dict"),
        ({"max_prize": 4}, "a filter has no 'max_prize'", "did you mean max_price? it takes not_seen"),
        ({"max_price": "cheap"}, "takes a number", "'cheap'"),
        ({"brands": "Sony"}, "takes a list", "Sony"),
        ({"min_price": 5, "max_price": 4}, "min_price 5.0 is above max_price 4.0", "change it"),
    ],
)
def test_a_filter_that_cannot_be_meant_is_named(given: Any, message: str, remedy: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        read_filter(given)
    assert refused.value.where.startswith("filter")
    assert remedy in refused.value.remedy
