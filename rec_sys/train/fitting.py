"""Hands the model to Lightning and takes the best one back."""

import logging
import os
import sys
from pathlib import Path
from typing import Any, Final

import pytorch_lightning as lightning
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint, TQDMProgressBar

from rec_sys.contracts import InputError
from rec_sys.settings import TrainerSettings
from rec_sys.tracking import Tracker
from rec_sys.train.checkpoints import CheckpointFiles, read_checkpoint
from rec_sys.train.lightning_module import WATCHED, ReviewGraphLearner
from rec_sys.train.process_group import from_first, uses_cuda
from rec_sys.train.run_folder import is_first_process

_LOG: Final = logging.getLogger(__name__)

_TRIAL_QUESTIONS: Final = 4_000  # of validation, whose error is small enough


class EpochReport(Callback):
    """Tells the user and the tracker what each epoch reached."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Runs after the epoch's validation."""
        if not isinstance(pl_module, ReviewGraphLearner) or pl_module.add_nothing:
            return
        epoch = trainer.current_epoch
        if not pl_module.history:
            _LOG.info(f"epoch {epoch + 1} of {trainer.max_epochs}: train loss {pl_module.mean_train_loss():.3f}")
            return
        figures = pl_module.history[-1]
        _LOG.info(
            f"epoch {epoch + 1} of at most {trainer.max_epochs}:"
            f" train loss {figures['train_loss']:.3f}, validation loss {figures['validation_loss']:.3f},"
            f" {WATCHED} {figures['validation_' + WATCHED]:.4f}, {figures['seconds']:.1f} s"
        )
        self.tracker.log_metrics(figures, step=epoch)


class TowerTrial(Callback):
    """Ends a training whose towers, after their first reviews, add nothing clear to the memory (`model.tower=auto`)."""

    def __init__(self, at_step: int) -> None:
        self.at_step = at_step

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_step: object
    ) -> None:
        """Measures once; a step is known after a resume too."""
        if trainer.global_step != self.at_step or not isinstance(pl_module, ReviewGraphLearner):
            return
        pl_module.trial = from_first(lambda: pl_module.measure_gain(_TRIAL_QUESTIONS))
        trainer.should_stop = pl_module.add_nothing
        what = "add nothing clear" if pl_module.add_nothing else "are trained on"
        _LOG.info(f"towers: after {self.at_step:,} steps they {what} (ndcg_at_10_masked: {pl_module.trial})")


