"""What Lightning needs to know: the step, the optimiser, the validation. The loop itself is Lightning's."""

import math
import time
from typing import Any

import pytorch_lightning as lightning
import torch
from pytorch_lightning.profilers import SimpleProfiler
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from rec_sys.data.splits import Split
from rec_sys.evaluation.model_scorer import ModelScorer, evaluate_model
from rec_sys.graph.block_builder import BlockBuilder
from rec_sys.graph.blocks import move_to
from rec_sys.modules.hybrid_score import MemoryTerm
from rec_sys.modules.losses import rating_loss, softmax_loss, softmax_precision
from rec_sys.modules.review_graph_model import ReviewGraphModel
from rec_sys.settings import EvaluationSettings, TrainerSettings
from rec_sys.train.batches import TrainingBatch, TrainingBatches
from rec_sys.train.fused_validation import FusedValidation, TowerGain
from rec_sys.train.process_group import from_first, mean_over_processes, num_processes
from rec_sys.train.table_optimizer import RowWiseAdamW, clip_gradients

WATCHED = "ndcg_at_10_masked"
MEMORY_WEIGHT = "memory_weight"  # of an epoch, in the history


class ReviewGraphLearner(lightning.LightningModule):
    """Learns the two objectives and validates after every epoch, together with the memory where there is one.

    Only the split's train edges are predicted, through the builder `train`; validation reads through `validation`.

    Attributes:
        history: The epochs' figures.
        fused: Measures the towers beside the memory; None where there is none, or where another process measures.
        trial: What `TowerTrial` found; None before.
    """

    def __init__(
        self,
        model: ReviewGraphModel,
        settings: TrainerSettings,
        evaluation: EvaluationSettings,
        seed: int,
        split: Split,
        builders: dict[str, BlockBuilder],
        fused: FusedValidation | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.settings = settings
        self.evaluation = evaluation
        self.seed = seed
        self.split = split
        self.builders = builders
        self.fused = fused
        self.trial: TowerGain | None = None
        self.history: list[dict[str, float]] = []
        self._losses: list[Tensor] = []
        self._epoch_began = 0.0
        self.profiler = SimpleProfiler()  # the trainer's too, so that it knows the loop's own times
        self._num_predicted = 0
        self._has_rating = builders["train"].graph.has_rating

    def batches(self, epoch: int) -> TrainingBatches:
        """One epoch's batches for this process."""
        trainer, model = self.settings, self.model.settings
        return TrainingBatches(
            self.builders["train"],
            self.split.train_targets,
            batch_size=trainer.batch_size,
            num_candidates=trainer.num_candidates,
            id_dropout=model.id_dropout if model.product_ids else 0.0,
            seed=self.seed,
            epoch=epoch,
            reversal=model.reversal,
            mask_history=model.mask_history,
            shard=(self.global_rank, self.trainer.world_size),
        )

    def train_dataloader(self) -> torch.utils.data.DataLoader[TrainingBatch]:
        """Reloaded every epoch, so that the order depends on the epoch alone and a resumed run repeats it."""
        return torch.utils.data.DataLoader(self.batches(self.current_epoch), batch_size=None)

    def val_dataloader(self) -> torch.utils.data.DataLoader[int]:
        """One item: the whole validation split is measured at once."""
        return torch.utils.data.DataLoader([0], batch_size=None)  # type: ignore[arg-type] # a list serves as a dataset

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Moves the blocks of a training batch."""
        return move_to(batch, device) if isinstance(batch, TrainingBatch) else batch

    def on_train_epoch_start(self) -> None:
        """Seeds dropout by epoch and process: a resumed run draws what an undisturbed one would have drawn."""
        torch.manual_seed(self.seed * 1_000_003 + self.current_epoch + 500_009 * self.global_rank)
        self._losses.clear()
        self._epoch_began = time.perf_counter()

    def training_step(self, batch: TrainingBatch, batch_index: int) -> Tensor:
        """The weighted sum of both objectives."""
        settings, model, profiler = self.model.settings, self.model, self.profiler
        with profiler.profile("attention"):
            users = model.encode_users(batch.users)
        with profiler.profile("products"):
            products = model.encode_products(batch.products, batch.hide_ids)
        loss = torch.zeros((), device=users.device)
        if settings.ranking_weight > 0:
            with profiler.profile("softmax"):
                loss = loss + settings.ranking_weight * batch.share * self._ranking_loss(users, products, batch)
        if settings.rating_weight > 0 and self._has_rating:
            predicted = model.rate(users, products[batch.target_column], batch.users.user_offset, batch.product_offset)
            error = rating_loss(predicted, batch.stars, settings.rating_error)
            loss = loss + settings.rating_weight * batch.rated_share * error
        self._losses.append(loss.detach())
        self._num_predicted += len(batch.stars) * num_processes()
        return loss

    def _ranking_loss(self, users: Tensor, products: Tensor, batch: TrainingBatch) -> Tensor:
        vectors = self.model.scale(users, products)
        masked = (batch.masked_row, batch.masked_column)
        log_sampled = batch.log_sampled if self.settings.num_candidates else None
        precision = softmax_precision(users.device, len(products))
        return softmax_loss(*vectors, batch.target_column, masked, log_sampled, precision)

    def describe_speed(self) -> tuple[float, dict[str, float]]:
        """Reviews predicted a second, validation aside, and the share of each part of a step in that time."""
        seconds = seconds_of_steps(self.profiler)
        whole = max(sum(seconds.values()), 1e-9)
        return self._num_predicted / whole, {name: spent / whole for name, spent in seconds.items()}

    @property
    def add_nothing(self) -> bool:
        """Whether the towers were found to add nothing clear to the memory."""
        return self.trial is not None and not self.trial.is_clear

    def measure_gain(self, most: int | None = None) -> TowerGain | None:
        """What the towers, as they are now, and the memory reach together on validation; None without a memory.

        `most` as for `FusedValidation.measure`.
        """
        measured = self._measure_fused(most)
        return measured[1] if measured else None

    def _measure_fused(self, most: int | None = None) -> tuple[MemoryTerm, TowerGain] | None:
        if self.fused is None:
            return None
        last = self.history[-1][MEMORY_WEIGHT] if self.history else None
        towers = ModelScorer(self.model, self.builders["validation"], self.split.validation)
        measured = self.fused.measure(towers.score, last, most)
        self.model.train()
        return measured

    def validation_step(self, batch: int, batch_index: int) -> None:
        """Measures the validation split and keeps the epoch's figures for the tracker and the pictures."""
        if self.trial is not None and self.add_nothing:
            self.log(WATCHED, self.trial.memory, prog_bar=True, batch_size=1)  # said as it is in other epochs
            return
        metrics, memory_weight = from_first(self._validate)
        self.log(WATCHED, metrics[WATCHED], prog_bar=True, batch_size=1)
        self.log("validation_loss", metrics["loss"], batch_size=1)
        if not self.trainer.sanity_checking:
            self.history.append(
                {
                    "epoch": float(self.current_epoch),
                    "train_loss": self.mean_train_loss(),
                    "seconds": time.perf_counter() - self._epoch_began,
                    **memory_weight,
                    **{f"validation_{key}": value for key, value in metrics.items()},
                }
            )

    def _validate(self) -> tuple[dict[str, float], dict[str, float]]:
        measured = self._measure_fused()
        term = measured[0] if measured else None
        result = evaluate_model(self.model, self.builders["validation"], self.split.validation, self.evaluation, term)
        self.model.train()
        return dict(result.metrics), {MEMORY_WEIGHT: term.formula.memory_weight} if term else {}

    def mean_train_loss(self) -> float:
        """Over the steps of the current epoch and all processes, which ask for it together."""
        return mean_over_processes(float(torch.stack(self._losses).mean()) if self._losses else math.nan)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The history goes on after a resume."""
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The history goes on after a resume."""
        self.history = checkpoint["history"]

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW with a short warm-up and cosine decay over all epochs."""
        settings = self.settings
        tables = self._read_by_rows()
        dense = [
            weight for weight in self.parameters() if weight.requires_grad and all(weight is not t for t in tables)
        ]
        optimizer = RowWiseAdamW(
            dense,
            tables,
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            # One pass over the product tables instead of a dozen; in mixed precision Lightning cannot clip for it.
            fused=self.trainer.precision == "32-true",
        )
        steps = settings.max_epochs * len(self.batches(0))
        warm_up = max(1, steps // 50)

        def factor(step: int) -> float:
            return min(1.0, (step + 1) / warm_up) * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _read_by_rows(self) -> list[Tensor]:
        """The product tables, where a batch reads but a sample of them."""
        tower, drawn = self.model.product_tower, self.settings.num_candidates
        if not 0 < drawn < tower.num_products or not self.model.settings.product_ids:
            return []
        tables = (tower.input_id, tower.output_id)
        for table in tables:
            table.sparse = self.trainer.world_size == 1  # not every backend can add up sparse gradients
        return [table.weight for table in tables]

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """By the length of all gradients together, some of them sparse."""
        if gradient_clip_val is not None:
            clip_gradients(self.parameters(), gradient_clip_val)


def best_epoch(history: list[dict[str, float]]) -> int:
    """Number, from 0, of the epoch with the best validation; the earliest where several are equal."""
    key = f"validation_{WATCHED}"
    return int(max(history, key=lambda figures: (figures[key], -figures["epoch"]))["epoch"])


def seconds_of_steps(profiler: SimpleProfiler) -> dict[str, float]:
    """Where the time of training went, by part of a step, the largest first; validation is not in it.

    On a GPU a part ends when its work is queued, not when it is done: shares are true for a CPU alone.
    """

    def total(*ends: str) -> float:
        return sum(sum(spent) for name, spent in profiler.recorded_durations.items() if name.endswith(ends))

    backward = total(".backward")
    seconds = {
        "sampler": total(".train_dataloader_next", ".batch_to_device"),
        **{name: total(name) for name in ("attention", "products", "softmax")},
        "gradients": backward,  # those of the softmax aside, which brings its own
        "optimiser": total("run_training_batch") - total(".training_step") - backward,
    }
    return {name: spent for name, spent in sorted(seconds.items(), key=lambda item: -item[1]) if spent > 0}
