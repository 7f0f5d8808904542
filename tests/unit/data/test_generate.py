"""Generated shops: files in the public schemas, equal for an equal seed, with the traps that the real ones have."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rec_sys.contracts import InputError
from rec_sys.data.generate import GenerateSettings, run
from rec_sys.data.generated import SCHEMAS, kion, shop_events

SIZES = {"users": 120, "products": 60, "purchases": 1_500}


def generate(schema: str, out: Path, seed: int = 7) -> Path:
    run(GenerateSettings.model_validate({"schema": schema, "out": out, "seed": seed, **SIZES}))
    return out


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("shops")
    return {schema: generate(schema, home / schema) for schema in SCHEMAS}


def test_equal_seeds_give_equal_files_and_others_do_not(folders: dict[str, Path], tmp_path: Path) -> None:
    again, other = generate("kion", tmp_path / "kion"), generate("kion", tmp_path / "other", seed=8)
    name = kion.INTERACTIONS
    assert (again / name).read_bytes() == (folders["kion"] / name).read_bytes() != (other / name).read_bytes()


def test_a_folder_of_somebody_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(InputError, match="something else"):
        generate("kion", tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "kept"


def test_an_unknown_schema_is_answered_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="shop_events"):
        generate("cinema", tmp_path / "new")


def test_shop_events_have_the_published_schema_and_traps(folders: dict[str, Path]) -> None:
    catalogue, actions, mapping = (
        pl.read_parquet(folders["shop_events"] / name)
        for name in (shop_events.CATALOGUE, shop_events.ACTIONS, shop_events.MAPPING)
    )
    assert dict(actions.schema) == {
        "user_id": pl.String,
        "loc_user_id": pl.String,
        "action": pl.Int64,
        "date": pl.Datetime("us"),
        "products": pl.List(pl.String),
        "pageId": pl.Int64,
    }
    assert catalogue.schema["add_date"] == pl.Datetime("us")
    assert [catalogue.schema[name] for name in ("price", "old_price")] == [pl.Int32] * 2
    assert catalogue["title"].str.contains(r"^\d+( \d+)*$").all()
    assert shop_events.NOTHING in catalogue["product_id"]
    assert shop_events.NOTHING in mapping["product_id"]
    assert actions["products"].explode().eq(shop_events.NOTHING).any()
    assert (actions["products"].list.len() == 0).mean() > 0.5
    assert actions["pageId"].max() > 2**31  # type: ignore[operator]
    assert set(actions["action"].unique()) == set(range(10))
    vectors = np.load(folders["shop_events"] / shop_events.VECTORS, allow_pickle=False)["arr_0"]
    assert sorted(mapping["vector_id"]) == list(range(len(vectors)))
    later = pl.read_parquet(folders["shop_events"] / shop_events.NEXT_ACTIONS)
    assert later["date"].min() >= actions["date"].max()  # type: ignore[operator]
    assert (later["date"].max() - actions["date"].max()).days <= 3  # type: ignore[operator]


def test_kion_has_lists_within_fields_and_empty_cells(folders: dict[str, Path]) -> None:
    items, users, watched = (
        pl.read_csv(folders["kion"] / name) for name in (kion.ITEMS, kion.USERS, kion.INTERACTIONS)
    )
    assert items.columns[:4] == ["item_id", "content_type", "title", "title_orig"]
    assert items["genres"].str.contains(", ").any()
    assert all(users[name].null_count() for name in ("age", "income", "sex"))
    assert watched["watched_pct"].is_between(0, 100).all()
    assert not watched.select("user_id", "item_id").is_duplicated().any()
