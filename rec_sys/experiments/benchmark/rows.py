"""Which rows a benchmark has, and what keeps some of them from being computed; wrong wishes are refused here."""

import logging
from dataclasses import dataclass
from typing import Final

from rec_sys.baselines.catalogue import BASELINES, explain_unfit, refuse_missing_library
from rec_sys.contracts import InputError
from rec_sys.data.dataset import PreparedDataset
from rec_sys.data.splits import BY_TIME
from rec_sys.experiments.benchmark.evaluation_data import build_evaluation_data
from rec_sys.experiments.benchmark.settings import OWN_MODEL, BenchmarkSettings, FitOn, is_own_model
from rec_sys.experiments.benchmark.tuning import refuse_missing_optuna
from rec_sys.settings import EvaluationSettings, GraphSettings

_LOG: Final = logging.getLogger(__name__)

FOLDS: Final = "time_folds"


@dataclass(frozen=True)
class BenchmarkRow:
    """A row to be computed, as `RowRequest` names it; `unfit` says why the data or the window has nothing for it.

    With `by_time` it is measured under a split by time too.
    """

    name: str
    fit_on: FitOn
    fold: int | None
    unfit: str
    by_time: bool


def list_rows(dataset: PreparedDataset, settings: BenchmarkSettings) -> list[BenchmarkRow]:
    """All rows, our own model's last.

    Raises:
        InputError: A list is longer than the catalogue, a library is missing, nobody is to be measured, or the split
            leaves nothing to learn from or nothing to test.
    """
    longest, num_products = max(settings.ks), dataset.summary.num_products
    if longest > num_products:
        raise InputError(
            f"k={longest} is more than the {num_products:,} products of the catalogue",
            where="setting ks",
            remedy=f"choose lists of at most {num_products:,} products",
        )
    for name in settings.baselines:
        refuse_missing_library(name)
    if settings.tuning.enabled:
        refuse_missing_optuna()
    own = [f"{OWN_MODEL}_{mode}" for mode in settings.own_modes]
    names = [*settings.baselines, *own, *([OWN_MODEL] if settings.own_model else [])]
    if not names:
        nobody = "there is nobody to measure: no baselines, and not our own model"
        raise InputError(nobody, where="setting baselines", remedy="name some")
    folds = _usable_folds(dataset, settings.evaluation, settings.graph, settings.seed)
    unfit = {name: "" if is_own_model(name) else explain_unfit(name, dataset.summary) for name in names}
    timed = _has_time_column(dataset, settings)
    return [
        BenchmarkRow(name, fit_on, fold, unfit[name] or empty, timed and ranks(name))
        for fold, empty in folds.items()
        for name in names
        for fit_on in settings.fit_on
    ]


def ranks(name: str) -> bool:
    """Whether a model ranks products, and does not only predict stars."""
    return is_own_model(name) or BASELINES[name].make is not None


def by_time(settings: BenchmarkSettings) -> BenchmarkSettings:
    """The same benchmark, split by time."""
    evaluation = settings.evaluation.model_copy(update={"protocol": "global_time"})
    return settings.model_copy(update={"evaluation": evaluation})


def _has_time_column(dataset: PreparedDataset, settings: BenchmarkSettings) -> bool:
    if not (settings.time_column and dataset.summary.has_time) or settings.evaluation.protocol in BY_TIME:
        return False
    try:
        build_evaluation_data(dataset, by_time(settings).evaluation, settings.graph, settings.seed)
    except InputError as error:
        _LOG.info(f"no column of global time: {error.what}")
        return False
    return True


def _usable_folds(
    dataset: PreparedDataset, evaluation: EvaluationSettings, graph: GraphSettings, seed: int
) -> dict[int | None, str]:
    """Each fold with why it cannot be used, empty when it can."""
    if evaluation.protocol != FOLDS:
        build_evaluation_data(dataset, evaluation, graph, seed)
        return {None: ""}
    folds: dict[int | None, str] = {}
    refused: InputError | None = None
    for fold in range(evaluation.num_folds):
        try:
            build_evaluation_data(dataset, evaluation.model_copy(update={"fold": fold}), graph, seed)
            folds[fold] = ""
        except InputError as error:
            folds[fold], refused = error.what, error
    if refused is not None and all(folds.values()):
        raise refused
    return folds
