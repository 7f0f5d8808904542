"""The commands that write, on a table and with a text model that take seconds: from reviews to an index, refreshed."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rec_sys.settings import StoreSettings
from rec_sys.store.messages import WrittenBatch, WrittenReview
from rec_sys.store.store import Store
from tests.tiny_transformers import write_tiny_transformer
from tests.training_runs import SMALL, write_table
from tests.warm_processes import WarmProcess, cpu_of_ended, run

SECONDS: Final = 300
NUM_STAGES: Final = 4  # of the road by hand
ALL_STAGES: Final = 5  # and the refresh of what it has published
_WRITERS: Final = 20
_LATER: Final = 1_600_000_000_000  # milliseconds; the table ends before


@dataclass(frozen=True)
class Stage:
    """A command that writes, after those before it.

    Attributes:
        module: The command.
        settings: Its settings, but for the folders.
        needs_bundle: It reads the bundle of a training.
        may_need: Bytes that are enough for all that it writes.
        prepare: What happens to the folder before it.
    """

    module: str
    settings: tuple[str, ...]
    needs_bundle: bool = False
    may_need: int = 1_000
    prepare: Callable[[Path], None] | None = None

    def command(self, outputs: Path) -> tuple[str, ...]:
        """The module and its arguments, all of whose output goes to a folder."""
        folders = [f"output_dir={outputs}"]
        if self.module.endswith(("model_export", "refresh")):
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
        Stage(
            "rec_sys.refresh",
            ("export.check=onnxruntime", "tracking=none"),
            needs_bundle=True,
            may_need=160_000_000,
            prepare=_write_reviews,
        ),
    )


def _write_reviews(outputs: Path) -> None:
    """A day of a shop: two reviews each of some who are new."""
    reviews = [
        WrittenReview(
            user_id=f"new {number}",
            asin=f"p{(number + 3 * step) % 30}",
            rating=5,
            timestamp=_LATER + 60_000 * (number + step),
            text=f"written {number} {step}",
        )
        for number in range(_WRITERS)
        for step in range(2)
    ]
    with Store(StoreSettings(), outputs) as store:
        store.write([WrittenBatch(tuple(reviews))])


@dataclass(frozen=True)
class Undisturbed:
    """What a command does where nothing is in its way.

    Attributes:
        stage: The command.
        start: The folder that it starts from.
        after: What it leaves there, in a folder of its own.
        cpu_seconds: Of a processor, that it takes.
    """

    stage: Stage
    start: Path
    after: Path
    cpu_seconds: float


def run_undisturbed(work: Path, num_stages: int) -> tuple[Undisturbed, ...]:
    """Runs the first commands of the road in an empty folder, each from what the one before has left."""
    raw, start = work / "raw", work / "start-0"
    raw.mkdir()
    start.mkdir()
    found = []
    for number, stage in enumerate(stages(raw)[:num_stages], 1):
        if stage.prepare:
            start = shutil.copytree(start, work / f"before-{number}", symlinks=True)
            stage.prepare(start)
        after = shutil.copytree(start, work / f"start-{number}", symlinks=True)
        before = cpu_of_ended()
        ended = run_stage(stage, after)
        assert ended.returncode == 0, ended.stderr
        found.append(Undisturbed(stage, start, after, cpu_of_ended() - before))
        start = after
    return tuple(found)


def start_stage(stage: Stage, outputs: Path) -> WarmProcess:
    """The command at work in a folder, in a process group of its own."""
    return WarmProcess("-m", *stage.command(outputs))


def run_stage(stage: Stage, outputs: Path) -> "subprocess.CompletedProcess[str]":
    """The command from its start to its end."""
    return run("-m", *stage.command(outputs), timeout=SECONDS)
