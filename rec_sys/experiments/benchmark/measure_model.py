"""Our own model's row: training's own command, as a user runs it, then its bundle asked the same questions again."""

import math
import resource
import time
from pathlib import Path
from typing import Final

import numpy as np

from rec_sys.bundle import Bundle
from rec_sys.contracts import InputError
from rec_sys.data.dataset import PreparedDataset
from rec_sys.experiments.benchmark.evaluation_data import build_evaluation_data
from rec_sys.experiments.benchmark.measure_baseline import describe_ranking
from rec_sys.experiments.benchmark.rating_figures import rating_figures
from rec_sys.experiments.benchmark.row_contract import Measured, RowRequest, library_versions
from rec_sys.experiments.benchmark.settings import OWN_MODEL, OWN_MODES
from rec_sys.experiments.scaling.stage_clock import most_resident_bytes
from rec_sys.experiments.training_command import train
from rec_sys.processes import quote
from rec_sys.settings import EvaluationSettings

# Set by the benchmark itself for each row.
_OWN_KEYS: Final = ("evaluation.ks", "evaluation.refit", "evaluation.fold", "run_dir")
_VERSIONS: Final = ("torch", "torch-geometric", "pytorch-lightning", "numpy")
ANSWERED: Final = "answered_"  # before a metric: of the stars that answers predict, not of the towers' own
_SAME: Final = 1e-3  # two processes add up in different orders, and two scores that nearly tie may change places


def measure_own_model(request: RowRequest) -> Measured:
    """Trains our own model, or takes a bundle; its test figures, and what the bundle is asked that is not in there.

    Raises:
        InputError: Training ended with an error, or the bundle is of other data or another split.
        ValueError: The bundle does not give the figures that training measured.
    """
    seconds: float | None = None
    used: float | None = None
    if request.settings.bundle is not None and request.name == OWN_MODEL:
        bundle = _given_bundle(request.settings.bundle, request)
    else:
        began, before = time.perf_counter(), _processor_seconds()
        bundle = Bundle(train(training_arguments(request, request.folder.with_name(f"{request.folder.name}.run"))))
        seconds, used = time.perf_counter() - began, _processor_seconds() - before
    peak = most_resident_bytes(resource.RUSAGE_CHILDREN)
    trained = bundle.metrics()
    measured = ask_bundle(bundle, request)
    for name, value in trained["test"].items():
        if name not in measured.metrics:  # of another length of lists
            continue
        if not math.isclose(value, measured.metrics[name], rel_tol=_SAME, abs_tol=_SAME):
            raise ValueError(f"{name} was {value} in training and is {measured.metrics[name]} out of {bundle.folder}")
    measured.metrics |= trained["test"]
    answered = trained.get("predicted_rating", {})
    measured.metrics |= {f"{ANSWERED}{name}": value for name, value in answered.get("test", {}).items()}
    measured.fit_seconds = seconds  # of the whole command: imports, graph, validation and export included
    measured.fit_cpu_seconds = used
    measured.parameters = sum(weights.size for weights in bundle.weights().values())
    measured.settings = {name: bundle.settings()[name] for name in ("model", "graph", "text", "trainer")}
    measured.versions = {**library_versions(_VERSIONS), "rec_sys": bundle.manifest.code_version}
    measured.more |= {"bundle": str(bundle.folder), "popular_share": 0.0}
    measured.peak_memory_bytes = peak
    return measured


def _given_bundle(folder: Path, request: RowRequest) -> Bundle:
    """The bundle, where it is of the row's data, split and seed."""
    bundle, asked = Bundle(folder), request.evaluation()
    settings = bundle.settings()
    trained = EvaluationSettings.model_validate(settings["evaluation"])
    same_lists = {"ks": asked.ks, "query_batch": asked.query_batch, "cascade": asked.cascade}
    wanted = asked.model_copy(update={"refit": request.fit_on != "train"})
    for what, is_so in (
        ("of other data", bundle.manifest.data_fingerprint == PreparedDataset(request.data_folder).summary.fingerprint),
        ("of another split", trained.model_copy(update=same_lists) == wanted),
        ("of another seed", settings["seed"] == request.settings.seed),
    ):
        if not is_so:
            raise InputError(
                f"the bundle is {what}",
                where=f"setting bundle={folder}",
                remedy="give training and benchmark the same data and evaluation settings, and fit_on=[train], or"
                " [train+validation] where evaluation.refit=true; or leave bundle out",
            )
    return bundle


