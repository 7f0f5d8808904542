"""What a run found: metrics beside the baselines', vectors, towers, pictures, all in one bundle."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from rich.table import Table

from rec_sys.baselines.contract import POPULAR
from rec_sys.baselines.popular import PopularBaseline
from rec_sys.baselines.rating_baseline import RATING_BASELINES, RatingBaseline
from rec_sys.baselines.reviews import Histories, TrainingReviews
from rec_sys.baselines.settings import NoSettings
from rec_sys.bundle import BundleContents, write_bundle
from rec_sys.contracts import HistoryColumn, ProductVector, ReviewColumn, SplitName
from rec_sys.data.dataset import PreparedDataset, embedded_review_text
from rec_sys.data.splits import Split
from rec_sys.data.written import FIRST_WRITTEN_ROW
from rec_sys.evaluation.model_scorer import SplitResult, encode_catalogue
from rec_sys.evaluation.ranking import evaluate_ranking
from rec_sys.evaluation.rating import rank_figures, rating_metrics
from rec_sys.graph.block_builder import BlockBuilder
from rec_sys.graph.review_graph import ReviewGraph
from rec_sys.modules.hybrid_score import MemoryTerm
from rec_sys.modules.review_graph_model import ReviewGraphModel
from rec_sys.modules.tower_export import export_towers
from rec_sys.predicted_rating import RatingFormula
from rec_sys.settings import EvaluationSettings, Settings
from rec_sys.train.assembly import make_formula
from rec_sys.train.model_card import write_card
from rec_sys.train.pictures import draw_learning_curves, draw_product_map, draw_ranking_metrics
from rec_sys.train.second_stage import LearnedRanker

SNIPPET_LENGTH = 200  # characters
_RANKING_SHOWN = ("recall_at_10", "ndcg_at_10", "mrr_at_10")
_RATING_SHOWN = ("rmse", "mae", "auc", "accuracy", "balanced_accuracy", "f1", "rank_correlation")


def measure_baselines(
    graph: ReviewGraph, split: Split, settings: EvaluationSettings
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]:
    """Popularity's ranking and the rating baselines on the same test questions, fitted on the train split.

    Returns:
        Metrics by baseline, and standard errors by baseline.
    """
    columns = graph.interactions
    train = split.train_edges
    product = columns.product_index[train]
    popular = PopularBaseline(NoSettings()).fit(TrainingReviews.of_edges(columns, train))
    histories = Histories.of_queries(split.test, columns)
    ranking = evaluate_ranking(
        lambda rows: popular.score(histories.take(rows)),
        split.test,
        columns.num_products,
        settings.ks,
        settings.query_batch,
    )
    baselines = {POPULAR: ranking.metrics}
    stars = np.asarray(columns.rating[train])
    rated = ~np.isnan(stars)
    asked = split.test.target_edges[~np.isnan(columns.rating[split.test.target_edges])]
    given = np.asarray(columns.rating[asked])
    if rated.any() and len(given):
        for kind in RATING_BASELINES:
            baseline = RatingBaseline(kind).fit(
                columns.user_index[train][rated], product[rated], stars[rated], columns.num_users, columns.num_products
            )
            predicted = baseline.predict(columns.user_index[asked], columns.product_index[asked])
            baselines[baseline.name] = rating_metrics(predicted, given) | rank_figures(
                columns.user_index[asked], predicted, given
            )
    return baselines, {POPULAR: ranking.standard_error}


def gather_metrics(
    validation: SplitResult,
    test: SplitResult,
    baselines: dict[str, dict[str, float]],
    baseline_errors: dict[str, dict[str, float]],
) -> dict[str, Any]:
    """The content of `metrics.json`; figures that do not exist for this data are left out."""

    def finite(figures: dict[str, float]) -> dict[str, float]:
        return {key: float(value) for key, value in figures.items() if np.isfinite(value)}

    return {
        "validation": finite(validation.metrics),
        "test": finite(test.metrics),
        "baselines": {name: finite(figures) for name, figures in baselines.items()},
        "standard_error": {
            "test": finite(test.ranking.standard_error),
            **{name: finite(figures) for name, figures in baseline_errors.items()},
        },
    }


def draw_pictures(
    folder: Path,
    history: list[dict[str, float]],
    metrics: dict[str, Any],
    vectors: np.ndarray,
    dataset: PreparedDataset,
) -> tuple[Path, ...]:
    """Learning curves, ranking beside popularity, and a map of the products; where nothing was learned, the second."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = tuple(folder / f"{name}.png" for name in ("ranking_metrics", "learning_curves", "product_map"))
    draw_ranking_metrics(metrics, paths[0])
    if not history:
        return paths[:1]
    draw_learning_curves(history, paths[1])
    draw_product_map(vectors, dataset.products(), paths[2])
    return paths


