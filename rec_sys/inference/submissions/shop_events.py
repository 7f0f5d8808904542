"""The file of the shop of events: 25 products for the 3,000 users who are most likely to buy in the next three days."""

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from rec_sys.contracts import HistoryColumn, InputError
from rec_sys.inference.served_bundle import ServedBundle
from rec_sys.inference.submissions.contract import Lists, SubmissionFormat
from rec_sys.inference.submissions.truth import read_truth, recall
from rec_sys.ranker.propensity import rank_buyers

_LOG: Final = logging.getLogger(__name__)

PRODUCTS: Final = 25
MOST_USERS: Final = 3_000
WINDOW_DAYS: Final = 3
BASKET: Final = "2"
_FIELD: Final = re.compile(r"\['[^']+'(, '[^']+')*\]")


def write_products(products: Sequence[str]) -> str:
    """Texts in a list, as Python prints them.

    >>> write_products(["5168833", "1806876"])
    "['5168833', '1806876']"
    """
    return str(list(products))


def read_products(field: str) -> list[str]:
    """The same backwards.

    Raises:
        ValueError: It is not written so.
    """
    if not _FIELD.fullmatch(field):
        raise ValueError(f"{field[:40]!r} is no list of texts such as ['1', '2']")
    return field[2:-2].split("', '")


def likely_buyers(served: ServedBundle) -> list[str]:
    """The users to ask for, those first who are most likely to buy.

    Raises:
        InputError: The bundle knows no kinds of events, or LightGBM is not installed.
    """
    events = _events(served)
    ranked = rank_buyers(events, served.target_events, WINDOW_DAYS)
    _LOG.info(f"who buys: AUC {ranked.auc:.4f} on the newest {WINDOW_DAYS} days, learned on those before")
    return ranked.users[HistoryColumn.USER_ID].head(MOST_USERS).to_list()


def last_baskets(served: ServedBundle) -> dict[str, list[str]]:
    """What users put into the basket last and have not ordered since, newest first, of whoever did so last."""
    events = _events(served).with_columns(bought=pl.col(HistoryColumn.EVENT).is_in(served.target_events))
    newest = events.filter(pl.col("bought") | (pl.col(HistoryColumn.EVENT) == BASKET)).sort(
        HistoryColumn.TIMESTAMP, maintain_order=True
    )
    newest = newest.unique([HistoryColumn.USER_ID, HistoryColumn.PRODUCT_INDEX], keep="last", maintain_order=True)
    waiting = newest.filter(~pl.col("bought")).reverse()
    lists: dict[str, list[str]] = {}
    for user, product in waiting.select(HistoryColumn.USER_ID, HistoryColumn.PRODUCT_INDEX).rows():
        lists.setdefault(user, []).append(served.asins[product])
    return {user: products[:PRODUCTS] for user, products in list(lists.items())[:MOST_USERS]}


def recall_of(lists: Lists, bought: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Recall@25 in both of its readings, over users who bought something.

    The task's text counts a buyer who is not in the file as 0; the organisers' notebook looks at buyers in the file
    alone.

    >>> recall_of({"a": ["1", "2"], "b": ["9"]}, {"a": ["1", "3"], "c": ["2"]})
    {'recall_at_25_of_all_buyers': 0.25, 'recall_at_25_of_buyers_listed': 0.5, 'buyers_listed': 0.5}
    """
    of_listed, listed = recall(lists, bought, PRODUCTS), len(bought.keys() & lists.keys()) / max(len(bought), 1)
    return {
        "recall_at_25_of_all_buyers": of_listed * listed,
        "recall_at_25_of_buyers_listed": of_listed,
        "buyers_listed": listed,
    }


def measure(lists: Lists, truth: Path, served: ServedBundle) -> dict[str, dict[str, float]]:
    """The model beside what users have in their baskets and what most have bought, each with both choices of users."""
    bought = read_truth(truth, served)
    baskets = last_baskets(served)
    popular = [served.asins[product] for product in served.by_popularity[:PRODUCTS].tolist()]
    return {
        "model, likely buyers": recall_of(lists, bought),
        "last baskets, likely buyers": recall_of({user: baskets.get(user, []) for user in lists}, bought),
        "last baskets, newest baskets": recall_of(baskets, bought),
        "popular, likely buyers": recall_of(dict.fromkeys(lists, popular), bought),
    }


def _events(served: ServedBundle) -> pl.DataFrame:
    histories = served.bundle.histories()
    if HistoryColumn.EVENT not in histories.columns or not served.target_events:
        raise InputError(
            "the bundle does not know which events are orders",
            where=str(served.bundle.folder),
            remedy="train with data=shop_events experiment=shop_events",
        )
    return histories


FORMAT: Final = SubmissionFormat(
    ("user_id", "products"),
    products=PRODUCTS,
    write=write_products,
    read=read_products,
    is_full=False,
    most_users=MOST_USERS,
    users=likely_buyers,
    measure=measure,
)
