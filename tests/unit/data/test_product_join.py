"""Products of reviews and of metadata: how many meet, and why the others do not."""

import logging
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rec_sys.contracts import InputError
from rec_sys.data.prepare import prepare
from rec_sys.data.product_join import join_products
from rec_sys.settings import TableData

COLUMNS = {"user_id": "customer_id", "asin": "article_id"}


def _table(folder: Path, reviewed: list[str], described: pl.Series, **changes: Any) -> TableData:
    rows = [f"c{number % 7},{article}\n" for number, article in enumerate(reviewed)]
    (folder / "reviews.csv").write_text("customer_id,article_id\n" + "".join(rows))
    titles = pl.Series("name", [f"Top {number}" for number in range(len(described))])
    pl.DataFrame([described.alias("article_id"), titles]).write_parquet(folder / "products.parquet")
    return TableData.model_validate(
        {
            "name": "toy",
            "reader": "table",
            "reviews_path": folder / "reviews.csv",
            "metadata_path": folder / "products.parquet",
            "columns": COLUMNS,
            "product_columns": {"asin": "article_id", "title": "name"},
        }
        | changes
    )


def test_ids_that_lost_their_zeros_are_counted_with_examples_and_the_cause(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    numbers = [*range(108_775_000, 108_775_010), *range(908_775_000, 908_775_005)]
    reviewed = [f"{number:010}" if number < 900_000_000 else str(number) for number in numbers]
    with caplog.at_level(logging.WARNING):
        dataset = prepare(_table(tmp_path, reviewed, pl.Series(numbers)), tmp_path)
    found = "5 of 15 products have metadata ('0108775000' is only reviewed, '108775000' is only in the metadata)"
    assert dataset.summary.found["product metadata"] == found
    assert f"{found}: the ids differ by leading zeros that one side has lost" in caplog.text


@pytest.mark.parametrize(
    "described",
    [
        pl.Series([1001, 1002]),
        pl.Series([1001.0, 1002.0, None]),
        pl.Series(["1001", "1002"], dtype=pl.Categorical()),
        pl.Series(["1001", "1002"], dtype=pl.Enum(["1001", "1002"])),
    ],
    ids=lambda series: str(series.dtype),
)
def test_ids_of_any_type_join_by_their_digits(
    tmp_path: Path, described: pl.Series, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = prepare(_table(tmp_path, ["1001", "1002"], described, max_bad_share=0.5), tmp_path)
    assert dataset.products()["title"].sort().to_list() == ["Top 0", "Top 1"]
    assert dataset.summary.found["product metadata"] == "2 of 2 products have metadata"
    assert "the ids differ" not in caplog.text


def test_a_join_of_nothing_is_refused_with_the_cause(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of the 2 products of the metadata is reviewed") as caught:
        prepare(_table(tmp_path, ["p1.0", "p2.0"], pl.Series(["p1", "p2"])), tmp_path)
    assert "'p1.0' is only reviewed" in caught.value.what
    assert "the ending .0 of a number" in caught.value.remedy


@pytest.mark.parametrize(
    ("reviewed", "described", "cause"),
    [
        ("007", "7", "leading zeros"),
        ("7.0", "7", "the ending .0"),
        ("ab", "AB", "capital letters"),
        ("a b", "ab", "blanks or dashes within"),
        ("a-b", "ab", "blanks or dashes within"),
    ],
)
def test_causes_are_told_from_each_other(reviewed: str, described: str, cause: str) -> None:
    for left, right in ((reviewed, described), (described, reviewed)):
        join = join_products(pl.Series([left, "same"]), pl.Series(["same", right]))
        assert (join.num_described, join.num_products, join.is_whole) == (1, 2, False)
        assert cause in join.remedy


def test_products_of_another_shop_have_no_cause() -> None:
    join = join_products(pl.Series(["a"]), pl.Series(["b"]))
    assert join.cause is None
    assert "same category and year" in join.remedy


def test_products_without_reviews_are_no_fault() -> None:
    join = join_products(pl.Series(["a"]), pl.Series(["a", "b"]))
    assert str(join) == "1 of 1 products have metadata"
