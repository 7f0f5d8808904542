"""Several processes answer at one port: started together, replaced where one dies, ended together."""

import logging
import multiprocessing
import multiprocessing.connection
import multiprocessing.process
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Self

from prometheus_client.multiprocess import mark_process_dead

from rec_sys.console import say_error
from rec_sys.contracts import InputError
from rec_sys.serving.worker_memory import WorkerMemory
from rec_sys.settings import ServingSettings

_FORK: Final = multiprocessing.get_context("fork")
_LOOK_SECONDS: Final = 0.05  # while they start
_LEAST_SECONDS: Final = 1.0  # between two starts of one worker
_KILL_AFTER_SECONDS: Final = 5.0  # beyond the time that a worker gives itself to stop

_LOG = logging.getLogger(__name__)


class GatewayWorkers:
    """The workers of a service, as long as this object is entered; each ends by itself where this process is gone.

    They take connections from one socket, which this process holds: where one dies, those that wait are the others'.

    Args:
        settings: How many there are, and how long they may take to stop.
        answer: What a worker does until a signal comes, with what it shares with the others.
    """

    def __init__(self, settings: ServingSettings, answer: Callable[[WorkerMemory], None]) -> None:
        self._settings, self._answer = settings, answer
        self._running: list[multiprocessing.process.BaseProcess] = []
        self._began: list[float] = []

    def __enter__(self) -> Self:
        self._folder = TemporaryDirectory(prefix="gateway-")
        self._memory = [self._memory_of(number) for number in range(self._settings.workers)]
        self._processes = self._memory[0].processes
        for memory in self._memory:
            self._running.append(self._start(memory))
            self._began.append(time.monotonic())
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._running:
            process.terminate()
        deadline = time.monotonic() + self._settings.stop_timeout_seconds + _KILL_AFTER_SECONDS
        for process in self._running:
            process.join(max(0.0, deadline - time.monotonic()))
            process.kill()
            process.join()
        self._folder.cleanup()

    def wait_until_they_listen(self) -> None:
        """Returns when all of them do.

        Raises:
            InputError: One has ended before.
        """
        while not all(self._processes):
            multiprocessing.connection.wait([process.sentinel for process in self._running], _LOOK_SECONDS)
            for number, process in enumerate(self._running):
                if not process.is_alive():
                    raise InputError(
                        f"worker {number} ended before it listened ({_how_it_ended(process)})",
                        where=f"setting serving.workers={self._settings.workers}",
                        remedy="read what it said above",
                    )

    def keep_them_alive(self) -> None:
        """Starts another in the place of each that ends, none more often than once a second; returns by an error."""
        while True:
            alive = [process.sentinel for process in self._running if process.is_alive()]
            multiprocessing.connection.wait(alive, _LEAST_SECONDS)
            for number, process in enumerate(self._running):
                if process.is_alive() or time.monotonic() - self._began[number] < _LEAST_SECONDS:
                    continue
                _LOG.warning("worker %d has ended (%s), and another takes its place", number, _how_it_ended(process))
                self._processes[number] = 0
                mark_process_dead(number, self._folder.name)
                self._running[number], self._began[number] = self._start(self._memory[number]), time.monotonic()

    def _memory_of(self, number: int) -> WorkerMemory:
        return WorkerMemory(Path(self._folder.name), number, self._settings.workers)

    def _start(self, memory: WorkerMemory) -> multiprocessing.process.BaseProcess:
        process = _FORK.Process(target=_work, args=(self._answer, memory), name=f"worker {memory.number}", daemon=True)
        process.start()
        return process


def _work(answer: Callable[[WorkerMemory], None], memory: WorkerMemory) -> None:
    """What a worker's process does."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    # A parent that was killed has told nobody, and cleared nothing away.
    threading.Thread(target=_end_with, args=(parent.sentinel, memory.folder), daemon=True).start()
    try:
        answer(memory)
    except InputError as error:
        say_error(f"error: {error}")
        sys.exit(2)


def _end_with(sentinel: int, folder: Path | None) -> None:
    multiprocessing.connection.wait([sentinel])
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)  # what is mapped stays as long as it is used
    os.kill(os.getpid(), signal.SIGTERM)


def _how_it_ended(process: multiprocessing.process.BaseProcess) -> str:
    code = process.exitcode or 0
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
