"""Puts the report together: one HTML file that needs no network and no other file."""

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any, Final

from rec_sys.data.dataset import PreparedDataset
from rec_sys.experiments.benchmark.evaluation_data import EvaluationData, build_evaluation_data
from rec_sys.experiments.benchmark.results import FinishedRow
from rec_sys.experiments.benchmark.settings import OWN_MODEL, BenchmarkSettings
from rec_sys.experiments.report.charts import Point, Series, intervals, lines, scatter
from rec_sys.experiments.report.tables import band_table, metric_table, missing_list, readable, settings_list
from rec_sys.experiments.report.users import user_cards
from rec_sys.experiments.report.view import Model, View, make_views
from rec_sys.files import atomic_file

_HERE: Final = Path(__file__).parent
_FASTEST: Final = 1e-3  # seconds; what is quicker stands here on the logarithmic axis
_LINES_SHOWN: Final = 9
_PROTOCOLS: Final = {
    "leave_last_out": "each user's last review is asked for, the one before it validates",
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
    """Writes the page.

    Args:
        path: The file.
        dataset: The prepared data.
        settings: All settings, those that tuning chose included.
        rows: All rows.
        compared: As `results.compare_rows` gives them.
    """
    k = settings.shown_k
    views = make_views(rows, k)
    evaluation_data = _newest_evaluation_data(dataset, settings, rows)
    sections = "".join(_view_section(view, settings, evaluation_data, compared) for view in views)
    buttons = "".join(f'<button data-view="{escape(view.fit_on)}">{escape(view.fit_on)}</button>' for view in views)
    switch = f"<nav>fitted on {buttons}</nav>" if len(views) > 1 else ""
    style, script = ((_HERE / name).read_text(encoding="utf-8") for name in ("style.css", "page.js"))
    name = escape(dataset.summary.name)
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Benchmark: {name}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{style}</style></head><body><header><h1>Who recommends best on <em>{name}</em>?</h1>"
        f"{_facts(dataset, settings, evaluation_data)}{switch}</header><main>{sections}</main>"
        f"<script>{script}</script></body></html>\n"
    )
    with atomic_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def _newest_evaluation_data(
    dataset: PreparedDataset, settings: BenchmarkSettings, rows: Sequence[FinishedRow]
) -> EvaluationData:
    """The split whose questions the report's users are taken from: of the newest fold where there are several."""
    folds = [one.row["fold"] for one in rows if "fold" in one.row and one.row["status"] == "done"]
    evaluation = settings.evaluation.model_copy(update={"fold": max(folds)} if folds else {})
    return build_evaluation_data(dataset, settings.model_copy(update={"evaluation": evaluation}))


def _facts(dataset: PreparedDataset, settings: BenchmarkSettings, evaluation_data: EvaluationData) -> str:
    summary, protocol = dataset.summary, settings.evaluation.protocol
    ties = "a seeded hash" if settings.graph.tie_break == "hash" else "the file's order"
    facts = (
        f"{summary.num_reviews:,} reviews of {summary.num_products:,} products by {summary.num_users:,} users",
        f"{len(evaluation_data.split.test):,} questions: {_PROTOCOLS[protocol]}",
        f"ties in time by {ties}, every product ranked, equal scores share their mean rank",
        f"{datetime.now(UTC):%Y-%m-%d}, data {summary.fingerprint[:12]}",
    )
    return "<ul class=facts>" + "".join(f"<li>{escape(fact)}</li>" for fact in facts) + "</ul>"


def _view_section(
    view: View, settings: BenchmarkSettings, evaluation_data: EvaluationData, compared: Sequence[dict[str, Any]]
) -> str:
    k = settings.shown_k
    ranking_names = [f"{name}_at_{k}{end}" for end in ("_masked", "") for name in ("ndcg", "recall", "mrr")]
    beyond = [f"{name}_at_{k}" for name in ("coverage", "novelty", "serendipity", "diversity", "popularity")]
    rating = ("rmse", "mae", "auc", "balanced_accuracy", "f1", "accuracy", "rank_correlation")
    parts = [
        _section("What is reviewed next", _headline(view, compared), metric_table(view.ranking, ranking_names)),
        missing_list(view),
        _pictures(view, settings),
        _section(
            "Is the difference more than luck?",
            "Differences on the same questions, with 95% bootstrap intervals; an interval that leaves out zero is one.",
            _comparison(view, compared, k),
        ),
        _section(
            "Known and unknown",
            "Products that no training review names, and users with no review before the question, apart.",
            band_table(view.ranking, k),
        ),
        _section(
            "Beyond accuracy",
            "How much of the catalogue is offered, how little known, surprising and varied the lists are.",
            metric_table(view.ranking, beyond, costs=False),
        ),
        _section("How many stars it gets", "The rating of the held-out reviews.", metric_table(view.rating, rating)),
        _section(
            "Some users",
            "Drawn from short and long histories alike; what they reviewed next is marked.",
            user_cards(view.ranking, evaluation_data, settings.report_users, settings.seed),
        ),
        "<details><summary>Settings and versions</summary>"
        + settings_list(list({model.name: model for model in (*view.ranking, *view.rating)}.values()))
        + "</details>",
    ]
    return f'<div class=view data-view="{escape(view.fit_on)}">{"".join(parts)}</div>'


def _section(title: str, text: str, content: str) -> str:
    if not content:
        return ""
    return f"<section class=block><h2>{escape(title)}</h2><p>{text}</p>{content}</section>"


