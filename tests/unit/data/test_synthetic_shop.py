"""The invented shop has what it is there for: fashions, repurchases, and tastes that last."""

from pathlib import Path

import polars as pl
import pytest

from rec_sys.data.synthetic_shop import ORDER, VIEW, write_shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[pl.DataFrame, pl.DataFrame]:
    events, products = write_shop(
        tmp_path_factory.mktemp("shop"), 1, customers=300, products=120, days=200, visits=3_000
    )
    return pl.read_parquet(events), pl.read_csv(products)


def orders_of(shop: tuple[pl.DataFrame, pl.DataFrame]) -> pl.DataFrame:
    kind = pl.col("title").str.split(" ").list.first()
    orders = shop[0].filter(pl.col("event") == ORDER)
    return orders.join(shop[1].with_columns(kind=kind), on="asin").sort("timestamp")


def test_every_order_is_of_a_product_that_the_table_has(shop: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    events, _ = shop
    assert events["event"].value_counts().sort("event")["event"].to_list() == [ORDER, VIEW]
    assert orders_of(shop).height == 3_000
    assert events.null_count().sum_horizontal().item() == 0


def test_basics_are_bought_again_and_fashions_are_not(shop: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    again = orders_of(shop).with_columns(again=pl.struct("user_id", "asin").is_first_distinct().not_())
    basics = pl.col("kind").is_in(["t-shirts", "socks", "underwear"])
    shares = [again.filter(one)["again"].mean() for one in (basics, ~basics)]
    assert shares[0] > 1.5 * shares[1], shares


def test_fashions_fade(shop: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    days = (
        orders_of(shop)
        .group_by("asin", "kind")
        .agg((pl.col("timestamp").max() - pl.col("timestamp").min()) / 86_400, pl.len().alias("count"))
    )
    lasting = days.filter(pl.col("count") >= 10).group_by(pl.col("kind") == "socks").agg(pl.col("timestamp").median())
    lasting = dict(lasting.iter_rows())
    assert lasting[True] > 1.3 * lasting[False]


def test_the_same_seed_writes_the_same_shop(tmp_path: Path) -> None:
    sizes = {"customers": 50, "products": 40, "days": 60, "visits": 300}
    first, second = (write_shop(tmp_path / name, 3, **sizes) for name in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