@torch.inference_mode()
def product_vectors(model: ReviewGraphModel, builder: BlockBuilder) -> dict[str, np.ndarray]:
    """All products as the bundle holds them, read from the train split alone like the metrics beside them."""
    graph = builder.graph
    hidden = encode_catalogue(model, builder)
    device = model.rating_mean.device
    text = torch.from_numpy(np.array(graph.product_text_vectors)).to(device)
    index = torch.arange(len(text), device=device)
    inputs = model.product_tower.read_inputs(index, text, (text != 0).any(dim=1).float())
    found = {
        ProductVector.OUTPUT: model.product_tower.to_ranking(hidden),
        ProductVector.INPUT: inputs,
        ProductVector.RATING: model.product_tower.to_rating(hidden),
        ProductVector.RATING_OFFSET: model.product_offset,
        ProductVector.TEXT: text,
    }
    return {name: value.float().cpu().numpy() for name, value in found.items()}


def compared_vectors(vectors: dict[str, np.ndarray], settings: Settings) -> dict[str, np.ndarray]:
    """Vectors of products that predicted stars may compare: of texts, and of towers where these were trained."""
    towers = {} if settings.model.tower == "none" else {"towers": vectors[ProductVector.RATING]}
    return {"text": vectors[ProductVector.TEXT], **towers}


def list_histories(graph: ReviewGraph, dataset: PreparedDataset, split: Split) -> pl.DataFrame:
    """Every user's reviews as the bundle keeps them, so that serving needs no other file (`HistoryColumn`)."""
    columns = graph.interactions
    known = np.ones(columns.num_reviews, dtype=np.bool_) if split.of_kind is None else split.of_kind
    # A stream, so that no more than a piece of the texts is in memory.
    reviews = (
        dataset.scan_reviews()
        .select(
            pl.col(ReviewColumn.USER_ID).alias(HistoryColumn.USER_ID),
            embedded_review_text().str.slice(0, SNIPPET_LENGTH).alias(HistoryColumn.SNIPPET),
            pl.col(ReviewColumn.WEIGHT).alias(HistoryColumn.WEIGHT),
            *(ReviewColumn.SOURCE_ROW, ReviewColumn.EVENT),
        )
        .collect(engine="streaming")
    )
    table = reviews[columns.review_row].select(
        HistoryColumn.USER_ID,
        pl.Series(HistoryColumn.PRODUCT_INDEX, np.array(columns.product_index)),
        pl.Series(HistoryColumn.RATING, np.array(columns.rating)).fill_nan(None),
        pl.Series(HistoryColumn.TIMESTAMP, np.array(columns.timestamp)),
        pl.Series(HistoryColumn.TEXT_ROW, np.array(graph.text_row)),
        HistoryColumn.SNIPPET,
        HistoryColumn.WEIGHT,
        pl.Series(HistoryColumn.KNOWN, known),
        pl.Series(HistoryColumn.HELD_OUT, known & (split.of_review == SplitName.TEST)),
        *([_place_in_log()] if dataset.summary.store_position is not None else []),
        *([pl.col(ReviewColumn.EVENT).alias(HistoryColumn.EVENT)] if columns.event_kinds else []),
    )
    return table.sort(HistoryColumn.USER_ID, maintain_order=True)


def _place_in_log() -> pl.Expr:
    place = pl.col(ReviewColumn.SOURCE_ROW) - FIRST_WRITTEN_ROW
    return pl.when(place > 0).then(place).alias(HistoryColumn.SEQUENCE)