def _headline(view: View, compared: Sequence[dict[str, Any]]) -> str:
    if not view.ranking:
        return ""
    best = view.ranking[0]
    text = f"<b>{escape(best.name)}</b> reaches the highest {readable(view.metric)}, {best.metrics[view.metric]:.4f}."
    own = next((model for model in view.ranking if model.is_own), None)
    if own is not None and own is not best:
        text += f" Our model, <b>{OWN_MODEL}</b>, reaches {own.metrics[view.metric]:.4f}"
        gap = next((one for one in _of_view(view, compared) if one["model"] == best.name), None)
        if gap is not None and gap["against"] == OWN_MODEL and gap["metric"] == view.metric:
            clear = "clear of chance" if gap["low"] > 0 else "within chance"
            text += f"; the difference of {gap['difference']:.4f} is {clear}"
        text += "."
    return text


def _pictures(view: View, settings: BenchmarkSettings) -> str:
    if not view.ranking:
        return ""
    k, metric = settings.shown_k, view.metric
    points = []
    for model in view.ranking:
        seconds = model.mean_of("fit_seconds")
        place = Point(max(seconds or 0.0, _FASTEST), model.metrics[metric], model.errors.get(metric, 0.0))
        points.append(Series(model.name, model.colour, (place,), model.is_own))
    figures = [("Accuracy against the time to learn", scatter(points, "time to learn", readable(metric)))]
    chosen = _chosen(view.ranking)
    for name in ("recall", "ndcg"):
        series = [
            Series(
                model.name,
                model.colour,
                tuple(
                    Point(place, model.metrics[key], model.errors.get(key, 0.0))
                    for place, key in enumerate(f"{name}_at_{length}_masked" for length in settings.ks)
                    if key in model.metrics
                ),
                model.is_own,
            )
            for model in chosen
        ]
        label = readable(f"{name}_masked")
        figures.append((f"{label}, by length of the list", lines(series, list(map(str, settings.ks)), "k", label)))
    for key, title, axis in (
        ("by_history_length", "By length of the history", "reviews before the question"),
        ("by_product_popularity", "By popularity of what was reviewed next", "train reviews of the product"),
    ):
        picture = _bands(chosen, key, f"ndcg_at_{k}_masked", axis)
        figures += [(title, picture)] if picture else []
    if view.has_folds:
        figures.append(("Over time", _folds(chosen, metric)))
    items = "".join(f"<figure><figcaption>{escape(title)}</figcaption>{svg}</figure>" for title, svg in figures)
    return f"<section class=block><h2>Pictures</h2><div class=figures>{items}</div></section>"


def _chosen(models: Sequence[Model]) -> list[Model]:
    """The best, our own and popularity: more lines could not be told apart."""
    best = [model for model in models if model.name != "popular" and not model.is_own][: _LINES_SHOWN - 2]
    kept = {id(model) for model in best} | {id(model) for model in models if model.is_own or model.name == "popular"}
    return [model for model in models if id(model) in kept]


def _bands(models: Sequence[Model], key: str, metric: str, axis: str) -> str:
    """A metric over bands of users or products, taken from the newest fold."""
    rows = [(model, {band["label"]: band for band in model.rows[-1].get(key, ())}) for model in models]
    labels = list(dict.fromkeys(label for _, bands in rows for label in bands))
    series = [
        Series(
            model.name,
            model.colour,
            tuple(
                Point(place, bands[label][metric], bands[label].get(f"{metric}_error", 0.0))
                for place, label in enumerate(labels)
                if label in bands
            ),
            model.is_own,
        )
        for model, bands in rows
        if bands
    ]
    return lines(series, labels, axis, readable(metric)) if series else ""


def _folds(models: Sequence[Model], metric: str) -> str:
    folds = sorted({row["fold"] for model in models for row in model.rows})
    series = [
        Series(
            model.name,
            model.colour,
            tuple(
                Point(folds.index(row["fold"]), row["metrics"][metric], row["standard_error"].get(metric, 0.0))
                for row in model.rows
            ),
            model.is_own,
        )
        for model in models
    ]
    return lines(series, [f"window {fold + 1}" for fold in folds], "from the oldest to the newest", readable(metric))


def _of_view(view: View, compared: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The comparisons of a view, of the newest fold where there are several."""
    here = [one for one in compared if one["fit_on"] == view.fit_on]
    folds = [one["fold"] for one in here if "fold" in one]
    return [one for one in here if not folds or one["fold"] == max(folds)]


def _comparison(view: View, compared: Sequence[dict[str, Any]], k: int) -> str:
    here = [one for one in _of_view(view, compared) if one["metric"] == f"ndcg_at_{k}_masked"]
    if not here:
        return ""
    colours = {model.name: model.colour for model in view.ranking}
    here.sort(key=lambda one: -one["difference"])
    rows = [
        (
            one["model"],
            colours.get(one["model"], "#888"),
            one["difference"],
            one["low"],
            one["high"],
            f"{one['model']}: {one['difference']:+.4f}, 95% from {one['low']:+.4f} to {one['high']:+.4f},"
            f" Wilcoxon p = {one['p_value']:.2g}",
        )
        for one in here
    ]
    label = f"{readable(here[0]['metric'])}: model minus {here[0]['against']}"
    return f"<figure class=wide>{intervals(rows, label)}</figure>"
