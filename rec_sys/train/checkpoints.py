"""Checkpoints of an interrupted training: written whole, read as numbers and names alone, so that nothing is run."""

import io
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO

from rec_sys.contracts import InputError
from rec_sys.files import atomic_file


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a checkpoint holds, on the CPU.

    Raises:
        InputError: It is damaged, or holds what is neither tensor nor plain value.
    """
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:  # a defect of the caller's, no damage
        raise
    except (UnpicklingError, RuntimeError, EOFError, OSError) as error:
        said = str(error).strip() or "it breaks off"
        raise InputError(
            f"the checkpoint cannot be read: {said.splitlines()[0]}",
            where=str(path),
            remedy="remove its folder; the training begins anew",
        ) from error
    return content


class CheckpointFiles(TorchCheckpointIO):
    """Lightning's own reading would run what a file asks for, its own writing leaves a half where the disk is full."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """The whole checkpoint or the one before."""
        with atomic_file(Path(path)) as unfinished:
            content = io.BytesIO()  # torch's own writer does not say that the disk is full
            torch.save(checkpoint, content)
            unfinished.write_bytes(content.getbuffer())

    def load_checkpoint(self, path: Any, map_location: Any = None) -> dict[str, Any]:
        """See `read_checkpoint`; Lightning moves the tensors to where they belong."""
        return read_checkpoint(Path(path))
