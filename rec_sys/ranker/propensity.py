"""Who buys at all in the days to come: boosted trees on recency, frequency and baskets, learned on earlier windows.

A shop that may ask only so many users asks those who are likely to buy. What is learned is shifted back in time:
features before a window, and whether the user bought within it; the windows lie before the newest day, one after the
other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from rec_sys.contracts import MILLISECONDS_A_DAY, HistoryColumn, InputError
from rec_sys.ranker.boosting import library_of

_SPANS: Final = (1, 3, 7, 30)  # days whose events are counted
_WINDOWS: Final = 3  # earlier ones that are learned from
_OPTIONS: Final = {"objective": "binary", "num_leaves": 8, "learning_rate": 0.05, "min_data_in_leaf": 50}
_ROUNDS: Final = 100


@dataclass(frozen=True)
class Propensity:
    """How likely users buy: `user_id`, and `probability` in descending order; how well an unseen window was predicted.

    Attributes:
        auc: On the newest window whose outcome is known, learned on those before it; NaN where one window has no buyer.
    """

    users: pl.DataFrame
    auc: float


def rank_buyers(events: pl.DataFrame, kinds: Sequence[str], window_days: int, seed: int = 0) -> Propensity:
    """Orders users by how likely they are to buy in the window after the newest event.

    Args:
        events: `HistoryColumn.USER_ID`, `PRODUCT_INDEX`, `TIMESTAMP` (milliseconds) and `EVENT`, in any order.
        kinds: The kinds of events that are buying.
        window_days: Length of the window.
        seed: Of the trees.

    Raises:
        InputError: LightGBM is not installed, or the events span too few days to learn from.
    """
    library = library_of("lightgbm")
    events = events.with_columns(bought=pl.col(HistoryColumn.EVENT).is_in(kinds))
    window = window_days * MILLISECONDS_A_DAY
    times = events[HistoryColumn.TIMESTAMP].to_numpy()
    now = int(times.max(initial=0)) + 1
    cuts = [now - shift * window for shift in range(1, _WINDOWS + 1)]
    cuts = [cut for cut in cuts if cut > times.min(initial=now) + window]
    if len(cuts) < 2:
        raise InputError(
            f"the events span too few days to learn who buys within {window_days}",
            where="the bundle's histories",
            remedy="bring at least four times as many days, or name the users with users=FILE",
        )
    tables = [_with_outcome(events, cut, window) for cut in cuts]

    newest, bought = tables[0]
    auc = _auc(_learn(library, tables[1:], seed).predict(_matrix(newest)), bought)
    features = user_features(events, now)
    probability = pl.Series("probability", _learn(library, tables, seed).predict(_matrix(features)))
    users = features.select(HistoryColumn.USER_ID).with_columns(probability)
    return Propensity(users.sort("probability", HistoryColumn.USER_ID, descending=[True, False]), auc)


def user_features(events: pl.DataFrame, cut: int) -> pl.DataFrame:
    """What is known of each user before a moment: a row a user, ordered by id.

    Of each kind of event its number in the last days, the days since the newest, and products that were not bought
    since; then the days since the first event and the number of days with any. `events` has `bought` beside the columns
    that `rank_buyers` takes.
    """
    user, product, kind = HistoryColumn.USER_ID, HistoryColumn.PRODUCT_INDEX, HistoryColumn.EVENT
    age = (cut - pl.col(HistoryColumn.TIMESTAMP)) / MILLISECONDS_A_DAY
    before = events.filter(pl.col(HistoryColumn.TIMESTAMP) < cut).with_columns(age=age)
    bought = before.filter("bought").group_by(user, product).agg(pl.col("age").min().alias("bought_age"))
    opened = before.join(bought, on=[user, product], how="left").with_columns(
        is_open=pl.col("bought_age").is_null() | (pl.col("age") < pl.col("bought_age"))
    )
    facts: list[pl.Expr] = [
        pl.col("age").max().alias("first"),
        pl.col("age").floor().n_unique().cast(pl.Float64).alias("days"),
    ]
    for name in events[kind].unique().sort().to_list():
        of_kind = pl.col(kind) == name
        ages = pl.col("age").filter(of_kind)
        facts += [(ages < span).sum().cast(pl.Float64).alias(f"{name}_{span}") for span in _SPANS]
        facts.append(ages.min().alias(f"{name}_last"))
        recent = of_kind & pl.col("is_open") & (pl.col("age") < _SPANS[2])
        facts.append(pl.col(product).filter(recent).n_unique().cast(pl.Float64).alias(f"{name}_open"))
    return opened.group_by(user).agg(facts).sort(user)


def _learn(library: Any, windows: Sequence[tuple[pl.DataFrame, npt.NDArray[np.bool_]]], seed: int) -> Any:
    features = pl.concat([table for table, _ in windows])
    bought = np.concatenate([label for _, label in windows]).astype(np.float64)
    options = {**_OPTIONS, "seed": seed, "deterministic": True, "num_threads": 1, "verbosity": -1}
    return library.train(options, library.Dataset(_matrix(features), label=bought), _ROUNDS)


def _with_outcome(events: pl.DataFrame, cut: int, window: int) -> tuple[pl.DataFrame, npt.NDArray[np.bool_]]:
    within = pl.col(HistoryColumn.TIMESTAMP).is_between(cut, cut + window, closed="left")
    buyers = events.filter(within & pl.col("bought"))[HistoryColumn.USER_ID].unique()
    features = user_features(events, cut)
    return features, features[HistoryColumn.USER_ID].is_in(buyers.implode()).to_numpy()


def _matrix(features: pl.DataFrame) -> npt.NDArray[np.float64]:
    return features.drop(HistoryColumn.USER_ID).to_numpy().astype(np.float64)


def _auc(probability: npt.NDArray[np.float64], bought: npt.NDArray[np.bool_]) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(bought, probability)) if 0 < bought.sum() < len(bought) else float("nan")
