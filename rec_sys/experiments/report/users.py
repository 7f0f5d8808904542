"""Some users of the test split: what they reviewed, what each model recommends, and what they reviewed next."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from rec_sys.contracts import ProductColumn
from rec_sys.data.dataset import PreparedDataset
from rec_sys.data.interactions import list_user_ids
from rec_sys.data.queries import Queries
from rec_sys.evaluation.ranks import NO_PRODUCT
from rec_sys.evaluation.segments import HISTORY_BOUNDS
from rec_sys.experiments.benchmark.evaluation_data import EvaluationData
from rec_sys.experiments.report.view import Model
from rec_sys.raw_files.listing import first_of

_LOG: Final = logging.getLogger(__name__)

_LIST_SHOWN: Final = 5
_MODELS_SHOWN: Final = 6
_CATEGORIES_SHOWN: Final = 2


@dataclass(frozen=True)
class RecommendedList:
    """What one model recommends to a user: titles, best first, each with whether the user reviewed it next.

    `deeper` is the rank of the first product that was reviewed next where it stands below these, else None.
    """

    model: Model
    products: list[tuple[str, bool]]
    deeper: int | None


@dataclass(frozen=True)
class UserCard:
    """A user of the test split: titles of what they reviewed before, newest first, and next; one list a model."""

    user_id: str
    history: list[str]
    targets: list[str]
    lists: list[RecommendedList]


def user_cards(
    models: Sequence[Model], evaluation_data: EvaluationData, number: int, seed: int, given: Sequence[str] = ()
) -> list[UserCard]:
    """The cards of the users given, then of others, shortest history first.

    Models come best first; those without lists are left out, as is whoever the test split does not ask for.
    """
    shown = _choose_models(models)
    if not shown or not (number or given):
        return []
    names = product_names(evaluation_data.dataset)
    users = list_user_ids(evaluation_data.dataset.scan_reviews())
    queries = evaluation_data.split.test
    asked = {users[user]: row for row, user in reversed(list(enumerate(queries.user_index.tolist())))}
    if missing := [user for user in given if user not in asked]:
        _LOG.warning(f"report: the test split does not ask for {first_of(missing)}")
    wanted = [asked[user] for user in given if user in asked]
    others = choose_queries(queries, number, seed).tolist() if number else []
    cards = []
    for row in dict.fromkeys([*wanted, *others]):
        history = queries.history_products[slice(*queries.history_offsets[row : row + 2])][::-1]
        targets = queries.target_products[slice(*queries.target_offsets[row : row + 2])].tolist()
        cards.append(
            UserCard(
                user_id=users[int(queries.user_index[row])],
                history=[names[product] for product in history],
                targets=[names[product] for product in sorted(set(targets))],
                lists=[_recommended(model, row, set(targets), names) for model in shown],
            )
        )
    return cards


def choose_queries(queries: Queries, number: int, seed: int) -> npt.NDArray[np.int64]:
    """Queries drawn from all lengths of history in turn, shortest first."""
    lengths = np.diff(queries.history_offsets)
    band = np.searchsorted(HISTORY_BOUNDS, lengths, side="right")
    order = np.random.default_rng(seed).permutation(len(queries))
    place = np.empty(len(queries), dtype=np.int64)  # within its band
    for one in np.unique(band):
        members = order[band[order] == one]
        place[members] = np.arange(len(members))
    chosen = np.lexsort((band, place))[:number]
    by_length: npt.NDArray[np.int64] = chosen[np.argsort(lengths[chosen], kind="stable")]
    return by_length


def product_names(dataset: PreparedDataset) -> list[str]:
    """Each product's title, or its id where it has none; its narrowest categories, and how many reviews it has."""
    asin, title = pl.col(ProductColumn.ASIN), pl.col(ProductColumn.TITLE)
    categories = pl.col(ProductColumn.CATEGORIES).list.tail(_CATEGORIES_SHOWN).list.join(", ")
    parts = (
        pl.coalesce(title, asin),
        pl.when(categories != "").then(categories),
        pl.format("{} reviews", ProductColumn.REVIEW_COUNT),
    )
    return dataset.products().select(pl.concat_str(parts, separator=" · ", ignore_nulls=True)).to_series().to_list()


def _choose_models(models: Sequence[Model]) -> list[Model]:
    able = [model for model in models if model.queries is not None and "top_products" in model.queries.columns]
    own = [model for model in able if model.is_own]
    popular = [model for model in able if model.name == "popular"]
    others = [model for model in able if not model.is_own and model.name not in ("popular", "random")]
    return [*own, *others[: _MODELS_SHOWN - len(own) - len(popular)], *popular]


def _recommended(model: Model, row: int, targets: set[int], names: list[str]) -> RecommendedList:
    assert model.queries is not None
    products = [product for product in model.queries["top_products"][row].to_list() if product != NO_PRODUCT]
    rank = next((rank for rank, product in enumerate(products, start=1) if product in targets), None)
    shown = [(names[product], product in targets) for product in products[:_LIST_SHOWN]]
    return RecommendedList(model, shown, rank if rank is not None and rank > _LIST_SHOWN else None)
