"""Public shops by their settings alone: generated files, traps and all, become the rows that they mean."""

from pathlib import Path

import polars as pl
import pytest

from rec_sys.contracts import InputError, ReviewColumn
from rec_sys.data.dataset import PreparedDataset
from rec_sys.data.generate import GenerateSettings
from rec_sys.data.generate import run as generate
from rec_sys.data.generated import hm, kion, shop_events
from rec_sys.data.prepare import prepare
from rec_sys.entry import compose_settings
from rec_sys.settings import Settings, TableData

SIZES = {"users": 120, "products": 60, "purchases": 1_500}


def prepared(schema: str, folder: Path) -> PreparedDataset:
    generate(GenerateSettings.model_validate({"schema": schema, "out": folder / "raw", **SIZES}))
    given = [f"data={schema}", f"experiment={schema}", f"data.folder={folder / 'raw'}", f"output_dir={folder}"]
    return prepare(compose_settings(given, Settings).data, folder)


def test_shop_events_are_weighed_by_kind_and_their_lists_are_rows(tmp_path: Path) -> None:
    dataset = prepared("shop_events", tmp_path)
    reviews = dataset.reviews()
    weights = dict(reviews.group_by(ReviewColumn.EVENT).agg(pl.col(ReviewColumn.WEIGHT).unique().implode()).rows())
    assert {kind: round(weight[0], 3) for kind, weight in weights.items()} == {"0": 0.1, "1": 0.3, "2": 0.5, "5": 1.0}
    raw = pl.read_parquet(tmp_path / "raw" / shop_events.ACTIONS).explode("products").drop_nulls("products")
    raw = raw.filter(pl.col("action").is_in([0, 1, 2, 5]) & (pl.col("products") != shop_events.NOTHING))
    assert reviews.height + dataset.summary.duplicates_merged == raw.height
    assert shop_events.NOTHING not in reviews[ReviewColumn.ASIN]
    assert shop_events.NOTHING not in dataset.products()["asin"]
    assert set(reviews[ReviewColumn.ASIN]) == set(raw["products"])
    assert dataset.products()["title"].null_count() == 0


def test_what_was_watched_of_a_film_is_its_weight_and_genres_are_a_list(tmp_path: Path) -> None:
    dataset = prepared("kion", tmp_path)
    reviews = dataset.reviews().with_columns(pl.col("user_id", "asin").cast(pl.Int64))
    raw = pl.read_csv(tmp_path / "raw" / kion.INTERACTIONS)
    joined = reviews.join(raw, left_on=["user_id", "asin"], right_on=["user_id", "item_id"], how="left")
    assert joined.height == raw.filter(pl.col("watched_pct") > 0).height
    said = joined["watched_pct"] / 100 * (joined["total_dur"] / 1800).clip(upper_bound=1)
    assert (joined[ReviewColumn.WEIGHT] - said).abs().max() < 1e-6  # type: ignore[operator]
    assert dataset.products()["categories"].list.len().max() > 1  # type: ignore[operator]
    assert not dataset.products()["categories"].list.join("").str.contains(",").any()


def test_what_is_known_of_customers_is_numbers_and_words_in_order(tmp_path: Path) -> None:
    dataset = prepared("hm", tmp_path)
    found = dataset.users()
    assert found is not None
    raw = pl.read_csv(tmp_path / "raw" / hm.CUSTOMERS).sort("customer_id")
    raw = raw.filter(pl.col("customer_id").is_in(dataset.reviews()["user_id"].implode()))
    assert found["user_id"].to_list() == raw["customer_id"].to_list()
    assert found["age"].equals(raw["age"].cast(pl.Float32), check_names=False)
    assert found["newsletter"].equals(raw["FN"].cast(pl.Float32), check_names=False)
    for name, words in {"club_status": "club_member_status", "news": "fashion_news_frequency"}.items():
        pairs = dict(zip(raw[words].to_list(), found[name].to_list(), strict=True))
        meant = {None: None, "NONE": 0, "Monthly": 1, "Regularly": 2, "LEFT CLUB": 0, "PRE-CREATE": 1, "ACTIVE": 2}
        assert pairs == {word: meant[word] for word in pairs}
    assert not any("cannot be read" in label for label in dataset.summary.counts)


@pytest.mark.parametrize("schema", ["shop_events", "kion"])
def test_files_lie_in_a_folder_that_is_set_once(schema: str) -> None:
    settings = compose_settings([f"data={schema}", f"experiment={schema}", "data.folder=elsewhere"], Settings)
    data = settings.data
    assert isinstance(data, TableData)
    paths = [
        data.reviews_path,
        data.metadata_path,
        settings.text.product_vectors_path,
        settings.text.product_vector_map,
    ]
    assert {path.parent for path in paths if path is not None} == {Path("elsewhere")}
    assert TableData.model_validate(data.model_dump()) == data


def test_given_vectors_of_products_need_to_know_whose_they_are() -> None:
    with pytest.raises(InputError, match="product_vector_map"):
        compose_settings(["text=given", "text.product_vectors_path=vectors.npz"], Settings)
