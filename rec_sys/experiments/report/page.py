"""Puts the report together: one HTML file that needs no network and no other file."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from rec_sys.data.dataset import PreparedDataset
from rec_sys.experiments.benchmark.evaluation_data import build_evaluation_data
from rec_sys.experiments.benchmark.results import FinishedRow, fallback_notes, time_columns
from rec_sys.experiments.benchmark.settings import BenchmarkSettings
from rec_sys.experiments.report.charts import intervals, lines, scatter
from rec_sys.experiments.report.tables import cost_columns, metric_columns, readable, segment_columns
from rec_sys.experiments.report.users import UserCard, user_cards
from rec_sys.experiments.report.view import View, make_views
from rec_sys.files import atomic_file
from rec_sys.settings import EvaluationSettings

_FASTEST: Final = 1e-3  # seconds; what is quicker stands here on the logarithmic axis
_RATING: Final = ("rmse", "mae", "auc", "balanced_accuracy", "f1", "accuracy", "rank_correlation")
_BEYOND: Final = ("coverage", "novelty", "serendipity", "diversity", "popularity")
_PROTOCOLS: Final = {
    "leave_last_out": "each user's last review is asked for, the one before it validates",
    "user_share": "the last share of every user's reviews is asked for; other users' serve validation",
    "random_split": "some users are held out: their last review is asked for, the earlier ones are their history",
    "global_time": "everything after one moment is asked for",
    "time_folds": "windows of time, one after the other, are asked for",
    "next_days": "the newest window of time is asked for",
}


def write_report(
    path: Path,
    dataset: PreparedDataset,
    settings: BenchmarkSettings,
    rows: Sequence[FinishedRow],
    compared: Sequence[dict[str, Any]],
) -> None:
    """Writes the page; `compared` is as `results.compare_rows` gives it, and the settings are those that were run."""
    newest = _newest_fold(settings.evaluation, rows)
    evaluation_data = build_evaluation_data(dataset, newest, settings.graph, settings.seed)
    k, asked = settings.shown_k, (evaluation_data, settings.report_users, settings.seed, settings.report_user_ids)
    views = make_views(rows, compared, k)
    page = templates().get_template("page.html.jinja")
    text = page.render(
        summary=dataset.summary,
        num_queries=len(evaluation_data.split.test),
        protocol=_PROTOCOLS[settings.evaluation.protocol],
        ties="a seeded hash" if settings.graph.tie_break == "hash" else "the file's order",
        today=f"{datetime.now(UTC):%Y-%m-%d}",
        views=[_content(view, settings.ks, k, user_cards(view.ranking, *asked)) for view in views],
    )
    with atomic_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def templates() -> Environment:
    """The templates beside this file; what they are given is escaped."""
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _newest_fold(evaluation: EvaluationSettings, rows: Sequence[FinishedRow]) -> EvaluationSettings:
    """The split whose queries the report's users are taken from: of the newest fold where there are several."""
    folds = [one.row["fold"] for one in rows if "fold" in one.row and one.row["status"] == "done"]
    return evaluation.model_copy(update={"fold": max(folds)} if folds else {})


def _content(view: View, ks: tuple[int, ...], k: int, users: list[UserCard]) -> dict[str, Any]:
    """What the template shows of a view; an empty list leaves its section out."""
    ranking, rating = view.ranking, view.rating
    accuracy = [f"{name}_at_{k}{end}" for end in ("_masked", "") for name in ("ndcg", "recall", "mrr")]
    accuracy += time_columns(k)
    shown = {model.name: model for model in ranking}
    differences = [(shown[one["model"]], one) for one in view.comparisons]
    return {
        "view": view,
        "metric": readable(view.metric),
        "notes": fallback_notes([row for model in ranking for row in model.rows]),
        "accuracy": [*metric_columns(ranking, accuracy), *cost_columns(ranking)],
        "charts": _charts(view, ks) if ranking else [],
        "differences": intervals(differences, f"{readable(view.metric)}: model minus {differences[0][1]['against']}")
        if differences
        else "",
        "segments": segment_columns(ranking, view.metric),
        "beyond": metric_columns(ranking, [f"{name}_at_{k}" for name in _BEYOND]),
        "ratings": [*metric_columns(rating, _RATING), *cost_columns(rating)],
        "users": users,
        "settings": [
            (model.name, _flat(model.rows[-1]["settings"]), model.rows[-1]["versions"]) for model in view.models
        ],
    }


def _charts(view: View, ks: tuple[int, ...]) -> list[tuple[str, Markup]]:
    """Titles and drawings."""
    metric, label, drawn = view.metric, readable(view.metric), view.drawn
    # What else the machine did lengthens the wall's time; rows of our own model have all that its command does in it.
    timed = [model for model in view.ranking if model.mean_of("fit_seconds") is not None]
    known = all(model.mean_of("fit_cpu_seconds") is not None for model in timed)
    cost, axis = ("fit_cpu_seconds", "processor time to fit") if known else ("fit_seconds", "time to fit")
    points = [
        (model, max(model.mean_of(cost) or 0.0, _FASTEST), *_value(model.metrics, model.errors, metric))
        for model in timed
    ]
    charts = [(f"Accuracy against the {axis}", scatter(points, label, axis))]
    for name in ("recall", "ndcg"):
        keys = {f"{name}_at_{k}_masked": str(k) for k in ks}
        curves = []
        for model in drawn:
            places = {at: _value(model.metrics, model.errors, key) for key, at in keys.items() if key in model.metrics}
            curves.append((model, places))
        title = readable(f"{name}_masked")
        charts.append((f"{title}, by length of the list", lines(curves, list(keys.values()), "k", title)))
    for key, title, axis in (
        ("by_history_length", "By length of the history", "reviews before the query"),
        (
            "by_product_popularity",
            "By popularity of what was reviewed next",
            "reviews of the product in the train split",
        ),
    ):
        curves = []
        for model in drawn:
            segments = model.rows[-1].get(key, ())
            if segments:
                found = {one["label"]: (one[metric], one.get(f"{metric}_error", 0.0)) for one in segments}
                curves.append((model, found))
        if curves:
            labels = list(dict.fromkeys(place for _, values in curves for place in values))
            charts.append((title, lines(curves, labels, axis, label)))
    if view.has_folds:
        folds = {row["fold"]: f"window {row['fold'] + 1}" for model in drawn for row in model.rows}
        curves = []
        for model in drawn:
            found = {folds[row["fold"]]: _value(row["metrics"], row["standard_error"], metric) for row in model.rows}
            curves.append((model, found))
        windows = [folds[fold] for fold in sorted(folds)]
        charts.append(("Over time", lines(curves, windows, "from the oldest to the newest", label)))
    return charts


def _value(metrics: Mapping[str, float], errors: Mapping[str, float], name: str) -> tuple[float, float]:
    return metrics[name], errors.get(name, 0.0)


def _flat(settings: Mapping[str, Any], prefix: str = "") -> str:
    pieces = (
        _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else f"{prefix}{name}={value}"
        for name, value in settings.items()
    )
    return "  ".join(pieces)
