"""The rows as the report shows them: one model a line, time folds averaged, best first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from rec_sys.experiments.benchmark.results import FinishedRow
from rec_sys.experiments.benchmark.settings import OWN_MODEL, is_own_model

# Distinguishable for those who see few colours, too (Okabe and Ito 2008), then lighter relatives.
_COLOURS: Final = ("#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#8c6d31", "#5f9e6e", "#b5607a")
_OWN_COLOUR: Final = "#d5431e"
_REST_COLOUR: Final = "#a9b0b8"
_LINES_SHOWN: Final = 9  # more colours are not distinguishable


@dataclass(frozen=True)
class Model:
    """One model of a view: its finished rows, one for each fold, and means over the folds with their standard errors.

    `queries` has the values query by query of the newest fold; None where the model gave none.
    """

    name: str
    rows: tuple[dict[str, Any], ...]
    metrics: dict[str, float]
    errors: dict[str, float]
    colour: str
    queries: pl.DataFrame | None = None

    @property
    def is_own(self) -> bool:
        """Whether this is our model."""
        return self.name == OWN_MODEL

    def mean_of(self, key: str) -> float | None:
        """The mean of a figure beside the metrics, such as `fit_seconds`; None where it is not known."""
        values = [row[key] for row in self.rows if row.get(key) is not None]
        return float(np.mean(values)) if values else None


@dataclass(frozen=True)
class View:
    """What was fitted on the same splits of the data.

    Attributes:
        fit_on: Those splits.
        metric: The metric that sorts the ranking models.
        ranking: Models that rank products, best first.
        rating: Models that predict stars, best first.
        missing: Rows that were skipped or failed.
        comparisons: Of `metric`, as `results.compare_rows` gives them, of the newest fold, largest difference first.
    """

    fit_on: str
    metric: str
    ranking: tuple[Model, ...]
    rating: tuple[Model, ...]
    missing: tuple[dict[str, Any], ...]
    comparisons: tuple[dict[str, Any], ...]

    @property
    def models(self) -> list[Model]:
        """All models, each once."""
        return list({model.name: model for model in (*self.ranking, *self.rating)}.values())

    @property
    def has_folds(self) -> bool:
        """Whether there are several time windows."""
        return any("fold" in row for model in self.models for row in model.rows)

    @property
    def own(self) -> Model | None:
        """Our model, where it ranks."""
        return next((model for model in self.ranking if model.is_own), None)

    @property
    def drawn(self) -> list[Model]:
        """The models that get a line in the charts: the best, our own and popularity."""
        others = [model for model in self.ranking if model.name != "popular" and not is_own_model(model.name)]
        best = others[: _LINES_SHOWN - 2]
        names = {model.name for model in best} | {OWN_MODEL, "popular"}
        return [model for model in self.ranking if model.name in names]


def make_views(finished: Sequence[FinishedRow], compared: Sequence[dict[str, Any]], k: int) -> list[View]:
    """One view for each set of splits that models were fitted on, in the order of the rows."""
    metric = f"ndcg_at_{k}_masked"
    colours = _assign_colours(finished, metric)
    views = []
    for fit_on in dict.fromkeys(one.row["fit_on"] for one in finished):
        here = [one for one in finished if one.row["fit_on"] == fit_on]
        done = [one for one in here if one.row["status"] == "done"]
        models = [
            _model(name, [one for one in done if one.row["model"] == name], colours[name])
            for name in dict.fromkeys(one.row["model"] for one in done)
        ]
        ranking = [model for model in models if metric in model.metrics]
        rating = [model for model in models if "rmse" in model.metrics]
        views.append(
            View(
                fit_on=fit_on,
                metric=metric,
                ranking=tuple(sorted(ranking, key=lambda model: -model.metrics[metric])),
                rating=tuple(sorted(rating, key=lambda model: model.metrics["rmse"])),
                missing=tuple(one.row for one in here if one.row["status"] != "done"),
                comparisons=_comparisons([one for one in compared if one["fit_on"] == fit_on], metric),
            )
        )
    return views


def _model(name: str, folds: list[FinishedRow], colour: str) -> Model:
    rows = tuple(one.row for one in folds)
    names = [key for key in rows[0]["metrics"] if all(key in row["metrics"] for row in rows)]
    metrics = {key: float(np.mean([row["metrics"][key] for row in rows])) for key in names}
    errors = {
        key: float(np.sqrt(np.sum([row["standard_error"][key] ** 2 for row in rows])) / len(rows))
        for key in names
        if all(key in row["standard_error"] for row in rows)
    }
    return Model(name, rows, metrics, errors, colour, folds[-1].queries)


def _comparisons(compared: list[dict[str, Any]], metric: str) -> tuple[dict[str, Any], ...]:
    newest = max((one["fold"] for one in compared if "fold" in one), default=None)
    shown = [one for one in compared if one["metric"] == metric and one.get("fold") == newest]
    return tuple(sorted(shown, key=lambda one: -one["difference"]))


def _assign_colours(finished: Sequence[FinishedRow], metric: str) -> dict[str, str]:
    """The best models get colours of their own, the same in every view; the others share a grey."""
    best: dict[str, float] = {}
    for one in finished:
        value = one.row["metrics"].get(metric, -1.0) if one.row["status"] == "done" else -1.0
        best[one.row["model"]] = max(best.get(one.row["model"], -1.0), value)
    others = sorted((name for name in best if not is_own_model(name)), key=lambda name: -best[name])
    # Popularity is what everything is held against, however low it stands.
    if "popular" in others[len(_COLOURS) :]:
        others.remove("popular")
        others.insert(len(_COLOURS) - 1, "popular")
    colours = dict.fromkeys(best, _REST_COLOUR) | dict(zip(others, _COLOURS, strict=False))
    return colours | {name: _OWN_COLOUR for name in best if is_own_model(name)}
