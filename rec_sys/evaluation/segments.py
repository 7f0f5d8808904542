"""Where a model is good: the same figures for short and long histories, for rare, common and unseen products."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from rec_sys.evaluation.ranking import metrics_of_targets
from rec_sys.evaluation.uncertainty import standard_error_of_mean

HISTORY_BOUNDS: Final = (1, 3, 5, 10, 20)  # reviews; the first band is 1 to 2, the last 20 and more
POPULARITY_BOUNDS: Final = (0, 1, 5, 20, 100)  # train reviews; the first band, 0, are the cold products
SHOWN: Final = ("recall", "ndcg")


def by_history_length(
    per_query: pl.DataFrame, lengths: npt.NDArray[np.integer], k: int
) -> list[dict[str, float | str]]:
    """The figures of queries whose histories are equally long: `lengths` `[num_queries]` counts their reviews."""
    names = [f"{name}_at_{k}{suffix}" for name in SHOWN for suffix in ("", "_masked")]
    band = np.searchsorted(HISTORY_BOUNDS, lengths, side="right") - 1
    return [
        _describe(label, per_query.filter(pl.Series(band == number)).select(names))
        for number, label in enumerate(_labels(HISTORY_BOUNDS))
        if (band == number).any()
    ]


def by_product_popularity(
    targets: pl.DataFrame, train_counts: npt.NDArray[np.integer], k: int
) -> list[dict[str, float | str]]:
    """The figures of targets that are equally popular; a query counts in every band that a target of it is in."""
    reviews = train_counts[targets["product_index"].to_numpy()]
    band = np.searchsorted(POPULARITY_BOUNDS, reviews, side="right") - 1
    return [
        _describe(label, _measured(targets.filter(pl.Series(band == number)), (k,)))
        for number, label in enumerate(_labels(POPULARITY_BOUNDS))
        if (band == number).any()
    ]


def warm_and_cold(
    targets: pl.DataFrame, train_counts: npt.NDArray[np.integer], ks: Sequence[int]
) -> dict[str, dict[str, float | str]]:
    """All figures for products that stand in the train split (`warm_products`) and for those that do not."""
    cold = pl.Series(train_counts[targets["product_index"].to_numpy()] == 0)
    parts = {"warm_products": targets.filter(~cold), "cold_products": targets.filter(cold)}
    return {name: _describe(name, _measured(part, ks)) for name, part in parts.items() if part.height}


def _measured(targets: pl.DataFrame, ks: Sequence[int]) -> pl.DataFrame:
    found = metrics_of_targets(targets, ks)
    return found.select(name for name in found.columns if name.startswith(SHOWN))


def _describe(label: str, per_query: pl.DataFrame) -> dict[str, float | str]:
    found: dict[str, float | str] = {"label": label, "num_queries": float(per_query.height)}
    for name in per_query.columns:
        values = per_query[name].to_numpy()
        found[name] = float(values.mean())
        error = standard_error_of_mean(values)
        if np.isfinite(error):
            found[f"{name}_error"] = error
    return found


def _labels(bounds: Sequence[int]) -> list[str]:
    last = [following - 1 for following in bounds[1:]]
    ranges = [f"{low}" if low == high else f"{low} to {high}" for low, high in zip(bounds, last, strict=False)]
    return [*ranges, f"{bounds[-1]} and more"]