def _processor_seconds() -> float:
    """Of the commands that this process has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def ask_bundle(bundle: Bundle, request: RowRequest) -> Measured:
    """All figures of a bundle's model on the test questions, and those of users of whom nothing is known."""
    from rec_sys.evaluation.model_scorer import ModelScorer, evaluate_daily, evaluate_model
    from rec_sys.experiments.benchmark.bundle_scorer import BundledModel
    from rec_sys.graph.build import build_graph

    settings, evaluation, seed = request.settings, request.evaluation(), request.settings.seed
    dataset = PreparedDataset(request.data_folder)
    evaluation_data = build_evaluation_data(dataset, evaluation, settings.graph, seed, request.fit_on)
    graph, _ = build_graph(dataset, settings.graph, bundle.text_settings(), seed, settings.output_dir, settings.engine)
    pseudo_counts = float(bundle.settings()["model"]["offset_pseudo_counts"])
    bundled = BundledModel(bundle, graph, evaluation_data, settings.graph.product_transitions, pseudo_counts)
    queries, cold = evaluation_data.split.test, evaluation_data.split.cold_test
    ranked = bundled.ranked(queries)
    result = evaluate_model(bundled.model, bundled.builder, queries, evaluation, bundled.memory_term, ranked)
    measured = describe_ranking(result.ranking, evaluation_data, evaluation.ks, settings.shown_k, seed)
    measured.metrics |= result.metrics
    began = time.perf_counter()
    scorer = ModelScorer(bundled.model, bundled.builder, queries, bundled.memory_term)
    batches = np.array_split(np.arange(len(queries)), -(-len(queries) // evaluation.query_batch))
    for rows in batches:
        (ranked or scorer.score)(rows)
    measured.recommend_seconds = time.perf_counter() - began
    guessed, given = scorer.rate_all(evaluation.query_batch)
    rated = ~np.isnan(given)
    if rated.any():
        authors = np.repeat(queries.user_index, np.diff(queries.target_offsets))
        figures, errors = rating_figures(authors[rated], guessed[rated], given[rated], seed)
        measured.metrics, measured.standard_error = figures | measured.metrics, measured.standard_error | errors
    if len(cold):
        ranked = bundled.ranked(cold)
        cold_start_users = evaluate_model(bundled.model, bundled.builder, cold, evaluation, bundled.memory_term, ranked)
        measured.more["cold_users"] = cold_start_users.ranking.metrics
    if (daily := evaluation_data.split.daily) is not None:
        scorer = ModelScorer(bundled.model, bundled.daily, daily, bundled.memory_term)
        measured.add_daily(evaluate_daily(scorer, evaluation, bundled.ranked(daily, daily=True)))
    return measured


def validation_figure(request: RowRequest, run_dir: Path, metric: str) -> float:
    """What tuning looks at: one metric on the validation split."""
    bundle = Bundle(train(training_arguments(request, run_dir)))
    return float(bundle.metrics()["validation"][metric])


def training_arguments(request: RowRequest, run_dir: Path) -> list[str]:
    """The command line of training for a row."""
    # Of two arguments with one key, the later counts: what tuning chose stands behind what was typed.
    arguments = (*request.overrides, *OWN_MODES.get(request.name, ()))
    typed = {text.lstrip("+").partition("=")[0]: text for text in arguments}
    evaluation = request.evaluation()
    return [
        *(text for key, text in typed.items() if key not in _OWN_KEYS),
        f"evaluation.ks=[{','.join(map(str, evaluation.ks))}]",
        f"evaluation.refit={str(request.fit_on != 'train').lower()}",
        f"evaluation.fold={evaluation.fold}",
        f"run_dir={quote(run_dir)}",
    ]
