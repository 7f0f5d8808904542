"""The commands that write, on a table and with a text model that take seconds: from reviews to an index."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.tiny_transformers import write_tiny_transformer
from tests.training_runs import SMALL, write_table
from tests.warm_processes import WarmProcess, run

SECONDS: Final = 300


@dataclass(frozen=True)
class Stage:
    """A command that writes, after those before it.

    Attributes:
        module: The command.
        settings: Its settings, but for the folders.
        needs_bundle: It reads the bundle of a training.
        may_need: Bytes that are enough for all that it writes.
    """

    module: str
    settings: tuple[str, ...]
    needs_bundle: bool = False
    may_need: int = 1_000

    def command(self, outputs: Path) -> tuple[str, ...]:
        """The module and its arguments, all of whose output goes to a folder."""
        folders = [f"output_dir={outputs}"]
        if self.module.endswith("model_export"):
            folders.append(f"triton.model_repository={outputs / 'repository'}")
        return (self.module, *self.settings, *folders)


def stages(raw: Path) -> tuple[Stage, ...]:
    """The road, in its order; reviews and text model are written to `raw`."""
    data = tuple(choice for choice in write_table(raw) if choice.startswith("data"))
    model = write_tiny_transformer(raw / "tiny")
    text = ("text=sentence_transformer", f"text.model={model}", "text.device=cpu", "text.num_threads=1")
    return (
        Stage("rec_sys.data.prepare", data, may_need=60_000),
        Stage("rec_sys.train.train", (*SMALL, *data, *text, "trainer.max_epochs=1"), may_need=4_000_000),
        Stage("rec_sys.modules.model_export", ("export.check=onnxruntime",), needs_bundle=True, may_need=1_000_000),
        Stage("rec_sys.vector_database.create_vectorbase", (), needs_bundle=True, may_need=150_000_000),
    )


def start_stage(stage: Stage, outputs: Path) -> WarmProcess:
    """The command at work in a folder, in a process group of its own."""
    return WarmProcess("-m", *stage.command(outputs))


def run_stage(stage: Stage, outputs: Path) -> "subprocess.CompletedProcess[str]":
    """The command from its start to its end."""
    return run("-m", *stage.command(outputs), timeout=SECONDS)
