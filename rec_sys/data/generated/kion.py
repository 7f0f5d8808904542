"""An online cinema's watching, as a course on recommenders publishes it: interactions, users and items as CSV.

Traps: lists with commas stand within fields, users have empty ones, days are the finest time, and how much of a film
was watched says more than that it was opened.
"""

from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from rec_sys.data.generated.shop import Schema, Shop

INTERACTIONS: Final = "interactions.csv"
NEXT_INTERACTIONS: Final = "interactions_next.csv"
USERS: Final = "users.csv"
ITEMS: Final = "items.csv"

_DAYS, _NEXT_DAYS = 160, 7
_FIRST_DAY: Final = 18_699  # days since 1970: 2021-03-13
_OPENED: Final = 0.15  # share of films that are left after a few minutes
_COUNTRIES: Final = ("Россия", "США", "Франция, Бельгия", "Великобритания", "Италия", "Япония, Южная Корея")
_AGES: Final = ("age_18_24", "age_25_34", "age_35_44", "age_45_54", "age_55_64", "age_65_inf", None)
_INCOMES: Final = ("income_0_20", "income_20_40", "income_40_60", "income_60_90", "income_90_150", None)
_SEXES: Final = ("М", "Ж", None)


def write_files(shop: Shop, folder: Path) -> None:
    """Writes the three files, and what was watched in the week after."""
    user_ids = shop.random.permutation(1_100_000)[: shop.num_users]
    item_ids = shop.random.permutation(16_500)[: shop.products.height]
    watched = _interactions(shop).with_columns(
        user_id=pl.Series(user_ids[shop.user]), item_id=pl.Series(item_ids[shop.product])
    )
    cut = pl.lit(_FIRST_DAY + _DAYS).cast(pl.Date)
    _newest(watched.filter(pl.col("last_watch_dt") < cut)).write_csv(folder / INTERACTIONS)
    _newest(watched.filter(pl.col("last_watch_dt") >= cut)).write_csv(folder / NEXT_INTERACTIONS)
    _items(shop, item_ids.tolist()).write_csv(folder / ITEMS)
    people = {"user_id": user_ids} | {
        name: [values[place] for place in shop.random.integers(len(values), size=shop.num_users).tolist()]
        for name, values in (("age", _AGES), ("income", _INCOMES), ("sex", _SEXES))
    }
    pl.DataFrame(people | {"kids_flg": shop.random.integers(0, 2, shop.num_users)}).write_csv(folder / USERS)


def _interactions(shop: Shop) -> pl.DataFrame:
    """Whoever likes a film watches it to the end; who does not, or only looks in, leaves."""
    random, number = shop.random, len(shop.user)
    share = np.clip(random.normal(0.2 * shop.stars, 0.15), 0.02, 1)
    share = np.where(random.random(number) < _OPENED, random.random(number) * 0.05, share)
    minutes = random.integers(20, 180, shop.products.height)[shop.product]
    percent = pl.Series(np.round(100 * share))
    days = _FIRST_DAY + np.floor(shop.moment * (_DAYS + _NEXT_DAYS))
    return pl.DataFrame(
        {
            "user_id": shop.user,
            "item_id": shop.product,
            "last_watch_dt": pl.Series(days.astype(np.int32)).cast(pl.Date),
            "total_dur": np.maximum(1, minutes * 60 * share).astype(np.int64),
            "watched_pct": percent.set(pl.Series(random.random(number) < 0.0002), None),
        }
    )


def _newest(watched: pl.DataFrame) -> pl.DataFrame:
    """One row a user and film, as the last time it was watched."""
    return watched.unique(["user_id", "item_id"], keep="last", maintain_order=True)


def _items(shop: Shop, item_ids: list[int]) -> pl.DataFrame:
    random, number = shop.random, shop.products.height
    facts = shop.products
    years = random.integers(1960, 2022, number).astype(np.float64)
    return pl.DataFrame(
        {
            "item_id": item_ids,
            "content_type": np.where(random.random(number) < 0.3, "series", "film"),
            "title": facts["title"],
            "title_orig": facts["title"].set(pl.Series(random.random(number) < 0.3), None),
            "release_year": years,
            "genres": facts["categories"].list.slice(1).list.join(", "),
            "countries": [_COUNTRIES[place] for place in random.integers(len(_COUNTRIES), size=number).tolist()],
            "for_kids": pl.Series(np.zeros(number)).set(pl.Series(random.random(number) < 0.95), None),
            "age_rating": random.choice([0, 6, 12, 16, 18], number).astype(np.float64),
            "studios": pl.Series([None] * number, dtype=pl.String),
            "directors": facts["brand"],
            "actors": facts["brand"] + ", " + facts["brand"].shuffle(seed=1),
            "keywords": facts["features"].list.join(", "),
            "description": facts["description"],
        }
    )


SCHEMA: Final = Schema(write_files, users=3_000, products=600, purchases=45_000)
