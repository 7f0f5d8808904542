"""The main job, from raw reviews to a bundle: `uv run -m rec_sys.train.train`.

Lightning, PyG and MLflow take seconds to import, so they are imported when the settings have proved sound.
"""

import logging
import warnings
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rec_sys.console import print_table, say
from rec_sys.contracts import InputError, ProductVector
from rec_sys.entry import run_entry, show_errors_alone
from rec_sys.settings import Settings

if TYPE_CHECKING:
    from rec_sys.data.dataset import PreparedDataset
    from rec_sys.data.splits import Split
    from rec_sys.data.written import WrittenData
    from rec_sys.graph.review_graph import ReviewGraph
    from rec_sys.tracking import Tracker
    from rec_sys.train.run_folder import RunFolder

_LOG: Final = logging.getLogger(__name__)

# What libraries say of each other's calls; nothing of it can be mended here.
LIBRARY_NOISE = (
    r".*torch\.jit\.script.*deprecated.*",
    r".*isinstance\(treespec, LeafSpec\).*",
    r".*does not have many workers.*",
    r".*IterableDataset.*__len__.*",
    r".*Checkpoint directory .* exists and is not empty.*",
    r".*recommended to use `self\.log\(.*sync_dist=True.*",  # the figures are the first process's
    r".*barrier\(\): using the device under current context.*",
)


def run(settings: Settings) -> None:
    """Trains, measures and writes the bundle; the last line printed is its path."""
    from rec_sys.train.run_folder import RunFolder, is_first_process

    if not is_first_process():
        show_errors_alone()  # the first says what all do
    folder = RunFolder(settings)
    with folder.locked():
        bundle = train(settings, folder)
    if bundle is not None:
        say(f"bundle: {bundle}")


def train(settings: Settings, folder: "RunFolder", written: "WrittenData | None" = None) -> Path | None:
    """Trains in a folder that is held by the caller; `written` is what a store adds to the data.

    Returns:
        The bundle's path; None in the worker processes of a multi-device run.
    """
    from rec_sys.data.interactions import build_interactions
    from rec_sys.data.prepare import as_read, prepare, with_columns_found
    from rec_sys.data.splits import refuse_too_little, split_reviews

    data = with_columns_found(settings.data)
    _prove_usable(settings)
    dataset = prepare(data, settings.output_dir, written, settings.engine)
    # The bundle keeps them: reviews that are handed in later may be written as the training data was.
    settings = settings.model_copy(update={"data": as_read(data, dataset)})
    _LOG.info(
        f"data: {dataset.summary.num_reviews:,} reviews, {dataset.summary.num_users:,} users,"
        f" {dataset.summary.num_products:,} products in {dataset.folder}"
    )
    interactions = build_interactions(dataset, settings.graph.tie_break)
    refuse_too_little(interactions, settings.evaluation, str(dataset.folder))
    from rec_sys.graph.build import build_graph
    from rec_sys.train.fitted_text import fit_text

    settings = settings.model_copy(update={"text": fit_text(settings, dataset)})
    graph, text_encoder = build_graph(
        dataset, settings.graph, settings.text, settings.seed, settings.output_dir, settings.engine
    )
    split = split_reviews(graph.interactions, settings.evaluation, settings.seed)
    _LOG.info(
        f"split: {settings.evaluation.protocol}, {len(split.train_edges):,} train reviews,"
        f" {len(split.validation):,} validation and {len(split.test):,} test questions,"
        f" {int((~split.text_visible).sum()):,} texts hidden because they also stand in a later split"
    )
    return _learn(settings, folder, dataset, graph, split, text_encoder)


def _prove_usable(settings: Settings) -> None:
    """Refuses before long work what would be refused after it.

    Raises:
        InputError: MLflow, the text vectors, the ranker or the device cannot be used.
    """
    from rec_sys.graph.build import identify_vectors
    from rec_sys.ranker.boosting import library_of
    from rec_sys.tracking_address import prove_trackable
    from rec_sys.train.run_folder import is_first_process

    if is_first_process():
        prove_trackable(settings.tracking, settings.output_dir)
    if settings.text.encoder != "lsa":  # it is not there yet
        identify_vectors(settings.text)
    if settings.model.ranker != "none":
        library_of(settings.model.ranker)
    if settings.trainer.accelerator == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise InputError(
                "torch finds no CUDA device",
                where="setting trainer.accelerator=cuda",
                remedy="set trainer.accelerator=cpu or auto",
            )


