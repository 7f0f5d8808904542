"""Amazon's own files, with the figures that their publishers give."""

from pathlib import Path

import polars as pl
import pytest

from rec_sys.data.prepare import prepare
from rec_sys.data.schemas import ProductTable, ReviewTable
from rec_sys.settings import AmazonData, SequencesData


def _amazon(reader: str, path: Path) -> AmazonData:
    return AmazonData.model_validate({"name": "real", "reader": reader, "reviews_path": path})


def test_the_instruments_of_2014_are_all_there(real_2014: Path, tmp_path: Path) -> None:
    dataset = prepare(_amazon("amazon_2014", real_2014), tmp_path)
    summary = dataset.summary
    assert (summary.rows_read, summary.num_reviews, summary.rows_set_aside) == (10_261, 10_261, 0)
    assert (summary.num_users, summary.num_products, summary.duplicates_merged) == (1_429, 900, 0)
    reviews = dataset.reviews()
    ReviewTable.validate(reviews, lazy=True)
    assert sorted(reviews["source_row"]) == list(range(10_261))
    assert reviews["text"].null_count() < 10
    assert not reviews["text"].str.contains("&#34;|&quot;|<br").any()


def test_the_fashion_of_2018_has_89_exact_duplicates(real_fashion: Path, tmp_path: Path) -> None:
    dataset = prepare(_amazon("amazon_2018", real_fashion), tmp_path)
    summary = dataset.summary
    assert (summary.rows_read, summary.duplicates_merged, summary.num_reviews) == (3_176, 89, 3_087)
    assert (summary.num_users, summary.num_products, summary.rows_set_aside) == (406, 31, 0)
    reviews = dataset.reviews()
    assert reviews["style"].str.json_path_match("$.Size").is_not_null().mean() > 0.9
    assert reviews["helpful_votes"].is_not_null().sum() > 200
    assert reviews["verified"].null_count() == 0


def test_the_sequences_of_2018_keep_their_order(real_sequences: Path, tmp_path: Path) -> None:
    data = SequencesData.model_validate({"name": "real", "reader": "sequences", "path": real_sequences})
    dataset = prepare(data, tmp_path)
    summary = dataset.summary
    assert (summary.num_users, summary.num_products, summary.num_reviews) == (24_772, 9_922, 206_153)
    assert not any([summary.has_time, summary.has_rating, summary.has_text, summary.has_product_text])
    first_user = dataset.reviews().filter(pl.col("user_id") == "0").sort("timestamp")
    assert first_user["asin"].to_list() == [str(number) for number in range(19)]
    products = dataset.products()
    ProductTable.validate(products, lazy=True)
    # Products are numbered by first appearance in the file; their order here must not tell it.
    place = pl.int_range(pl.len())
    correlation = products.select(pl.corr(pl.col("asin").cast(pl.Int64), place, method="spearman")).item()
    assert correlation == pytest.approx(0, abs=0.05)
