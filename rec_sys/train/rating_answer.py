"""Chooses the formula of the predicted stars that answers carry, on validation users, and measures it on others."""

import logging
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from rec_sys.contracts import ProductColumn
from rec_sys.data.interactions import FloatArray, Interactions
from rec_sys.data.queries import Queries
from rec_sys.data.splits import Split
from rec_sys.evaluation.rating import rank_figures, rating_metrics
from rec_sys.predicted_rating import (
    Products,
    RatingFormula,
    fit_means,
    number_brands,
    personal_deviation,
    predict_stars,
)
from rec_sys.settings import PredictedRatingSettings, Settings
from rec_sys.unit_vectors import unit_vectors

_LOG: Final = logging.getLogger(__name__)

_MOST_QUESTIONS: Final = 10_000  # of which w is chosen; they take some ten seconds
_ENOUGH_USERS: Final = 30  # with several answers each, so that the order of their answers says more than errors do


@dataclass(frozen=True, eq=False)
class AskedStars:
    """Predicted and given stars of the targets of a split's questions that have any.

    Attributes:
        user: int `[num_targets]`.
        product: int64 `[num_targets]`.
        mean: float32 `[num_targets]`, of the product.
        deviation: float32 `[num_targets]`, what the user's own ratings add, at w = 0.
        stars: float32 `[num_targets]`.
    """

    user: npt.NDArray[np.int64]
    product: npt.NDArray[np.int64]
    mean: FloatArray
    deviation: FloatArray
    stars: FloatArray

    def figures(self, formula: RatingFormula) -> dict[str, float]:
        """The rating metrics, and the rank correlation with its standard error where users have several answers."""
        predicted = predict_stars(formula, self.mean, self.deviation)
        return rating_metrics(predicted, self.stars) | rank_figures(self.user, predicted, self.stars)


@dataclass(frozen=True, eq=False)
class FittedRating:
    """The predicted stars of a bundle.

    Attributes:
        mean: float32 `[num_products]`, as `predicted_rating.Products.mean`.
        figures: `validation` and `test`, each with the metrics of `rating_metrics` and `rank_figures`.
    """

    formula: RatingFormula
    mean: FloatArray
    figures: dict[str, dict[str, float]]


def fit_rating(
    columns: Interactions,
    products: pl.DataFrame,
    splits: tuple[Split, Split],
    vectors: tuple[dict[str, npt.NDArray[np.floating]], ...],
    settings: Settings,
) -> FittedRating | None:
    """Chooses on validation and measures on test; None where one of them has no stars.

    Args:
        columns: The reviews.
        products: The product table.
        splits: As the model that validation saw was fitted, and as the final one was.
        vectors: Of either model, by whose they are.
        settings: All settings.
    """
    wanted, longest = settings.model.predicted_rating, settings.graph.user_reviews
    means = [mean_stars(columns, split, products, wanted.mean_pseudo_counts) for split in splits]
    if means[0] is None or means[1] is None:
        return None
    chosen = choose_rating_formula(columns, splits[0].validation, products, means[0], vectors[0], wanted, longest)
    if chosen is None:
        return None
    formula, figures = chosen[0], {"validation": chosen[1]}
    brands = number_brands(products[ProductColumn.BRAND].to_list())
    about = Products(means[1], unit_vectors(vectors[1][formula.by]), brands)
    asked = ask_stars(columns, splits[1].test, about, formula, longest)
    if asked is not None:
        figures["test"] = asked.figures(formula)
    return FittedRating(formula, means[1], figures)


def mean_stars(columns: Interactions, split: Split, products: pl.DataFrame, pseudo_counts: float) -> FloatArray | None:
    """The means of all products from the train split and the metadata; None where nobody gave stars."""
    edges = split.train_edges
    stars = np.asarray(columns.rating[edges], dtype=np.float64)
    rated = ~np.isnan(stars)
    if not rated.any():
        return None
    known = products[ProductColumn.KNOWN_RATING].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    user, product = columns.user_index[edges][rated], columns.product_index[edges][rated]
    return fit_means(user, product, stars[rated], known, pseudo_counts)


def ask_stars(
    columns: Interactions, queries: Queries, products: Products, formula: RatingFormula, longest: int, seed: int = 0
) -> AskedStars | None:
    """What the formula is asked of a split; histories are read as answers read them, the newest `longest` reviews.

    Returns:
        None where no target has stars. Of very many questions some are drawn.
    """
    rows = np.arange(len(queries))
    if len(rows) > _MOST_QUESTIONS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, _MOST_QUESTIONS, replace=False))
    parts = []
    for row in rows.tolist():
        targets = slice(*queries.target_offsets[row : row + 2])
        start, end = queries.history_offsets[row : row + 2]
        given = np.asarray(columns.rating[queries.target_edges[targets]])
        asked = queries.target_products[targets][~np.isnan(given)]
        if not len(asked):
            continue
        edges = queries.history_edges[max(start, end - longest) : end]
        own = np.asarray(columns.rating[edges])
        edges, own = edges[~np.isnan(own)], own[~np.isnan(own)]
        rated = products.take(columns.product_index[edges])
        about = products.take(asked)
        deviation = personal_deviation(formula, rated, own, about)
        user = np.full(len(asked), queries.user_index[row])
        parts.append((user, asked.astype(np.int64), about.mean, deviation, given[~np.isnan(given)]))
    return AskedStars(*(np.concatenate(column) for column in zip(*parts, strict=True))) if parts else None


def choose_rating_formula(
    columns: Interactions,
    queries: Queries,
    products: pl.DataFrame,
    mean: FloatArray,
    vectors: dict[str, npt.NDArray[np.floating]],
    settings: PredictedRatingSettings,
    longest: int,
) -> tuple[RatingFormula, dict[str, float]] | None:
    """The weight of the mean, and whose vectors, that suit the validation users best; with its figures there.

    Best is the highest rank correlation within users where enough have several answers, else the least squared error.
    """
    best: tuple[float, RatingFormula, dict[str, float]] | None = None
    for by, given in vectors.items():
        about = Products(mean, unit_vectors(given), number_brands(products[ProductColumn.BRAND].to_list()))
        formula = RatingFormula(mean_weight=0, by=by, sharpness=settings.sharpness, evidence=settings.evidence)  # type: ignore[arg-type] # keys of `compared_vectors`
        asked = ask_stars(columns, queries, about, formula, longest)
        if asked is None:
            return None
        for weight in settings.mean_weights:
            chosen = formula.model_copy(update={"mean_weight": weight})
            figures = asked.figures(chosen)
            ordered = figures.get("rank_correlation_users", 0) >= _ENOUGH_USERS
            value = figures["rank_correlation"] if ordered else -figures["rmse"]
            if best is None or value > best[0]:
                best = value, chosen, figures
    if best is None:
        return None
    _LOG.info(
        f"predicted stars: validation chose w {best[1].mean_weight:g} by {best[1].by}, rmse {best[2]['rmse']:.4f}"
        + (f", rank correlation {best[2]['rank_correlation']:.4f}" if "rank_correlation" in best[2] else "")
    )
    return best[1], best[2]
