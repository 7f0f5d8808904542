"""The folder of a run: one process at a time, and what is left of an interrupted run is picked up."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from rec_sys.bundle import hash_code
from rec_sys.files import atomic_file, writable_folder
from rec_sys.locks import locked_folder
from rec_sys.settings import Settings

CHECKPOINTS = "checkpoints"
STATE = "state.json"
# What a run may change without becoming another run.
_INCIDENTAL: dict[str, bool | set[str]] = {
    "output_dir": True,
    "run_dir": True,
    "tracking": True,
    "engine": True,
    "trainer": {"progress", "num_threads", "devices"},  # any number of processes goes on with it
}


class RunFolder:
    """Checkpoints and pictures of one run while it lasts: in `run_dir`, or under `output_dir` by the settings' hash."""

    def __init__(self, settings: Settings) -> None:
        identity = settings.model_dump_json(exclude=_INCIDENTAL)
        self.name = (
            f"{settings.data.name}-{settings.model.convolution}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"
        )
        self.path = (settings.run_dir or settings.output_dir / "runs" / self.name).absolute()
        self.checkpoints = self.path / CHECKPOINTS

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder for this process (and the others of the same training).

        Raises:
            InputError: Another run is at work there.
        """
        if not is_first_process():
            writable_folder(self.path)
            yield
            return
        remedy = "wait for it, or give this run a folder of its own with run_dir=..."
        with locked_folder(self.path, "another training run is at work in this folder", remedy):
            yield

    def sweep(self, data_identity: str) -> None:
        """Removes checkpoints that were left by other data or other code; those of an interrupted run stay."""
        state = {"data": data_identity, "code": hash_code()}
        path = self.path / STATE
        if path.is_file() and json.loads(path.read_text()) == state:
            return
        self.clear()
        with atomic_file(path) as writing:
            writing.write_text(json.dumps(state))

    def clear(self) -> None:
        """Removes what only an unfinished run needs."""
        (self.path / STATE).unlink(missing_ok=True)
        shutil.rmtree(self.checkpoints, ignore_errors=True)


def is_first_process() -> bool:
    """False in the other processes of one training: torchrun's on every machine, Lightning's for further devices."""
    number = "RANK" if "TORCHELASTIC_RUN_ID" in os.environ else "LOCAL_RANK"
    return int(os.environ.get(number, "0")) == 0
