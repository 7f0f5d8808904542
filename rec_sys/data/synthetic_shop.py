"""An invented clothes shop: views and orders with times, prices and categories, fashions that fade, and repurchases.

It has what rankers of shops live on and reviews of instruments hardly have: what is bought depends on when, products
are new for some weeks, customers keep to a few categories, one price and a size, and basics are bought again.
"""

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from rec_sys.contracts import ProductColumn, ReviewColumn
from rec_sys.files import atomic_file

VIEW: Final = "view"
ORDER: Final = "order"

_CATEGORIES: Final = (
    *("t-shirts", "socks", "underwear", "jeans", "dresses", "skirts", "shirts", "knitwear", "jackets", "coats"),
    *("shoes", "sandals", "swimwear", "sportswear", "bags", "jewellery"),
)
_BASICS: Final = 3  # the first categories, whose products stay and are bought again
_BRANDS: Final = 24
_FIRST_DAY: Final = 1_577_836_800  # 2020-01-01 UTC, seconds
_DAY: Final = 86_400
_FADES_IN: Final = 25.0  # days in which the appeal of a fashion falls to a third
_SEASON: Final = 1.5  # how much more a category sells in its season, as a logarithm
_REPEATS: Final = 0.35  # of the visits to basics that buy what was bought before
_VIEWED_FIRST: Final = 0.6  # share of orders whose product was viewed that day
_AT_ONCE: Final = 2_000  # visits, 10 MB of 600 products


def write_shop(
    folder: Path, seed: int, *, customers: int = 2_000, products: int = 800, days: int = 360, visits: int = 14_000
) -> tuple[Path, Path]:
    """Writes a table of events and one of products; returns both paths."""
    random = np.random.default_rng(seed)
    category = random.integers(len(_CATEGORIES), size=products)
    brand = random.integers(_BRANDS, size=products)
    price = np.round(np.exp(random.normal(3.2, 0.6, products)), 2)
    release = random.integers(-90, days, products)
    release[category < _BASICS] = -90
    table = pl.DataFrame(
        {
            ReviewColumn.ASIN: [f"A{number:05d}" for number in range(products)],
            ProductColumn.TITLE: [f"{_CATEGORIES[kind]} {number}" for number, kind in enumerate(category.tolist())],
            ProductColumn.BRAND: [f"Label {number}" for number in brand.tolist()],
            ProductColumn.CATEGORIES: [f"Clothes|{_CATEGORIES[kind]}" for kind in category.tolist()],
            ProductColumn.PRICE: price,
        }
    )

    customer = (customers * random.random(visits) ** 1.3).astype(np.int64)
    day = np.sort(random.integers(days, size=visits))
    taste = random.normal(0, 1.6, (customers, len(_CATEGORIES)))[:, category]
    taste += random.normal(0, 0.8, (customers, _BRANDS))[:, brand]
    usual = random.normal(3.2, 0.5, customers)
    taste -= 2.0 * (usual[:, None] - np.log(price)) ** 2
    appeal = random.normal(0, 0.8, products)
    bought = np.empty(visits, dtype=np.int64)
    for start in range(0, visits, _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        utility = taste[customer[part]] + appeal + _seasons(day[part], category) + _freshness(day[part], release)
        utility[:, category < _BASICS] += 1.0
        bought[part] = (utility + random.gumbel(size=utility.shape)).argmax(axis=1)
    again = _buy_again(random, customer, bought, category)
    events = _list_events(random, customer, day, again, table[ReviewColumn.ASIN])
    paths = folder / "shop_events.parquet", folder / "shop_products.csv"
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(paths[0]) as unfinished:
        events.write_parquet(unfinished)
    with atomic_file(paths[1]) as unfinished:
        table.write_csv(unfinished)
    return paths


def _seasons(day: npt.NDArray[np.int64], category: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    best = 365 * category / len(_CATEGORIES)
    season: npt.NDArray[np.float64] = _SEASON * np.cos(2 * np.pi * (day[:, None] - best) / 365)
    return np.where(category < _BASICS, 0.0, season)


def _freshness(day: npt.NDArray[np.int64], release: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    age = day[:, None] - release
    fading = np.where(release > -90, 2.0 - np.maximum(age, 0) / _FADES_IN, 0.0)
    return np.where(age < 0, -np.inf, np.maximum(fading, -4.0))


def _buy_again(
    random: np.random.Generator,
    customer: npt.NDArray[np.int64],
    bought: npt.NDArray[np.int64],
    category: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Some visits that would buy a basic buy the one that was bought last in its category."""
    last: dict[tuple[int, int], int] = {}
    found = bought.copy()
    repeats = random.random(len(bought)) < _REPEATS
    for visit, (who, product) in enumerate(zip(customer.tolist(), bought.tolist(), strict=True)):
        key = who, int(category[product])
        if key[1] < _BASICS and repeats[visit]:
            found[visit] = last.get(key, product)
        last[key] = int(found[visit])
    return found


def _list_events(
    random: np.random.Generator,
    customer: npt.NDArray[np.int64],
    day: npt.NDArray[np.int64],
    product: npt.NDArray[np.int64],
    asins: pl.Series,
) -> pl.DataFrame:
    viewed = np.flatnonzero(random.random(len(day)) < _VIEWED_FIRST)
    rows = np.concatenate([viewed, np.arange(len(day))])
    second = day[rows] * _DAY + random.integers(_DAY // 4, size=len(rows))
    second[len(viewed) :] += _DAY // 2
    return pl.DataFrame(
        {
            ReviewColumn.USER_ID: [f"C{number:05d}" for number in customer[rows].tolist()],
            ReviewColumn.ASIN: asins.gather(product[rows]),
            ReviewColumn.TIMESTAMP: _FIRST_DAY + second,
            ReviewColumn.EVENT: [VIEW] * len(viewed) + [ORDER] * len(day),
        }
    )
