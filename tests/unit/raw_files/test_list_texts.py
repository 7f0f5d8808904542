"""Lists that tools print into texts are lists again."""

import polars as pl
import pytest

from rec_sys.raw_files.list_texts import first_filled, first_path, texts_within


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('["Music", "Cables"]', ["Music", "Cables"]),
        ("['Music', 'Cables']", ["Music", "Cables"]),
        (" ['it\\'s', None, 3] ", ["it's", "3"]),
        ("['a' 'b'\n 'c']", ["a", "b", "c"]),
        ("['a', 'b' \"c d\"]", ["a", "b", "c d"]),
        ("""['he said "so"', "and 'so'"]""", ['he said "so"', "and 'so'"]),
        ("[]", []),
        ("", []),
        ("  ", []),
        ("Music", ["Music"]),
        ("[sic] as written", ["[sic] as written"]),
        ("[sic]", ["[sic]"]),
        ("[__import__('os')]", ["[__import__('os')]"]),
        ("['open", ["['open"]),
    ],
)
def test_a_text_holds_a_list_or_itself(text: str, expected: list[str]) -> None:
    assert texts_within(text) == expected


@pytest.mark.parametrize(
    "text", ['[["Music", "Cables"], ["Gifts"]]', "[['Music', 'Cables'], ['Gifts']]", "['Music', 'Cables']"]
)
def test_of_several_paths_the_first_counts(text: str) -> None:
    assert first_path(text) == ["Music", "Cables"]


def test_the_first_field_with_a_value_counts() -> None:
    frame = pl.DataFrame({"a": [None, "", " ", "[]", "[ ]", "x"], "b": ["y", "y", "y", "y", None, "y"]})
    assert frame.select(first_filled("a", "b")).to_series().to_list() == ["y", "y", "y", "y", None, "x"]