def home_of_bundles(settings: Settings) -> Path:
    """Where a run leaves its bundle: `output_dir/bundles`, where publishing looks for the newest.

    A run with a folder of its own, as an experiment's, and each of a multirun leave it in their folder: what was tried
    goes live only when its bundle is named.
    """
    if settings.run_dir is not None:
        return settings.run_dir.absolute() / "bundles"
    if HydraConfig.initialized() and HydraConfig.get().mode is RunMode.MULTIRUN:
        return Path(HydraConfig.get().runtime.output_dir).absolute() / "bundles"
    return settings.output_dir.absolute() / "bundles"


def write_results(
    model: ReviewGraphModel,
    graph: ReviewGraph,
    dataset: PreparedDataset,
    split: Split,
    vectors: dict[str, np.ndarray],
    memory_term: MemoryTerm | None,
    ranker: LearnedRanker | None,
    rating: RatingFormula | None,
    placing: dict[str, npt.NDArray[np.floating]] | None,
    metrics: dict[str, Any],
    pictures: tuple[Path, ...],
    settings: Settings,
    run_name: str,
    text_encoder: str,
) -> Path:
    """Writes the bundle, see `home_of_bundles`, and returns its path."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")[:-3]
    folder = home_of_bundles(settings) / f"{run_name}-{stamp}"
    model = model.cpu()
    contents = BundleContents(
        data_name=dataset.summary.name,
        data_fingerprint=dataset.summary.fingerprint,
        text_encoder=text_encoder,
        weights={name: value.numpy() for name, value in model.state_dict().items()},
        settings=settings.model_dump(mode="json"),
        products=dataset.products(),
        product_vectors=vectors,
        metrics=metrics,
        histories=list_histories(graph, dataset, split),
        history_text=graph.text_vectors,
        score=make_formula(model.temperature, settings.model.co_review)
        if memory_term is None
        else memory_term.formula.model_copy(update={"temperature": model.temperature}),
        memory=memory_term.tensors() if memory_term else None,
        rating=rating,
        ranker=ranker.card() if ranker and ranker.adopted else None,
        ranker_trees=ranker.trees.tensors() if ranker and ranker.adopted else None,
        user_facts=dataset.users() if ranker and ranker.adopted else None,
        placing=placing,
        store_position=dataset.summary.store_position,
        user_reviews=settings.graph.user_reviews,
        product_reviews=settings.graph.product_reviews,
        has_time=dataset.summary.has_time,
        towers=export_towers(model, settings.graph.user_reviews, settings.graph.product_reviews),
        pictures=pictures,
        card=write_card(dataset.summary, metrics, settings, memory_term, run_name, text_encoder),
    )
    write_bundle(folder, contents)
    return folder


def results_tables(metrics: dict[str, Any]) -> list[Table]:
    """The test figures beside the baselines', for the terminal: one table of rankings, one of ratings."""
    next_one = f"the next {metrics['target_events']}" if "target_events" in metrics else "what is reviewed next"
    rankings = [f"{key}{suffix}" for suffix in ("_masked", "") for key in _RANKING_SHOWN] + ["coverage_at_10"]
    tables = (
        _compare(metrics, f"test: {next_one} (masked: the user's own products left out)", rankings),
        _compare(metrics, "test: how many stars it gets", list(_RATING_SHOWN)),
    )
    return [table for table in (*tables, _cascade_table(metrics.get("cascade", {}))) if table.row_count]


def _cascade_table(stages: dict[str, dict[str, float]]) -> Table:
    """What the ways to candidates and the stages behind them keep, and cost, see `evaluation.cascade`."""
    table = Table("", "products", "recall", "capped MAP", "ms", title="test: the cascade", title_justify="left")
    for name, found in stages.items():
        cells = (f"{found['size']:.0f}", f"{found['recall']:.4f}")
        listed, cost = found["capped_map"], found["milliseconds"]
        table.add_row(name, *cells, f"{listed:.4f}" if "list" in name else "-", f"{cost:.2f}" if cost else "-")
    return table


def _compare(metrics: dict[str, Any], title: str, keys: list[str]) -> Table:
    baselines = {name: figures for name, figures in metrics["baselines"].items() if any(key in figures for key in keys)}
    table = Table("", "review graph", *baselines, title=title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for key in keys:
        if key in metrics["test"]:
            figures = (metrics["test"][key], *(baseline.get(key) for baseline in baselines.values()))
            table.add_row(key, *("-" if figure is None else f"{figure:.4f}" for figure in figures))
    return table
