"""Processes that train together: Lightning starts those of one machine, torchrun those of several.

Each predicts its part of every window of time, and the first alone measures and writes; the others wait for it.
"""

import atexit
import logging
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import torch
from torch import distributed

from rec_sys.console import say_error
from rec_sys.contracts import InputError
from rec_sys.files import atomic_file
from rec_sys.settings import TrainerSettings

Value = TypeVar("Value")

_MEETING: Final = "meeting"
# gloo has no class of errors of its own
_LOST: Final = ("gloo", "Connection closed by peer", "Connection reset by peer", "Broken pipe", "Timed out waiting")


def uses_cuda(settings: TrainerSettings) -> bool:
    """Whether training runs on GPUs."""
    return settings.accelerator == "cuda" or (settings.accelerator == "auto" and torch.cuda.is_available())


def num_processes() -> int:
    """How many train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def from_first(compute: Callable[[], Value]) -> Value:
    """What the first process computes, in every process; where there is one alone, it computes."""
    if not distributed.is_initialized():
        return compute()
    told = [compute() if distributed.get_rank() == 0 else None]
    distributed.broadcast_object_list(told)
    value: Value = told[0]  # type: ignore[assignment] # it has been filled
    return value


def mean_over_processes(value: float) -> float:
    """The mean of every process's value, in every process."""
    if not distributed.is_initialized():
        return value
    told: list[float] = [0.0] * distributed.get_world_size()
    distributed.all_gather_object(told, value)
    return sum(told) / len(told)


def join_processes(settings: TrainerSettings, folder: Path, data_identity: str) -> None:
    """Waits for the processes that torchrun has started; those of Lightning are started later, by the first.

    Args:
        settings: Say on which devices.
        folder: That of the run, which the first process has made ready.
        data_identity: What this process has read.

    Raises:
        InputError: This machine has other data than the first, or does not see its folder.
    """
    if not distributed.is_torchelastic_launched():
        return
    if not distributed.is_initialized():
        if uses_cuda(settings):
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        distributed.init_process_group("nccl" if uses_cuda(settings) else "gloo")
        atexit.register(distributed.destroy_process_group)
    meeting = folder / _MEETING
    token, identity = from_first(lambda: (_write_token(meeting), data_identity))
    if identity != data_identity:
        raise InputError(
            "this machine has read other data than the first of the training",
            where=str(folder),
            remedy="give every machine the same files, settings and version",
        )
    if not meeting.is_file() or meeting.read_text(encoding="utf-8") != token:
        raise InputError(
            "this machine does not see the run folder of the first one, where the checkpoints are",
            where=str(folder),
            remedy="put output_dir on a file system that all machines share",
        )
    distributed.barrier()
    if distributed.get_rank() == 0:
        meeting.unlink()


def _write_token(path: Path) -> str:
    token = uuid.uuid4().hex
    with atomic_file(path) as unfinished:
        unfinished.write_text(token, encoding="utf-8")
    return token


class _LostWorker(logging.Handler):
    """Lightning ends this process by SIGKILL a few seconds after one that it has started is gone."""

    def emit(self, record: logging.LogRecord) -> None:
        say_error(f"error: {_lost(record.getMessage().partition('. ')[0], 'a process of this machine')}")


_LAUNCHER: Final = logging.getLogger("lightning_fabric.strategies.launchers.subprocess_script")


@contextmanager
def losing_a_process() -> Iterator[None]:
    """Says in the user's words that another process of the training has ended.

    Raises:
        InputError: One that this process waited for has ended.
    """
    heard = _LostWorker()
    _LAUNCHER.addHandler(heard)
    _LAUNCHER.setLevel(logging.INFO)
    try:
        yield
    except RuntimeError as error:
        lost = isinstance(error, distributed.DistError) or any(sign in str(error) for sign in _LOST)
        if not (distributed.is_initialized() and lost):
            raise
        number = f"process {distributed.get_rank() + 1} of {distributed.get_world_size()}"
        raise _lost(str(error).partition("\n")[0], number) from error
    finally:
        _LAUNCHER.removeHandler(heard)


def _lost(said: str, who: str) -> InputError:
    return InputError(
        f"another process of this training has ended: {said}",
        where=who,
        remedy="see what that one said, and start the same command again; it goes on from the last epoch",
    )
