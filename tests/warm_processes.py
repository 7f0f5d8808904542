"""Commands as processes forked from one that has imported the libraries: a fresh interpreter takes seconds to.

What a command does, prints and leaves is the same; only `python -m` itself is not started. One test of each command
starts it for real, and so do the tests of what a command imports.
"""

import multiprocessing
import multiprocessing.forkserver
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import IO

import psutil

REPOSITORY = Path(__file__).resolve().parents[1]
_HEAVY = (
    *("torch", "torch_geometric", "pytorch_lightning", "onnxruntime", "polars", "scipy.sparse"),
    *("transformers", "sentence_transformers", "qdrant_edge", "hydra", "rich.console", "mlflow", "mlflow.db", "onnx"),
    *("sklearn.metrics", "sklearn.decomposition", "sklearn.manifold", "pandera.polars", "hypothesis", "httpx"),
    *("tritonclient.grpc", "matplotlib.pyplot"),
    # None of them is a command, which runs as a module of its own.
    *("rec_sys.entry", "rec_sys.text.sentence_transformer", "rec_sys.train.fitting", "rec_sys.train.results"),
    *("rec_sys.modules.publication", "rec_sys.vector_database.edge_index", "rec_sys.data.prepared_folder"),
)
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(list(_HEAVY))


def end_server() -> None:
    """Ends the process that all are forked from, so that its time counts as this process's."""
    multiprocessing.forkserver._forkserver._stop()  # there is no public way


def cpu_of_ended() -> float:
    """Seconds of a processor that the commands took which have ended, with their helpers."""
    server: int | None = multiprocessing.forkserver._forkserver._forkserver_pid  # there is no public way
    if server is None:
        return 0.0
    times = psutil.Process(server).cpu_times()
    return float(times.children_user + times.children_system)


def _become(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path, streams: Sequence[Connection]
) -> None:
    """Turns the forked process into `python arguments`, whose first is -m or -c."""
    os.setsid()
    for number, stream in zip((1, 2), (streams[0], streams[-1]), strict=True):
        os.dup2(stream.fileno(), number)
    for stream in streams:
        stream.close()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    kind, what, *rest = arguments
    if kind == "-m":
        sys.argv = [what, *rest]
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        sys.argv = ["-c", *rest]
        exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})


class WarmProcess:
    """A command at work, with the methods of `subprocess.Popen` that the tests use; its pipes are text.

    Args:
        arguments: What would follow `python`: -m and a module, or -c and a program, then their arguments.
        folder: Where it works.
        environment: Its variables where they are not this process's. Libraries have read theirs before.
        together: Standard error goes where standard output goes.
    """

    def __init__(
        self,
        *arguments: str,
        folder: Path = REPOSITORY,
        environment: Mapping[str, str] | None = None,
        together: bool = False,
    ) -> None:
        pairs = [CONTEXT.Pipe(duplex=False) for _ in range(1 if together else 2)]
        given = dict(os.environ if environment is None else environment)
        self._process = CONTEXT.Process(target=_become, args=(arguments, given, folder, [pair[1] for pair in pairs]))
        self._process.start()
        for reading, writing in pairs:
            writing.close()
            os.set_inheritable(reading.fileno(), False)
        self._streams: list[IO[str]] = [os.fdopen(os.dup(pair[0].fileno()), encoding="utf-8") for pair in pairs]
        for reading, _ in pairs:
            reading.close()
        assert self._process.pid is not None
        self.pid = self._process.pid
        self.stdout, self.stderr = self._streams[0], self._streams[-1]

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    poll = returncode.fget

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Everything printed from now on, on both streams, and the end awaited."""
        with ThreadPoolExecutor() as pool:
            reads = [pool.submit(stream.read) for stream in self._streams]
            try:
                self.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
        self.close()
        return reads[0].result(), reads[1].result() if len(reads) > 1 else ""

    def send_signal(self, number: int) -> None:
        if self._process.is_alive():
            with suppress(ProcessLookupError):  # it has ended since
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def close(self) -> None:
        for stream in self._streams:
            stream.close()

    def __enter__(self) -> "WarmProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._process.join()
        self.close()


def run(
    *arguments: str, timeout: float, folder: Path = REPOSITORY, environment: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """A command from its start to its end, as `subprocess.run` gives it."""
    process = WarmProcess(*arguments, folder=folder, environment=environment)
    out, err = process.communicate(timeout)
    return subprocess.CompletedProcess(list(arguments), process.wait(), out, err)
