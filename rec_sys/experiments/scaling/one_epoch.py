"""The road from raw reviews through one epoch of training, measured stage by stage in the process that walks it."""

import importlib
import logging
import math
import warnings
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from rec_sys.console import say_error
from rec_sys.experiments.fresh_process import answer_request
from rec_sys.experiments.scaling.stage_clock import StageClock, peak_resident_bytes
from rec_sys.settings import Section, Settings, TrainerSettings

if TYPE_CHECKING:
    from rec_sys.train.lightning_module import ReviewGraphLearner

STAGES: Final = ("prepare", "build", "split", "memory", "model", "train")
_IMPORT: Final = "import"  # takes the same time for any amount of data, so it is measured apart
# What libraries say of each other's calls, and Lightning's advice on loaders that need no workers.
_LIBRARY_NOISE: Final = (
    r".*torch\.jit\.script.*deprecated.*",
    r".*isinstance\(treespec, LeafSpec\).*",
    r".*does not have many workers.*",
    r".*IterableDataset.*__len__.*",
)


class RoadRequest(Section):
    """What is to be measured: the whole road with these settings, of an epoch `train_reviews` at most."""

    whole: Settings
    train_reviews: int | None


def measure_one_epoch(request: RoadRequest) -> dict[str, Any]:
    """Prepares, builds, splits, fits one memory and trains for `trainer.max_epochs` epochs, without validation.

    Returns:
        Counts of the data, threads, the most memory held, and for each of `STAGES` the fields of `Stage`; of the last
        one the times of a whole epoch, of which `train_share` was run.

    Raises:
        InputError: The data cannot be used.
    """
    settings = request.whole
    for message in _LIBRARY_NOISE:
        warnings.filterwarnings("ignore", message=message)
    clock = StageClock()
    with clock.stage(_IMPORT):
        import polars as pl
        import torch

        from rec_sys.data.prepare import prepare
        from rec_sys.data.splits import split_reviews
        from rec_sys.graph.build import build_graph
        from rec_sys.train.assembly import fit_co_review, make_builders, make_model
        from rec_sys.train.fitting import limit_threads
        from rec_sys.train.lightning_module import ReviewGraphLearner

        importlib.import_module("rec_sys.data.schemas")  # preparation would import it, and with it pandera, later
    limit_threads(settings.trainer)
    with clock.stage("prepare"):
        dataset = prepare(settings.data, settings.output_dir)
    with clock.stage("build"):
        graph, _ = build_graph(dataset, settings.graph, settings.text, settings.seed, settings.output_dir)
    with clock.stage("split"):
        split = split_reviews(graph.interactions, settings.evaluation, settings.seed)
    with clock.stage("memory"):
        if settings.model.memory != "none":
            fit_co_review(graph, split, settings.model.co_review, settings.model.co_review.l2[0])
    with clock.stage("model"):
        builders = make_builders(graph, split, settings)
        model = make_model(graph, split, builders["train"], settings)
        learner = ReviewGraphLearner(model, settings.trainer, settings.evaluation, settings.seed, split, builders)
    batches = math.ceil(len(split.train_targets) / settings.trainer.batch_size)
    if request.train_reviews is not None:
        batches = min(batches, math.ceil(request.train_reviews / settings.trainer.batch_size))
    with clock.stage("train"):
        device = _train(learner, settings.trainer, batches)
    share = min(1.0, batches * settings.trainer.batch_size / len(split.train_targets))
    trained = clock.stages["train"]
    trained.seconds, trained.processor_seconds = trained.seconds / share, trained.processor_seconds / share
    speed, parts = learner.describe_speed()
    shares = ", ".join(f"{name} {share:.0%}" for name, share in parts.items())
    say_error(f"speed: {speed:,.0f} reviews a second; {shares}")
    return {
        "num_reviews": dataset.summary.num_reviews,
        "num_users": dataset.summary.num_users,
        "num_products": dataset.summary.num_products,
        "num_train_reviews": len(split.train_edges),
        "train_share": share,
        "device": device,
        "threads": {"torch": torch.get_num_threads(), "polars": pl.thread_pool_size()},
        # The kernel's own figure lags behind by some pages.
        "peak_resident_bytes": max(
            peak_resident_bytes(), *(stage.peak_resident_bytes or 0 for stage in clock.stages.values())
        ),
        "stages": {name: asdict(stage) for name, stage in clock.stages.items()},
    }


def _train(learner: "ReviewGraphLearner", settings: TrainerSettings, batches: int) -> str:
    """Runs the epochs, of so many batches each, on one device and returns its name."""
    import pytorch_lightning as lightning

    from rec_sys.train.fitting import be_repeatable, choose_devices

    for name in ("pytorch_lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    be_repeatable()
    trainer = lightning.Trainer(
        max_epochs=settings.max_epochs,
        logger=False,
        profiler=learner.profiler,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        limit_train_batches=batches,
        gradient_clip_val=settings.gradient_clip,
        **choose_devices(settings),
    )
    trainer.fit(learner)
    return str(trainer.strategy.root_device)


if __name__ == "__main__":
    answer_request(measure_one_epoch, RoadRequest)
