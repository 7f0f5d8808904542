"""Who buys: baskets that wait say it, and nothing after the moment of the question is read."""

import numpy as np
import polars as pl
import pytest

from rec_sys.contracts import MILLISECONDS_A_DAY, InputError
from rec_sys.ranker.propensity import rank_buyers, user_features

BASKET, ORDER = "2", "5"


def shop(days: int, seed: int = 0) -> pl.DataFrame:
    """Half of 300 users order a day or two after each basket; the others never order."""
    random = np.random.default_rng(seed)
    user = random.integers(300, size=3_000)
    day = random.random(3_000) * days
    orders = user < 150
    rows = {
        "user_id": [f"u{number:03d}" for number in [*user, *user[orders]]],
        "product_index": [*(products := random.integers(50, size=3_000)), *products[orders]],
        "timestamp": np.array([*day, *(day[orders] + 1 + random.random(orders.sum()))]) * MILLISECONDS_A_DAY,
        "event": [BASKET] * 3_000 + [ORDER] * int(orders.sum()),
    }
    events = pl.DataFrame(rows).with_columns(pl.col("timestamp").cast(pl.Int64))
    return events.filter(pl.col("timestamp") < days * MILLISECONDS_A_DAY)


def test_those_who_order_come_before_those_who_only_look() -> None:
    found = rank_buyers(shop(20), [ORDER], window_days=3)
    assert found.auc > 0.9
    first = found.users["user_id"].head(100)
    assert (first.str.slice(1).cast(pl.Int64) < 150).mean() > 0.97
    assert found.users["probability"].is_sorted(descending=True)


def test_features_read_nothing_after_their_moment() -> None:
    events = shop(20).with_columns(bought=pl.col("event") == ORDER)
    cut = 12 * MILLISECONDS_A_DAY
    before = events.filter(pl.col("timestamp") < cut)
    assert user_features(events, cut).equals(user_features(before, cut))


def test_a_basket_that_was_ordered_waits_no_longer() -> None:
    rows = [("a", 1, 1, BASKET), ("a", 1, 2, ORDER), ("a", 2, 1, BASKET), ("b", 1, 1, ORDER), ("b", 1, 2, BASKET)]
    events = pl.DataFrame(rows, schema=["user_id", "product_index", "timestamp", "event"], orient="row").with_columns(
        bought=pl.col("event") == ORDER
    )
    assert user_features(events, 3)["2_open"].to_list() == [1, 1]


def test_too_few_days_are_refused() -> None:
    with pytest.raises(InputError, match="too few days"):
        rank_buyers(shop(5), [ORDER], window_days=3)
