"""Fits a baseline and measures it on the test split, by the same functions that measure our own model."""

import logging
import time
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from rec_sys.baselines.catalogue import BASELINES, make_baseline
from rec_sys.baselines.contract import Baseline
from rec_sys.baselines.rating_baseline import KNOWN_MEAN, TEXT_TRIPLET, RatingBaseline
from rec_sys.baselines.reviews import Histories, TrainingReviews
from rec_sys.data.dataset import PreparedDataset
from rec_sys.data.interactions import FloatArray, IntArray, Interactions
from rec_sys.evaluation.beyond_accuracy import measure_lists
from rec_sys.evaluation.ranking import RankingResult, evaluate_ranking
from rec_sys.evaluation.segments import by_history_length, by_product_popularity, warm_and_cold
from rec_sys.evaluation.uncertainty import bootstrap_errors, standard_error_of_mean
from rec_sys.experiments.benchmark.evaluation_data import EvaluationData, baseline_inputs, build_evaluation_data
from rec_sys.experiments.benchmark.measure_text_ratings import measure_text_ratings
from rec_sys.experiments.benchmark.rating_figures import rating_figures
from rec_sys.experiments.benchmark.row_contract import Measured, RowRequest, library_versions

_LOG: Final = logging.getLogger(__name__)


def measure_baseline(request: RowRequest) -> Measured:
    """A baseline's row.

    Raises:
        InputError: The split leaves nothing to learn from or nothing to test.
        Exception: Whatever the baseline's library raises.
    """
    name, settings, evaluation = request.name, request.settings, request.evaluation()
    dataset, seed = PreparedDataset(request.data_folder), settings.seed
    evaluation_data = build_evaluation_data(dataset, evaluation, settings.graph, seed, request.fit_on)
    if BASELINES[name].make is None:
        if name in (KNOWN_MEAN, TEXT_TRIPLET):
            return measure_text_ratings(name, evaluation_data, settings)
        return _measure_ratings(name, evaluation_data, seed)
    reviews, histories_of = baseline_inputs(
        evaluation_data,
        settings.graph,
        settings.text,
        seed,
        settings.output_dir,
        BASELINES[name].needs == "text",
        settings.engine,
    )
    baseline = make_baseline(name, settings.baseline_settings.of(name), seed, settings.trainer.num_threads)
    BASELINES[name].load_libraries()
    _LOG.info(f"{name} learns from {len(reviews):,} reviews")
    began, used = time.perf_counter(), time.process_time()
    baseline.fit(reviews)
    fit_seconds, used = time.perf_counter() - began, time.process_time() - used
    _LOG.info(f"{name} learned for {fit_seconds:.1f} s and is asked {len(evaluation_data.split.test):,} questions")
    asked = _Timed(baseline, histories_of(evaluation_data.split.test))
    result = evaluate_ranking(
        asked.score, evaluation_data.split.test, reviews.num_products, evaluation.ks, evaluation.query_batch
    )
    measured = describe_ranking(result, evaluation_data, evaluation.ks, settings.shown_k, seed)
    measured.fit_seconds, measured.fit_cpu_seconds = fit_seconds, used
    measured.recommend_seconds = asked.seconds
    measured.parameters = baseline.num_parameters
    measured.settings = settings.baseline_settings.of(name).model_dump(mode="json")
    measured.versions = library_versions(BASELINES[name].versions)
    measured.more["popular_share"] = 1 - float(baseline.can_answer(asked.histories).mean())
    cold = evaluation_data.split.cold_test
    if len(cold):
        cold_start_users = _Timed(baseline, histories_of(cold))
        ranking = evaluate_ranking(cold_start_users.score, cold, reviews.num_products, evaluation.ks)
        measured.more["cold_users"] = ranking.metrics
    if (daily := evaluation_data.split.daily) is not None:
        walk = WalkThroughTime(baseline, histories_of(daily), daily.bound, evaluation_data.interactions)
        measured.add_daily(
            evaluate_ranking(walk.score, daily, reviews.num_products, evaluation.ks, evaluation.query_batch)
        )
    return measured


