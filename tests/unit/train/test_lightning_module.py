"""Where the time of training goes, read off Lightning's profiler."""

import time

import pytest
import pytorch_lightning as lightning
import torch
from pytorch_lightning.profilers import SimpleProfiler

from rec_sys.train.lightning_module import seconds_of_steps

SLEEP = 0.02


class SlowSteps(lightning.LightningModule):
    """Two steps whose parts take a known time."""

    def __init__(self, profiler: SimpleProfiler) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.profiler = profiler

    def training_step(self, batch: torch.Tensor, batch_index: int) -> torch.Tensor:
        with self.profiler.profile("softmax"):
            time.sleep(3 * SLEEP)
        return self.weight.sum()

    def validation_step(self, batch: torch.Tensor, batch_index: int) -> None:
        time.sleep(20 * SLEEP)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def train_dataloader(self) -> torch.utils.data.DataLoader[int]:
        return torch.utils.data.DataLoader(SlowNumbers(), batch_size=None)

    def val_dataloader(self) -> torch.utils.data.DataLoader[int]:
        return torch.utils.data.DataLoader([0], batch_size=None)  # type: ignore[arg-type] # a list serves as a dataset


class SlowNumbers(torch.utils.data.Dataset[int]):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> int:
        time.sleep(SLEEP)
        return index


def test_the_parts_of_a_step_share_the_time_of_training_without_validation() -> None:
    profiler = SimpleProfiler()
    assert seconds_of_steps(profiler) == {}
    quiet = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
    began = time.perf_counter()
    lightning.Trainer(
        max_epochs=1, accelerator="cpu", profiler=profiler, num_sanity_val_steps=0, enable_model_summary=False, **quiet
    ).fit(SlowSteps(profiler))
    seconds = seconds_of_steps(profiler)
    assert seconds["softmax"] >= 9 * SLEEP
    assert seconds["sampler"] >= SLEEP
    assert set(seconds) == {"softmax", "sampler", "gradients", "optimiser"}
    assert list(seconds.values()) == sorted(seconds.values(), reverse=True)
    assert sum(seconds.values()) <= time.perf_counter() - began - 20 * SLEEP


def test_what_the_optimiser_took_is_the_batch_without_its_step_and_gradients() -> None:
    profiler = SimpleProfiler()
    profiler.recorded_durations.update(
        {
            "run_training_batch": [5.0, 5.0],
            "[Strategy]SingleDeviceStrategy.training_step": [2.0, 2.0],
            "[Strategy]SingleDeviceStrategy.backward": [1.0, 1.5],
            "[LightningModule]Learner.on_after_backward": [9.0],
            "[_TrainingEpochLoop].train_dataloader_next": [0.25],
            "attention": [0.5, 1.0],
            "products": [0.5],
        }
    )
    assert seconds_of_steps(profiler) == pytest.approx(
        {"optimiser": 3.5, "gradients": 2.5, "attention": 1.5, "products": 0.5, "sampler": 0.25}
    )
