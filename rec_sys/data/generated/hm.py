"""A clothes shop's purchases, as a contest on the next seven days publishes them: transactions, customers, articles.

Traps: article ids begin with a zero, days are the finest time, equal rows are a quantity, customers lack most of what
could be known of them, some bought nothing yet, and an article is a colour of a product.

Age goes with taste: each style that people like has a usual age, and six tenths of a customer's distance from the mean
age are their style's. Club, news and the rest are drawn by chance and say nothing of what is bought.
"""

import hashlib
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from rec_sys.data.generated.shop import IntArray, Schema, Shop

TRANSACTIONS: Final = "transactions_train.csv"
NEXT_TRANSACTIONS: Final = "transactions_next.csv"
CUSTOMERS: Final = "customers.csv"
ARTICLES: Final = "articles.csv"

_DAYS, _NEXT_DAYS = 180, 7
_FIRST_DAY: Final = 18_344  # days since 1970: 2020-03-23
_MOST_COLOURS: Final = 4
_OWN_COLOUR: Final = 0.6  # share of purchases in the colour that the customer prefers
_SEVERAL: Final = 0.09  # share of the rows that stand there again, as in the files
_OF_STYLE: Final = 0.6  # correlation of a customer's age with their style's usual age
_SILENT: Final = 0.05  # share of customers who have bought nothing
_COLOURS: Final = ("Black", "White", "Light Blue", "Red")


def write_files(shop: Shop, folder: Path) -> None:
    """Writes the three files, and what was bought in the week after."""
    random = shop.random
    colours = random.integers(1, _MOST_COLOURS + 1, shop.products.height)
    first = np.concatenate([[0], np.cumsum(colours)])  # of a product's articles
    article_ids = [
        f"0{108_775 + 37 * product:06}{colour + 1:03}"
        for product, n in enumerate(colours.tolist())
        for colour in range(n)
    ]
    silent = int(shop.num_users * _SILENT)
    ids = [hashlib.sha256(f"customer {one}".encode()).hexdigest() for one in range(shop.num_users + silent)]
    favourite = random.integers(_MOST_COLOURS, size=shop.num_users)[shop.user]
    drawn = np.where(random.random(len(shop.user)) < _OWN_COLOUR, favourite, random.integers(99, size=len(shop.user)))
    article = first[shop.product] + drawn % colours[shop.product]
    bought = _transactions(shop, article, article_ids, ids)
    cut = pl.lit(_FIRST_DAY + _DAYS).cast(pl.Date)
    bought.filter(pl.col("t_dat") < cut).write_csv(folder / TRANSACTIONS)
    bought.filter(pl.col("t_dat") >= cut).write_csv(folder / NEXT_TRANSACTIONS)
    _customers(shop, ids).write_csv(folder / CUSTOMERS)
    _articles(shop, np.repeat(np.arange(shop.products.height), colours), article_ids).write_csv(folder / ARTICLES)


def _transactions(shop: Shop, article: IntArray, article_ids: list[str], ids: list[str]) -> pl.DataFrame:
    random = shop.random
    price = np.round(0.0008 + 0.05 * (shop.products["price"] / shop.products["price"].max()).to_numpy(), 6)
    days = _FIRST_DAY + np.floor(shop.moment * (_DAYS + _NEXT_DAYS)).astype(np.int32)
    rows = pl.DataFrame(
        {
            "t_dat": pl.Series(days).cast(pl.Date),
            "customer_id": [ids[user] for user in shop.user.tolist()],
            "article_id": [article_ids[one] for one in article.tolist()],
            "price": price[shop.product],
            "sales_channel_id": random.integers(1, 3, len(days)),
        }
    )
    again = rows.filter(pl.Series(random.random(len(days)) < _SEVERAL))
    return pl.concat([rows, again]).sort("t_dat", maintain_order=True)


def _customers(shop: Shop, ids: list[str]) -> pl.DataFrame:
    random, number = shop.random, len(ids)
    own, usual = random.normal(size=number), np.zeros(number)
    usual[: shop.num_users] = (shop.style - shop.style.mean()) / shop.style.std()
    share = np.where(np.arange(number) < shop.num_users, _OF_STYLE, 0.0)  # those who bought nothing yet are of any
    ages = np.clip(36 + 14 * (share * usual + np.sqrt(1 - share**2) * own), 16, 99).round()
    one = pl.Series(np.ones(number))
    return pl.DataFrame(
        {
            "customer_id": ids,
            "FN": one.set(pl.Series(random.random(number) < 0.65), None),
            "Active": one.set(pl.Series(random.random(number) < 0.66), None),
            "club_member_status": random.choice(["ACTIVE", "PRE-CREATE", "LEFT CLUB"], number, p=[0.93, 0.06, 0.01]),
            "fashion_news_frequency": [
                (None, "NONE", "Regularly", "Monthly")[at]
                for at in random.choice(4, number, p=[0.01, 0.64, 0.34, 0.01])
            ],
            "age": pl.Series(ages).set(pl.Series(random.random(number) < 0.01), None).cast(pl.Int64),
            "postal_code": [hashlib.sha256(one.encode()).hexdigest() for one in ids],
        }
    )


def _articles(shop: Shop, product: IntArray, article_ids: list[str]) -> pl.DataFrame:
    """The 25 columns of the published table."""
    facts, kinds = shop.products, shop.products["categories"]
    last, widest = kinds.list.last(), kinds.list.get(1, null_on_oob=True).fill_null("Garment")
    colour = pl.Series([int(one[-3:]) - 1 for one in article_ids])
    named = pl.Series([_COLOURS[one] for one in colour.to_list()])

    def of(column: pl.Series) -> pl.Series:
        return column.gather(product)

    def code(column: pl.Series, start: int) -> pl.Series:
        return of(column.rank("dense").cast(pl.Int64) + start)

    described = of(facts["description"]).set(pl.Series(shop.random.random(len(product)) < 0.01), None)
    return pl.DataFrame(
        {
            "article_id": article_ids,
            "product_code": [one[:7] for one in article_ids],
            "prod_name": of(facts["title"]),
            "product_type_no": code(last, 250),
            "product_type_name": of(last),
            "product_group_name": of(widest),
            "graphical_appearance_no": 1_010_016,
            "graphical_appearance_name": "Solid",
            "colour_group_code": colour + 9,
            "colour_group_name": named,
            "perceived_colour_value_id": colour + 1,
            "perceived_colour_value_name": named,
            "perceived_colour_master_id": colour + 5,
            "perceived_colour_master_name": named,
            "department_no": code(facts["brand"], 1_600),
            "department_name": of(facts["brand"]),
            "index_code": "A",
            "index_name": "Ladieswear",
            "index_group_no": 1,
            "index_group_name": "Ladieswear",
            "section_no": code(widest, 10),
            "section_name": of(widest),
            "garment_group_no": code(widest, 1_000),
            "garment_group_name": of(widest),
            "detail_desc": described,
        }
    )


SCHEMA: Final = Schema(write_files, users=4_000, products=240, purchases=48_000, repeat_share=0.25)
