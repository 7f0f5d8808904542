"""What the report's tables show: columns of figures, each with its own way to write them."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from rec_sys.experiments.benchmark.row_contract import DAILY, GLOBAL_TIME
from rec_sys.experiments.report.view import Model

_LOWER_IS_BETTER: Final = ("rmse", "mae")
_NAMES: Final = {
    **{name: name.upper() for name in ("ndcg", "mrr", "map", "rmse", "mae", "auc", "f1")},
    "warm_products": "products of the train split",
    "cold_products": "new products",
    "cold_users": "cold-start users",
}

_WHEN: Final = {GLOBAL_TIME: "global time", DAILY: "day by day"}


@dataclass(frozen=True)
class Column:
    """A figure of every model that has it, and its standard error, by the model's name; `write` makes it a text.

    The head has a second line, `note`. The value `best` is marked. A cost stands quietly, without a bar.
    """

    head: str
    note: str
    values: dict[str, float]
    write: Callable[[float], str]
    errors: dict[str, float] = field(default_factory=dict)
    best: float | None = None
    is_cost: bool = False

    def share(self, value: float) -> float:
        """The length of a value's bar."""
        largest = max(self.values.values())
        return max(0.0, value / largest) if largest > 0 else 0.0


def metric_columns(models: Sequence[Model], names: Sequence[str]) -> list[Column]:
    """The metrics by their keys; those that no model has are left out."""
    columns = []
    for name in names:
        values = {model.name: model.metrics[name] for model in models if name in model.metrics}
        if not values:
            continue
        errors = {model.name: model.errors[name] for model in models if name in model.errors}
        head, _, note = readable(name).partition(", ")
        best = min if name in _LOWER_IS_BETTER else max
        marked = None if name.startswith("popularity") else best(values.values())
        columns.append(Column(head, note, values, _writer(values.values()), errors, marked))
    return columns


def cost_columns(models: Sequence[Model]) -> list[Column]:
    """Time, memory and size."""
    columns = []
    for key, head, note, write in (
        ("fit_seconds", "fit", "", _seconds),
        ("fit_cpu_seconds", "fit", "processors", _seconds),
        ("recommend_seconds", "answer", "", _seconds),
        ("peak_memory_mb", "peak", "memory", lambda value: f"{value:,.0f} MB"),
        ("parameters", "param-", "eters", _count),
    ):
        values = {model.name: mean for model in models if (mean := model.mean_of(key)) is not None}
        columns.append(Column(head, note, values, write, is_cost=True))
    return columns


def segment_columns(models: Sequence[Model], metric: str) -> list[Column]:
    """The metric for products of the train split, new products and cold-start users apart."""
    columns = []
    for key in ("warm_products", "cold_products", "cold_users"):
        found = {
            model.name: [row[key] for row in model.rows if metric in row.get(key, {})]
            for model in models
            if any(metric in row.get(key, {}) for row in model.rows)
        }
        if not found:
            continue
        values = {name: sum(one[metric] for one in rows) / len(rows) for name, rows in found.items()}
        number = next(iter(found.values()))[0]["num_queries"]
        columns.append(Column(_NAMES[key], f"{number:,.0f} test queries", values, _writer(values.values())))
    return columns


def readable(name: str) -> str:
    """`ndcg_at_10_masked` as NDCG@10, masked; `daily_ndcg_at_10_masked` as NDCG@10, masked, day by day."""
    for prefix, when in _WHEN.items():
        if name.startswith(prefix):
            return f"{readable(name.removeprefix(prefix))}, {when}"
    base, _, k = name.removesuffix("_masked").partition("_at_")
    label = _NAMES.get(base, base.replace("_", " ").capitalize()) + (f"@{k}" if k else "")
    return f"{label}, masked" if name.endswith("_masked") else label


def _writer(values: Iterable[float]) -> Callable[[float], str]:
    """As many decimals as a column takes: four, fewer for large figures, for tiny ones three that are not zero."""
    largest = max(map(abs, values))
    decimals = 1 if largest >= 10 else 4 if largest >= 0.01 or largest == 0 else 2 - math.floor(math.log10(largest))
    return lambda value: f"{value:,.{decimals}f}"


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 120 else f"{value / 60:.1f} min"


def _count(value: float) -> str:
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {letter}"
    return f"{value:.0f}"