def _learn(
    settings: Settings,
    folder: "RunFolder",
    dataset: "PreparedDataset",
    graph: "ReviewGraph",
    split: "Split",
    text_encoder: str,
) -> Path | None:
    for message in LIBRARY_NOISE:
        warnings.filterwarnings("ignore", message=message)
    _LOG.info("train: loads torch, PyG, Lightning and MLflow")
    from rec_sys.data.dataset import RATING_SCALE
    from rec_sys.data.interactions import list_user_ids
    from rec_sys.evaluation.model_scorer import ModelScorer, evaluate_daily, evaluate_model
    from rec_sys.modules.placing import placing_tensors
    from rec_sys.ranker.facts import UserFacts
    from rec_sys.tracking import Tracker
    from rec_sys.train import results
    from rec_sys.train.calibration import choose_rating_share, scale_rating_term
    from rec_sys.train.fitting import limit_threads
    from rec_sys.train.learning import learn, learn_again
    from rec_sys.train.process_group import join_processes, losing_a_process
    from rec_sys.train.rating_answer import fit_rating
    from rec_sys.train.run_folder import is_first_process
    from rec_sys.train.second_stage import RankerTrial, list_stages

    limit_threads(settings.trainer)
    data_identity = f"{dataset.summary.fingerprint} {text_encoder}"
    if is_first_process():
        folder.sweep(data_identity)
    with losing_a_process():
        join_processes(settings.trainer, folder.path, data_identity)
    if settings.model.tower == "none" and not is_first_process():
        return None  # nothing is learnt by steps
    # The worker processes of a multi-device run keep no book of their own.
    tracking = settings.tracking.model_copy(update={"enabled": settings.tracking.enabled and is_first_process()})
    with losing_a_process(), Tracker(tracking, settings.output_dir, folder.name) as tracker:
        tracker.log_settings(settings.model_dump(mode="json"))

        learned = final = learn(graph, split, settings, folder.checkpoints, tracker)
        settings = learned.settings
        if settings.model.tower == "none" and not learned.is_first:
            return None
        known = learned.learner.builders["validation"]
        stages = [
            learn_again(learned, stage, folder.checkpoints / f"stage{place}", tracker).learner
            for place, stage in enumerate(list_stages(graph.interactions, split, settings))
        ]
        share = 1.0
        if learned.is_first:
            share = choose_rating_share(learned.learner.model, known, split.validation, settings.evaluation.query_batch)
        if settings.evaluation.refit:
            more = split.train_on_validation(graph.interactions)
            final = learn_again(learned, more, folder.checkpoints / "refit", tracker)
        if not final.is_first:
            return None
        for model in {id(one.learner): one.learner.model for one in (learned, final)}.values():
            scale_rating_term(model, share)
        chosen = (learned.memory_term, learned.l2) if learned.memory_term else None
        people = UserFacts.of_table(dataset.users(), list_user_ids(dataset.scan_reviews()))
        trial = RankerTrial(graph, dataset.products(), people, settings, chosen)
        ranker = trial.decide(stages, learned.learner) if stages else None
        _LOG.info("evaluate: the best weights on validation and test")
        measure = partial(evaluate_model, settings=settings.evaluation)
        model, builders = final.learner.model, final.learner.builders
        ranked = trial.ranked(ranker, learned.learner, "validation", learned.memory_term)
        validation = measure(
            learned.learner.model, known, split.validation, memory_term=learned.memory_term, ranked=ranked
        )
        ranked = trial.ranked(ranker, final.learner, "test", final.memory_term)
        test = measure(model, builders["test"], split.test, memory_term=final.memory_term, ranked=ranked)
        metrics = results.gather_metrics(
            validation, test, *results.measure_baselines(graph, final.learner.split, settings.evaluation)
        )
        if ranker is not None:
            metrics["ranker"] = ranker.figures()
        if cascade := trial.cascade(ranker, final.learner, final.memory_term):
            metrics["cascade"] = cascade
        if split.daily is not None:
            ranked = trial.ranked(ranker, final.learner, "daily", final.memory_term)
            scorer = ModelScorer(model, builders["daily"], split.daily, final.memory_term)
            metrics["daily"] = evaluate_daily(scorer, settings.evaluation, ranked).metrics
        if RATING_SCALE in dataset.summary.found:
            metrics[RATING_SCALE.replace(" ", "_")] = dataset.summary.found[RATING_SCALE]
        if settings.evaluation.target_events:
            metrics["target_events"] = ", ".join(settings.evaluation.target_events)
        if learned.gain:
            metrics["towers"] = {"trained": settings.model.tower != "none", **asdict(learned.gain)}
        vectors = results.product_vectors(model, builders["train"])
        before = vectors
        if final is not learned:
            before = results.product_vectors(learned.learner.model, learned.learner.builders["train"])
        rating = fit_rating(
            graph.interactions,
            dataset.products(),
            (split, final.learner.split),
            (results.compared_vectors(before, settings), results.compared_vectors(vectors, settings)),
            settings,
        )
        if rating is not None:
            metrics["predicted_rating"] = rating.figures
            vectors[ProductVector.MEAN_STARS] = rating.mean
        history = learned.learner.history
        pictures = results.draw_pictures(folder.path / "pictures", history, metrics, vectors["output"], dataset)
        _LOG.info("export: towers to ONNX")
        placing = placing_tensors(graph, final.learner.split) if final.memory_term else None
        bundle = results.write_results(
            model,
            graph,
            dataset,
            split,
            vectors,
            final.memory_term,
            ranker,
            None if rating is None else rating.formula,
            placing,
            metrics,
            pictures,
            settings,
            folder.name,
            text_encoder,
        )
        log_results(tracker, metrics, bundle, pictures)
    folder.clear()
    for table in results.results_tables(metrics):
        print_table(table)
    return bundle


def log_results(tracker: "Tracker", metrics: dict[str, Any], bundle: Path, pictures: tuple[Path, ...]) -> None:
    """The final figures, the bundle and the pictures go to MLflow."""
    for split in ("validation", "test"):
        tracker.log_metrics({f"{split}_{key}": value for key, value in metrics[split].items()})
    for name, figures in metrics["baselines"].items():
        tracker.log_metrics({f"{name}_{key}": value for key, value in figures.items()})
    tracker.log_folder(bundle, "bundle")
    for picture in pictures:
        tracker.log_picture(picture)


if __name__ == "__main__":
    run_entry(run, Settings, "config")
