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
        arguments: Its settings, but for the folder.
        may_need: Bytes that are enough for all that it writes.
    """

    module: str
    arguments: tuple[str, ...]
    may_need: int


def stages(raw: Path) -> tuple[Stage, ...]:
    """The road, in its order; reviews and text model are written to `raw`."""
    data = tuple(choice for choice in write_table(raw) if choice.startswith("data"))
    model = write_tiny_transformer(raw / "tiny")
    text = ("text=sentence_transformer", f"text.model={model}", "text.device=cpu", "text.num_threads=1")
    return (
        Stage("rec_sys.data.prepare", data, 60_000),
        Stage("rec_sys.train.train", (*SMALL, *data, *text, "trainer.max_epochs=1"), 4_000_000),
        Stage("rec_sys.modules.model_export", (), 4_000_000),
        Stage("rec_sys.vector_database.create_vectorbase", (), 150_000_000),
    )


def start_stage(stage: Stage, outputs: Path) -> WarmProcess:
    """The command at work in a folder, in a process group of its own."""
    return WarmProcess("-m", stage.module, *stage.arguments, f"output_dir={outputs}")


def run_stage(stage: Stage, outputs: Path) -> "subprocess.CompletedProcess[str]":
    """The command from its start to its end."""
    return run("-m", stage.module, *stage.arguments, f"output_dir={outputs}", timeout=SECONDS)
