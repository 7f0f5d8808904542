"""Some users of the test part: what they reviewed, what each model offers them, and what they reviewed next."""

from collections.abc import Sequence
from html import escape
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from rec_sys.contracts import ProductColumn
from rec_sys.data.dataset import PreparedDataset
from rec_sys.data.interactions import list_user_ids
from rec_sys.data.splits import Queries
from rec_sys.evaluation.ranks import NO_PRODUCT
from rec_sys.evaluation.segments import HISTORY_BOUNDS
from rec_sys.experiments.benchmark.evaluation_data import EvaluationData
from rec_sys.experiments.report.view import Model

_HISTORY_SHOWN: Final = 8
_LIST_SHOWN: Final = 5
_MODELS_SHOWN: Final = 6


def user_cards(models: Sequence[Model], evaluation_data: EvaluationData, number: int, seed: int) -> str:
    """A card a user.

    Args:
        models: Best first; those without lists are left out, and popularity stands last.
        evaluation_data: Whose test questions were asked.
        number: Users to show.
        seed: Chooses them.
    """
    shown = _choose_models(models)
    if not shown or not number:
        return ""
    names = product_names(evaluation_data.dataset)
    users = list_user_ids(evaluation_data.dataset.reviews())
    queries = evaluation_data.split.test
    return "".join(
        _card(int(row), queries, users[int(queries.user_index[row])], names, shown)
        for row in choose_queries(queries, number, seed)
    )


def choose_queries(queries: Queries, number: int, seed: int) -> npt.NDArray[np.int64]:
    """Questions drawn from all lengths of history in turn, shortest first."""
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
    """Each product's title, or its id where it has none."""
    asin, title = pl.col(ProductColumn.ASIN), pl.col(ProductColumn.TITLE)
    return dataset.products().select(pl.coalesce(title, asin)).to_series().to_list()


def _choose_models(models: Sequence[Model]) -> list[Model]:
    able = [model for model in models if model.queries is not None and "top_products" in model.queries.columns]
    own = [model for model in able if model.is_own]
    popular = [model for model in able if model.name == "popular"]
    others = [model for model in able if not model.is_own and model.name not in ("popular", "random")]
    return [*own, *others[: _MODELS_SHOWN - len(own) - len(popular)], *popular]


def _card(row: int, queries: Queries, user_id: str, names: list[str], models: list[Model]) -> str:
    history = queries.history_products[slice(*queries.history_offsets[row : row + 2])][::-1]
    targets = set(queries.target_products[slice(*queries.target_offsets[row : row + 2])].tolist())
    read = "".join(f"<li>{escape(names[product])}</li>" for product in history[:_HISTORY_SHOWN])
    more = f"<li class=more>and {len(history) - _HISTORY_SHOWN} more</li>" if len(history) > _HISTORY_SHOWN else ""
    wanted = "".join(f"<li class=hit>{escape(names[product])}</li>" for product in sorted(targets))
    lists = "".join(_offered(model, row, targets, names) for model in models)
    return (
        f"<article class=user><h3>{escape(user_id)}<small>{len(history)} reviews before</small></h3>"
        f"<div class=lists><section><h4>reviewed, newest first</h4><ul>{read}{more}</ul>"
        f"<h4>reviewed next</h4><ul>{wanted}</ul></section>{lists}</div></article>"
    )


def _offered(model: Model, row: int, targets: set[int], names: list[str]) -> str:
    assert model.queries is not None
    products = [product for product in model.queries["top_products"][row].to_list() if product != NO_PRODUCT]
    items = "".join(
        f'<li class="{"hit" if product in targets else ""}">{escape(names[product])}</li>'
        for product in products[:_LIST_SHOWN]
    )
    deeper = next((place for place, product in enumerate(products, start=1) if product in targets), None)
    note = f"<li class=more>the next one stands at {deeper}</li>" if deeper and deeper > _LIST_SHOWN else ""
    kind = ' class="own"' if model.is_own else ""
    chip = f'<i style="background:{model.colour}"></i>'
    return f"<section{kind}><h4>{chip}{escape(model.name)}</h4><ol>{items}{note}</ol></section>"
