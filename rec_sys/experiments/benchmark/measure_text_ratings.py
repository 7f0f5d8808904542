"""Rows of rating baselines that read more than reviews: the means that the metadata has, the texts of products."""

import time
from dataclasses import replace
from typing import Final

import numpy as np
import polars as pl

from rec_sys.baselines.rating_baseline import KNOWN_MEAN
from rec_sys.baselines.text_rating import draw_triplets, learn_projection
from rec_sys.contracts import InputError, ProductColumn
from rec_sys.data.interactions import FloatArray
from rec_sys.data.queries import Queries
from rec_sys.experiments.benchmark.evaluation_data import EvaluationData
from rec_sys.experiments.benchmark.rating_figures import rating_figures
from rec_sys.experiments.benchmark.row_contract import Measured, library_versions
from rec_sys.experiments.benchmark.settings import BenchmarkSettings
from rec_sys.predicted_rating import NO_BRAND, Products, RatingFormula
from rec_sys.train.rating_answer import AskedStars, ask_stars, mean_stars

_LIBRARIES: Final = {KNOWN_MEAN: ("numpy",)}
_WITH_TEXT: Final = ("sentence-transformers", "torch", "numpy")


def measure_text_ratings(name: str, data: EvaluationData, settings: BenchmarkSettings) -> Measured:
    """A row; of the triplet baseline validation users choose w, and no star of the measured rows is looked at."""
    began = time.perf_counter()
    columns, products = data.interactions, data.dataset.products()
    chosen: dict[str, float] = {}
    if name == KNOWN_MEAN:
        known = products[ProductColumn.KNOWN_RATING].cast(pl.Float32)
        if not known.count():
            raise InputError(
                "no product has mean stars of its own", where=name, remedy="leave it out, or give products with them"
            )
        asked = _ask(data, data.split.test, known.fill_null(known.mean()).to_numpy(), None, settings)
        predicted, parameters = asked.mean, 0
    else:
        vectors = _project(data, settings)
        mean = mean_stars(columns, data.fitted, products, settings.model.predicted_rating.mean_pseudo_counts)
        if mean is None:
            raise ValueError("nobody gave stars in the train split")
        weights = settings.model.predicted_rating.mean_weights
        validation = _ask(data, data.split.validation, mean, vectors, settings)
        found = {w: _figures(validation, _mixed(validation, w), settings.seed) for w in weights}
        ordered = all("rank_correlation" in figures for figures, _ in found.values())
        best = max(weights, key=lambda w: found[w][0]["rank_correlation"] if ordered else -found[w][0]["rmse"])
        asked = _ask(data, data.split.test, mean, vectors, settings)
        predicted, chosen, parameters = _mixed(asked, best), {"mean_weight": best}, vectors.shape[1] ** 2
    fit_seconds = time.perf_counter() - began
    metrics, errors = _figures(asked, predicted, settings.seed)
    return Measured(
        metrics=metrics | {"num_queries": float(len(data.split.test))},
        standard_error=errors,
        fit_seconds=fit_seconds,
        recommend_seconds=None,
        parameters=parameters,
        settings=dict(chosen),
        versions=library_versions(_LIBRARIES.get(name, _WITH_TEXT)),
    )


def _project(data: EvaluationData, settings: BenchmarkSettings) -> FloatArray:
    from rec_sys.graph.build import build_graph

    graph, _ = build_graph(
        data.dataset, settings.graph, settings.text, settings.seed, settings.output_dir, settings.engine
    )
    columns, edges = data.interactions, data.fitted.train_edges
    edges = edges[~np.isnan(columns.rating[edges])]
    triplets = draw_triplets(
        columns.user_index[edges], columns.product_index[edges], columns.rating[edges], settings.seed
    )
    return learn_projection(np.array(graph.product_text_vectors), triplets, settings.seed)


def _ask(
    data: EvaluationData, queries: Queries, mean: FloatArray, vectors: FloatArray | None, settings: BenchmarkSettings
) -> AskedStars:
    """The personal part by the projected texts alone: no product's mean is known to it, nor its author."""
    columns = data.interactions
    level = float(np.nanmean(columns.rating[data.fitted.train_edges]))
    size = columns.num_products
    compared = np.zeros((size, 1), dtype=np.float32) if vectors is None else vectors
    about = Products(np.full(size, level, dtype=np.float32), compared, np.full(size, NO_BRAND))
    wanted = settings.model.predicted_rating
    formula = RatingFormula(mean_weight=0, sharpness=wanted.sharpness, evidence=wanted.evidence)
    asked = ask_stars(columns, queries, about, formula, settings.graph.user_reviews)
    if asked is None:
        raise ValueError("nobody gave stars in the split")
    return replace(asked, mean=mean[asked.product], deviation=level + asked.deviation)


def _mixed(asked: AskedStars, mean_weight: float) -> FloatArray:
    """(1 - w) * personal + w * mean; `deviation` holds the personal stars."""
    return (1 - mean_weight) * asked.deviation + mean_weight * asked.mean


def _figures(asked: AskedStars, predicted: FloatArray, seed: int) -> tuple[dict[str, float], dict[str, float]]:
    return rating_figures(asked.user, predicted, asked.stars, seed)
