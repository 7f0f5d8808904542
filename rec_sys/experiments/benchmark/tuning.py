"""Chooses each model's settings on the validation split, with the same budget for all, and remembers every trial."""

import importlib.util
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from rec_sys.baselines.catalogue import BASELINES, GROUP_COMMAND, make_baseline
from rec_sys.baselines.search_space import Trial, among, between, draw, tuned_values
from rec_sys.baselines.settings import BaselineSettings
from rec_sys.contracts import InputError
from rec_sys.data.dataset import PreparedDataset
from rec_sys.evaluation.ranking import evaluate_ranking
from rec_sys.experiments.benchmark import measure_model
from rec_sys.experiments.benchmark.evaluation_data import baseline_inputs, build_evaluation_data
from rec_sys.experiments.benchmark.row_contract import RowRequest
from rec_sys.experiments.benchmark.settings import OWN_MODEL, BenchmarkSettings, is_own_model
from rec_sys.settings import ModelSettings, Section, TrainerSettings

_LOG: Final = logging.getLogger(__name__)

_FAILED: Final = -1.0  # below every figure, so that a setting that fails is not chosen


class OwnModelSpace(BaseModel):
    """What tuning may change of our own model; the names are keys of the command line, dots written as `__`."""

    model_config = ConfigDict(frozen=True)

    model__dim: int = Field(128, json_schema_extra=among(64, 128, 256))
    model__dropout: float = Field(0.3, json_schema_extra=between(0.1, 0.5))
    model__rating_weight: float = Field(0.1, json_schema_extra=between(0.01, 1, log=True))
    model__id_dropout: float = Field(0.1, json_schema_extra=between(0, 0.5))
    trainer__learning_rate: float = Field(2e-3, json_schema_extra=between(5e-4, 5e-3, log=True))
    trainer__weight_decay: float = Field(0.01, json_schema_extra=between(1e-3, 0.3, log=True))

    @classmethod
    def of(cls, model: ModelSettings, trainer: TrainerSettings) -> "OwnModelSpace":
        """The present values."""
        sections = (("model", model), ("trainer", trainer))
        return cls.model_validate({f"{name}__{key}": value for name, section in sections for key, value in section})

    def overrides(self) -> list[str]:
        """As arguments of the training command."""
        return [f"{name.replace('__', '.')}={value}" for name, value in self.model_dump().items()]


class Tuned(BaseModel):
    """What a search of a model's settings found.

    `values` are the settings that reached the `best` value of `metric` on the validation split; `trials` counts all
    that were tried, the present ones among them.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    metric: str
    best: float
    values: dict[str, Any]
    trials: int
    seconds: float


def has_search(name: str) -> bool:
    """Whether there is anything to choose for a model."""
    if is_own_model(name):
        return name == OWN_MODEL
    return BASELINES[name].make is not None and bool(tuned_values(BaselineSettings().of(name)))


def refuse_missing_optuna() -> None:
    """Looks before anything is computed whether Optuna is installed."""
    if importlib.util.find_spec("optuna") is None:
        raise InputError(
            "tuning needs the library optuna, which is not installed",
            where="setting tuning",
            remedy=f"start the command with `{GROUP_COMMAND} -m rec_sys.experiments.benchmark ...`, or without tuning",
        )


def search(request: RowRequest, folder: Path) -> Tuned:
    """Spends what is left of the budget on one model; finished trials of an interrupted search, in `folder`, count.

    Raises:
        ValueError: Every trial failed.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    settings, budget = request.settings, request.settings.tuning
    metric = f"ndcg_at_{settings.shown_k}_masked"
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(folder / "trials.log"))),
        study_name=request.name,
        sampler=optuna.samplers.TPESampler(seed=settings.seed, multivariate=False),
        direction="maximize",
        load_if_exists=True,
    )
    measure, start = _objective(request, folder, metric)
    finished = [trial for trial in study.trials if trial.value is not None]
    if not finished:
        study.enqueue_trial(start)
    spent = sum(trial.duration.total_seconds() for trial in finished if trial.duration)
    number = len(finished)
    while (not budget.trials or number < budget.trials) and (not budget.minutes or spent < 60 * budget.minutes):
        began = time.perf_counter()
        study.optimize(measure, n_trials=1)
        spent += time.perf_counter() - began
        number += 1
        _LOG.info(f"{request.name}: trial {number}, best {metric} {study.best_value:.4f} with {study.best_params}")
    if study.best_value <= _FAILED:
        raise ValueError(f"all {number} trials failed; see the log")
    best, values = study.best_value, study.best_params
    return Tuned(name=request.name, metric=metric, best=best, values=values, trials=number, seconds=spent)


def _objective(request: RowRequest, folder: Path, metric: str) -> tuple[Callable[[Any], float], dict[str, Any]]:
    """The function that Optuna maximises, and the settings to begin with: the present ones."""
    settings, graph, seed = request.settings, request.settings.graph, request.settings.seed
    section: BaseModel = OwnModelSpace.of(settings.model, settings.trainer)
    if request.name != OWN_MODEL:
        section = settings.baseline_settings.of(request.name)
        data = build_evaluation_data(PreparedDataset(request.data_folder), request.evaluation(), graph, seed)
        queries = data.split.validation

    def measure(trial: Trial) -> float:
        try:
            drawn = draw(trial, section)
            if isinstance(drawn, OwnModelSpace):
                changed = request.model_copy(update={"overrides": (*request.overrides, *drawn.overrides())})
                return measure_model.validation_figure(changed, folder / "run", metric)
            chosen = settings.baseline_settings.model_copy(update={request.name: drawn}).of(request.name)
            with_text = BASELINES[request.name].needs == "text"
            reviews, histories_of = baseline_inputs(
                data, graph, settings.text, seed, settings.output_dir, with_text, settings.engine
            )
            baseline = make_baseline(request.name, chosen, seed, settings.trainer.num_threads).fit(reviews)
            asked, ks = histories_of(queries), (settings.shown_k,)
            result = evaluate_ranking(lambda rows: baseline.score(asked.take(rows)), queries, reviews.num_products, ks)
            return result.metrics[metric]
        except Exception as error:  # settings that a model cannot work with are the worst ones, not the end
            _LOG.info(f"{request.name}: a trial failed: {type(error).__name__}: {error}")
            return _FAILED

    return measure, tuned_values(section)


def apply_tuned(settings: BenchmarkSettings, found: list[Tuned]) -> BenchmarkSettings:
    """The settings with what the searches chose."""
    baselines = settings.baseline_settings
    for section, key, value in own_values(found):
        changed = getattr(settings, section).model_copy(update={key: value})
        settings = settings.model_copy(update={section: changed})
    for tuned in found:
        if tuned.name != OWN_MODEL:
            section_type = type(baselines.of(tuned.name))
            chosen: Section = section_type.model_validate(baselines.of(tuned.name).model_dump() | tuned.values)
            baselines = baselines.model_copy(update={tuned.name: chosen})
    return settings.model_copy(update={"baseline_settings": baselines})


def own_values(found: Sequence[Tuned]) -> list[tuple[str, str, Any]]:
    """What the searches chose for our own model: section, key and value."""
    chosen = [item for tuned in found if tuned.name == OWN_MODEL for item in tuned.values.items()]
    places = [(name.partition("__"), value) for name, value in chosen]
    return [(section, key, value) for (section, _, key), value in places]