def be_repeatable() -> None:
    """Chooses algorithms that give the same bits each time, where there are any."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    # With them torch fills all memory that it hands out, which we overwrite anyway: a fifth of an epoch.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # its module makes it


def limit_threads(settings: TrainerSettings) -> None:
    """Uses the asked-for number of cores."""
    if settings.num_threads:
        torch.set_num_threads(settings.num_threads)


def fit(learner: ReviewGraphLearner, checkpoints: Path, tracker: Tracker, epochs: int | None = None) -> bool:
    """Trains, and leaves the wanted weights in the learner's model; goes on from a checkpoint where there is one.

    With `epochs` it trains for just as many and keeps the last; else until validation stops getting better, and keeps
    the best.

    Returns:
        Whether this is the process that writes the results.
    """
    settings = learner.settings
    if learner.model.settings.tower == "none":
        _LOG.info("train: nothing to learn, the memory ranks alone (model.tower=none)")
        return is_first_process()
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    be_repeatable()
    # Lightning's own save_last skips the epochs that are not better; without a figure to watch, each replaces the last.
    newest = ModelCheckpoint(checkpoints, "last", save_top_k=1, enable_version_counter=False)
    last = checkpoints / "last.ckpt"
    resume_from = last if last.is_file() else None
    if resume_from is not None:
        _LOG.info(f"resume: an interrupted run of the same settings left {last}")
    callbacks: list[Callback] = [EpochReport(tracker)]
    if epochs is None and learner.model.settings.tower == "auto":
        callbacks.append(TowerTrial(max(1, settings.trial_reviews // settings.batch_size)))
    if epochs is None:
        callbacks.append(EarlyStopping(WATCHED, mode="max", patience=settings.patience))
        callbacks.append(
            ModelCheckpoint(checkpoints, "best", WATCHED, mode="max", save_top_k=1, enable_version_counter=False)
        )
    callbacks.append(newest)  # behind the best, so that it knows of it
    show = settings.progress and sys.stderr.isatty()
    if show:
        callbacks.append(TQDMProgressBar(leave=False))
    trainer = lightning.Trainer(
        max_epochs=epochs or settings.max_epochs,
        callbacks=callbacks,
        plugins=[CheckpointFiles()],
        logger=False,
        profiler=learner.profiler,
        enable_progress_bar=show,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=1.0 if epochs is None else 0,
        reload_dataloaders_every_n_epochs=1,
        gradient_clip_val=settings.gradient_clip,
        default_root_dir=checkpoints,
        **choose_devices(settings),
    )
    if resume_from is None or not _has_stopped(resume_from):
        size = sum(weight.numel() for weight in learner.parameters() if weight.requires_grad)
        _LOG.info(
            f"train: {size:,} weights, {len(learner.split.train_targets):,} reviews an epoch,"
            f" {trainer.max_epochs} epochs{' at most' if epochs is None else ''}; the first figures come after an epoch"
        )
        trainer.fit(learner, ckpt_path=resume_from)
    if learner.add_nothing:
        return bool(trainer.is_global_zero)
    wanted = last if epochs is not None else checkpoints / "best.ckpt"
    learner.load_state_dict(read_checkpoint(wanted)["state_dict"])
    learner.history = read_checkpoint(last)["history"]
    _report_speed(learner, tracker)
    return bool(trainer.is_global_zero)


def _report_speed(learner: ReviewGraphLearner, tracker: Tracker) -> None:
    """Where the time of this process's steps went; nothing where it had none to make."""
    speed, shares = learner.describe_speed()
    if not shares:
        return
    _LOG.info(
        f"speed: {speed:,.0f} reviews a second; " + ", ".join(f"{name} {one:.0%}" for name, one in shares.items())
    )
    tracker.log_metrics({"reviews_per_second": speed} | {f"share_{name}": share for name, share in shares.items()})


def _has_stopped(checkpoint: Path) -> bool:
    """Whether training had ended when the checkpoint was written, so that going on would add an epoch too many."""
    states: dict[str, Any] = read_checkpoint(checkpoint)["callbacks"]
    return any(
        bool(state["wait_count"] >= state["patience"])
        for name, state in states.items()
        if name.startswith("EarlyStopping")
    )


def choose_devices(settings: TrainerSettings) -> dict[str, Any]:
    """Lightning's accelerator, devices, machines, strategy and precision.

    Raises:
        InputError: torchrun has started another number of processes, or there are more of them than reviews a step.
    """
    cuda = uses_cuda(settings)
    devices, num_nodes = settings.devices, 1
    if torch.distributed.is_torchelastic_launched():
        started = int(os.environ["LOCAL_WORLD_SIZE"])
        if devices not in ("auto", started):
            raise InputError(
                f"torchrun has started {started} processes on this machine",
                where=f"setting trainer.devices={devices}",
                remedy=f"leave it out, or start them with --nproc-per-node={devices}",
            )
        devices, num_nodes = started, int(os.environ["WORLD_SIZE"]) // started
    elif devices == "auto":
        devices = torch.cuda.device_count() if cuda else 1
    processes = devices * num_nodes
    if processes > settings.batch_size:
        raise InputError(
            f"{processes} processes share the {settings.batch_size} reviews of a step, which leaves some without any",
            where="setting trainer.batch_size",
            remedy=f"raise it to {processes} or more, or train on fewer devices",
        )
    precision = {"auto": "32-true", "32": "32-true", "bf16": "bf16-mixed"}
    return {
        "accelerator": "cuda" if cuda else "cpu",
        "devices": devices,
        "num_nodes": num_nodes,
        # Parts of the towers rest where a batch has no text or no history.
        "strategy": "ddp_find_unused_parameters_true" if processes > 1 else "auto",
        "precision": precision[settings.precision],
    }