def describe_ranking(
    result: RankingResult, evaluation_data: EvaluationData, ks: tuple[int, ...], k: int, seed: int
) -> Measured:
    """All that one can say of a ranking of the test questions, whoever made it; `k` of the `ks` is for segments."""
    queries, counts = evaluation_data.split.test, evaluation_data.train_counts()
    lists = measure_lists(result.top_products, queries, evaluation_data.known_reviews(), ks)
    metrics = result.metrics | {name: _mean(lists[name].to_numpy()) for name in lists.columns}
    errors = result.standard_error | {name: standard_error_of_mean(lists[name].to_numpy()) for name in lists.columns}
    lengths = np.diff(queries.history_offsets)

    def coverage(rows: npt.NDArray[np.int64]) -> Mapping[str, float]:
        drawn = result.top_products[rows]
        shares = {}
        for length in ks:
            listed = np.zeros(len(counts) + 1, dtype=np.bool_)
            listed[drawn[:, :length]] = True  # NO_PRODUCT is the last place
            shares[f"coverage_at_{length}"] = float(listed[:-1].sum() / len(counts))
        return shares

    errors |= bootstrap_errors(coverage, len(queries), seed)
    top = pl.Series("top_products", result.top_products, dtype=pl.Array(pl.Int32, result.top_products.shape[1]))
    return Measured(
        metrics=metrics,
        standard_error=errors,
        fit_seconds=0.0,
        recommend_seconds=None,
        parameters=None,
        settings={},
        versions={},
        queries=pl.concat([result.per_query, lists], how="horizontal").with_columns(
            top, pl.Series("history_length", lengths)
        ),
        more={
            "num_cold_users": queries.num_cold,
            "by_history_length": by_history_length(result.per_query, lengths, k),
            "by_product_popularity": by_product_popularity(result.targets, counts, k),
            **warm_and_cold(result.targets, counts, ks),
        },
    )


def _measure_ratings(name: str, evaluation_data: EvaluationData, seed: int) -> Measured:
    columns, edges = evaluation_data.interactions, evaluation_data.fitted.train_edges
    edges = edges[~np.isnan(columns.rating[edges])]
    began = time.perf_counter()
    baseline = RatingBaseline(name)  # type: ignore[arg-type] # the catalogue took the name from there
    baseline.fit(
        columns.user_index[edges],
        columns.product_index[edges],
        columns.rating[edges],
        columns.num_users,
        columns.num_products,
    )
    fit_seconds = time.perf_counter() - began
    asked = evaluation_data.split.test.target_edges
    asked = asked[~np.isnan(columns.rating[asked])]
    began = time.perf_counter()
    predicted = baseline.predict(columns.user_index[asked], columns.product_index[asked])
    recommend_seconds = time.perf_counter() - began
    metrics, errors = rating_figures(columns.user_index[asked], predicted, columns.rating[asked], seed)
    return Measured(
        metrics=metrics | {"num_queries": float(len(evaluation_data.split.test))},
        standard_error=errors,
        fit_seconds=fit_seconds,
        recommend_seconds=recommend_seconds,
        parameters=baseline.num_parameters,
        settings={"pseudo_counts": baseline.pseudo_counts},
        versions=library_versions(BASELINES[name].versions),
    )


class WalkThroughTime:
    """Scores questions that go with the time; before each day the baseline sees the reviews up to it, never later ones.

    Args:
        baseline: A fitted one.
        histories: Of the questions.
        bound: int64 `[num_questions]`, ascending: reviews below are known.
        columns: All reviews.
    """

    def __init__(self, baseline: Baseline, histories: Histories, bound: IntArray, columns: Interactions) -> None:
        self._baseline, self._histories, self._bound, self._columns = baseline, histories, bound, columns

    def score(self, rows: npt.NDArray[np.int64]) -> FloatArray:
        """Scores of all products for some questions, float32 `[len(rows), num_products]`."""
        scores = []
        for bound in np.unique(self._bound[rows]):
            self._baseline.see(TrainingReviews.of_edges(self._columns, np.arange(bound)))
            scores.append(self._baseline.score(self._histories.take(rows[self._bound[rows] == bound])))
        return np.concatenate(scores)


class _Timed:
    """Scores a split's questions and counts the seconds."""

    def __init__(self, baseline: Baseline, histories: Histories) -> None:
        self.baseline = baseline
        self.histories = histories
        self.seconds = 0.0

    def score(self, rows: npt.NDArray[np.int64]) -> FloatArray:
        began = time.perf_counter()
        scores = self.baseline.score(self.histories.take(rows))
        self.seconds += time.perf_counter() - began
        return scores


def _mean(values: npt.NDArray[Any]) -> float:
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else float("nan")
