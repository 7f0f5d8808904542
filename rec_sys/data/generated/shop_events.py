"""A shop's events, as a hackathon on the next three days publishes them: four Parquet files and vectors.

Traps: titles are codes, products stand in lists that are mostly empty, an id means nothing, page ids are beyond 32
bits, and who is asked for is whoever buys at all.
"""

import uuid
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from rec_sys.data.generated.shop import IntArray, Schema, Shop

CATALOGUE: Final = "stokman_catalog_preprocessed.pq"
MAPPING: Final = "catalog_vector_mapping.pq"
VECTORS: Final = "vectors.npz"
ACTIONS: Final = "train_actions.pq"
NEXT_ACTIONS: Final = "test_actions.pq"
NOTHING: Final = "/*"

VIEW, LIKE, BASKET, REMOVE, CLEAR, ORDER, LISTED, PAGE, CATEGORY, SEARCH = range(10)

_DAYS, _NEXT_DAYS = 22, 3
_FIRST_DAY: Final = 1_733_011_200_000_000  # microseconds: 2024-12-01
_DAY: Final = 86_400_000_000
_WIDTH: Final = 64
_BASKETS: Final = 0.6  # share of interests that reach the basket
_LAG: Final = 1.0  # mean days from a basket to its order
_VISITS: Final = 3  # without a product, for each interest


def write_files(shop: Shop, folder: Path) -> None:
    """Writes the five files."""
    product_ids = [str(number) for number in shop.random.permutation(9_000_000)[: shop.products.height] + 100_000]
    _catalogue(shop, product_ids).write_parquet(folder / CATALOGUE)
    vector_of = shop.random.permutation(shop.products.height + 1)
    pl.DataFrame({"product_id": [*product_ids, NOTHING], "vector_id": vector_of}).write_parquet(folder / MAPPING)
    vectors = np.zeros((len(vector_of), _WIDTH), dtype=np.float32)
    vectors[vector_of[:-1]] = _word_vectors(shop)
    np.savez(folder / VECTORS, vectors)
    actions = _actions(shop, product_ids)
    cut = pl.lit(_FIRST_DAY + _DAYS * _DAY).cast(pl.Datetime("us"))
    actions.filter(pl.col("date") < cut).write_parquet(folder / ACTIONS)
    actions.filter(pl.col("date") >= cut).write_parquet(folder / NEXT_ACTIONS)


def _catalogue(shop: Shop, product_ids: list[str]) -> pl.DataFrame:
    words = shop.products["title"].str.split(" ")
    code = {word: str(shop.random.integers(1, 60_000)) for word in words.explode().unique(maintain_order=True)}
    kinds = shop.products["categories"].list.join("|").rank("dense") + 1000
    price = (shop.products["price"] * 100).cast(pl.Int32)
    number = shop.products.height + 1
    return pl.DataFrame(
        {
            "add_date": pl.Series(_FIRST_DAY - shop.random.integers(0, 400 * _DAY, number)).cast(pl.Datetime("us")),
            "shop_id": [str(one) for one in shop.random.integers(1, 60, number)],
            "product_id": [*product_ids, NOTHING],
            "category_id": [*kinds.cast(pl.Int64).cast(pl.String), NOTHING],
            "price": pl.concat([price, pl.Series([20], dtype=pl.Int32)]),
            "old_price": pl.concat([(price * 1.2).cast(pl.Int32), pl.Series([20], dtype=pl.Int32)]),
            "title": [*(" ".join(code[word] for word in one) for one in words), "6048"],
        }
    )


def _word_vectors(shop: Shop) -> npt.NDArray[np.float32]:
    """What an encoder would say of each product: the mean of a vector for each word of title and categories."""
    texts = [f"{title} {' '.join(path)}".split() for title, path in shop.products.select("title", "categories").rows()]
    vocabulary = {word: row for row, word in enumerate(dict.fromkeys(word for text in texts for word in text))}
    table = shop.random.normal(size=(len(vocabulary), _WIDTH))
    return np.array([table[[vocabulary[word] for word in text]].mean(axis=0) for text in texts], dtype=np.float32)


def _actions(shop: Shop, product_ids: list[str]) -> pl.DataFrame:
    """Each interest is a view; some reach the basket and, where the user is one who buys, the order."""
    random, number = shop.random, len(shop.user)
    buyer = random.beta(0.6, 1.2, shop.num_users)  # most people only look
    seen = shop.moment * (_DAYS + _NEXT_DAYS)
    basket = random.random(number) < _BASKETS
    order = basket & (random.random(number) < buyer[shop.user])
    put = seen + random.exponential(0.02, number)
    paid = put + random.exponential(_LAG, number)
    rows = np.arange(number)
    parts = [
        (rows, VIEW, seen),
        (rows[random.random(number) < 0.1], LIKE, seen + 0.001),
        (rows[basket], BASKET, put),
        (rows[basket & ~order & (random.random(number) < 0.3)], REMOVE, put + 0.05),
        (rows[basket & ~order & (random.random(number) < 0.1)], CLEAR, put + 0.06),
        (rows[order], ORDER, paid),
        (rows[random.random(number) < 0.02], LISTED, put + 0.01),
        *((rows, PAGE + visit, seen - 0.01 * (visit + 1)) for visit in range(_VISITS)),
    ]
    row = np.concatenate([which for which, _, _ in parts])
    kind = np.concatenate([np.full(len(which), action) for which, action, _ in parts])
    day = np.concatenate([when[which] if len(when) == number else when for which, _, when in parts])
    table = _listed(shop, product_ids, row, kind, day)
    return table.filter(pl.col("day").is_between(0, _DAYS + _NEXT_DAYS, closed="left")).sort("date").drop("day")


def _listed(
    shop: Shop, product_ids: list[str], row: IntArray, kind: IntArray, day: npt.NDArray[np.float64]
) -> pl.DataFrame:
    """Products as lists: empty where an action is of none, now and then the id that means nothing."""
    random = shop.random
    names = [str(uuid.UUID(bytes=random.bytes(16), version=4)) for _ in range(2 * shop.num_users)]
    products = pl.Series(product_ids).gather(shop.product[row]).to_frame("product").select(pl.concat_list("product"))
    nothing = random.random(len(row)) < 0.002
    listed = (
        pl.when(pl.Series(kind).is_in([CLEAR, PAGE, CATEGORY, SEARCH]))
        .then(pl.lit([], dtype=pl.List(pl.String)))
        .when(pl.Series(nothing))
        .then(pl.lit([NOTHING]))
        .otherwise(pl.col("product"))
    )
    when = pl.Series(_FIRST_DAY + (day * _DAY).astype(np.int64)).cast(pl.Datetime("us"))
    user = shop.user[row]
    return pl.DataFrame(
        {
            "user_id": pl.Series(names).gather(user),
            "loc_user_id": pl.Series(names).gather(user + shop.num_users),
            "action": kind,
            "date": when,
            "products": products.select(listed.alias("products")).to_series(),
            "pageId": random.integers(2**31, 2**33, len(row)),
            "day": day,
        }
    )


SCHEMA: Final = Schema(write_files, users=5_000, products=800, purchases=60_000, repeat_share=0.05)
