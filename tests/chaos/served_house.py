"""The whole service in processes, as a shop runs it: Triton, an index server and gateways, each to be hurt alone."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Self

import psutil

from rec_sys.bundle import Bundle
from rec_sys.contracts import ServedModel, TowerFile
from rec_sys.processes import ChildProcess, module_command, overrides
from rec_sys.settings import EdgeIndex, ExportSettings
from rec_sys.vector_database.catalogue import read_catalogue
from rec_sys.vector_database.edge_index import EdgePublisher
from tests.chaos.index_process import PUBLISH
from tests.product_indexes import quick_folder
from tests.serving_bundles import USER_REVIEWS, write_serving_bundle
from triton_utils.model_config import tower_options
from triton_utils.repository import Candidate, ModelRepository

PATIENCE_SECONDS = 90.0


class Part:
    """A command that runs, what it says, and its log."""

    def __init__(self, name: str, command: list[str], folder: Path) -> None:
        self.name, self.log = name, folder / f"{name}.log"
        self._command = command
        self._said: SimpleQueue[str] = SimpleQueue()

    def start(self) -> None:
        """Starts it, for the first time or again."""
        self.process = ChildProcess(self._command, self._hear, self._write)

    def wait_for(self, line: str) -> None:
        """Waits until it says a line."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                if self._said.get(timeout=1) == line:
                    return
            except Empty:
                if not self.process.is_alive():
                    break
        raise AssertionError(f"{self.name} did not say {line!r}: {self.log.read_text()[-2000:]}")

    @property
    def resident_bytes(self) -> int:
        """Memory of its process."""
        return int(psutil.Process(self.process.process_id).memory_info().rss)

    def _hear(self, line: str) -> None:
        self._said.put(line)
        self._write(line)

    def _write(self, line: str) -> None:
        with self.log.open("a") as log:
            log.write(f"{line}\n")


class ServedHouse:
    """Two bundles, of which the index serves one; a gateway for each fallback.

    Args:
        fallbacks: Those of `inference.fallback`.
        edge: The gateways read an index of their own, in a folder; else one of a server.
        store: Address of the database in which the gateways keep reviews; a file of SQLite unless given.
        serving: Settings of the gateways.
    """

    def __init__(
        self, fallbacks: tuple[str, ...], *, edge: bool = False, store: str | None = None, **serving: Any
    ) -> None:
        self._fallbacks, self._with_edge, self.store, self._serving = fallbacks, edge, store, serving
        self._stack = ExitStack()
        self.gateways: dict[str, Part] = {}
        self.urls: dict[str, str] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.folder = stack.enter_context(quick_folder())
            self.logs = self.folder / "logs"
            self.logs.mkdir()
            self._stack = stack
            folders = [self.folder / "bundles" / name for name in ("first", "second")]
            self.bundles = [write_serving_bundle(folder, seed=seed) for seed, folder in enumerate(folders)]
            self._index_port, grpc = free_port(), free_port()
            self.triton = self._run(Part("triton", self._triton_command(self.bundles, grpc), self.logs))
            if self._with_edge:
                self._edge = EdgeIndex(backend="edge", folder=self.folder / "index", check_queries=4, progress=False)
                self.publish()
            else:
                command = module_command("tests.chaos.index_process", [str(self._index_port), *map(str, folders)])
                self.index = self._run(Part("index", command, self.logs))
            for fallback in self._fallbacks:
                port = free_port()
                self.urls[fallback] = f"http://127.0.0.1:{port}"
                command = module_command("rec_sys.serving.gateway", self._gateway_settings(fallback, port, grpc))
                self.gateways[fallback] = self._run(Part(f"gateway-{fallback}", command, self.logs))
            for part in (self.triton,) if self._with_edge else (self.index, self.triton):
                part.wait_for("ready")
            for part in self.gateways.values():
                part.wait_for("listening")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def process_of(self, part: str) -> int:
        """The process of a part: `index`, `triton`, or `stub`, which computes Triton's tower."""
        if part == "index":
            return self.index.process.process_id
        [triton] = [
            child for child in psutil.Process(self.triton.process.process_id).children() if _is(child, "triton")
        ]
        if part == "triton":
            return int(triton.pid)
        return int(next(child.pid for child in triton.children() if _is(child, "stub")))

    def processes(self) -> dict[str, psutil.Process]:
        """All that serve, by their names."""
        parts = {"triton": self.triton, **self.gateways}
        own = {name: psutil.Process(part.process.process_id) for name, part in parts.items()}
        helpers = own["triton"].children(recursive=True)
        return own | {f"{process.name()} {number}": process for number, process in enumerate(helpers)}

    def publish(self) -> None:
        """The index serves the other bundle: from a moment on, or at once where it is a folder."""
        if not self._with_edge:
            os.kill(self.index.process.process_id, PUBLISH)
            return
        publisher = EdgePublisher(self._edge)
        served = publisher.status().served
        other = next(bundle for bundle in self.bundles if served is None or bundle.identity != served.bundle)
        publisher.publish(read_catalogue(other))

    def publish_and_wait(self) -> None:
        """The same, and it does when this returns."""
        self.publish()
        if not self._with_edge:
            self.index.wait_for("published")

    def roll_back(self) -> bool:
        """The folder serves the bundle before; False where it has none."""
        publisher = EdgePublisher(self._edge)
        if not publisher.status().kept:
            return False
        publisher.rollback()
        return True

    def _run(self, part: Part) -> Part:
        part.start()
        self._stack.callback(lambda: part.process.stop(5))
        return part

    def _triton_command(self, bundles: list[Bundle], grpc: int) -> list[str]:
        repository = ModelRepository(self.folder / "models")
        options = tower_options(ExportSettings(lengths=(8,)), USER_REVIEWS)
        for bundle in bundles:
            tower = Candidate(ServedModel.USER_TOWER, bundle.tower(TowerFile.USER), bundle.identity, options)
            repository.publish(tower)
        ports = {"grpc_port": grpc, "http_port": 0, "metrics_port": 0}
        given = ports | {"model_repository": repository.folder, "stop_timeout_seconds": 2, "restarts": 1_000}
        return module_command(
            "triton_utils.server", overrides({f"triton.{name}": value for name, value in given.items()})
        )

    def _gateway_settings(self, fallback: str, port: int, grpc: int) -> list[str]:
        inference = {"fallback": fallback, "deadline_seconds": 1, "retry_after_seconds": 1}
        inference |= {"triton_url": f"127.0.0.1:{grpc}"}
        index = {} if self._with_edge else {"url": f"http://127.0.0.1:{self._index_port}", "timeout": 2}
        given = {"output_dir": self.folder, "serving.port": port, "serving.log_level": "warning"}
        given |= {f"inference.{name}": value for name, value in inference.items()}
        given |= {f"index.{name}": value for name, value in index.items()}
        given |= {} if self.store is None else {"store.url": self.store, "store.timeout_seconds": 1}
        given |= {f"serving.{name}": value for name, value in self._serving.items()}
        return [f"index={'edge' if self._with_edge else 'server'}", "inference=triton", *overrides(given)]


@contextmanager
def published_folder() -> Iterator[Path]:
    """A folder of outputs with one bundle, which its index serves."""
    with quick_folder() as folder:
        bundle = write_serving_bundle(folder / "bundles" / "first")
        index = EdgeIndex(backend="edge", folder=folder / "index", check_queries=4, progress=False)
        EdgePublisher(index).publish(read_catalogue(bundle))
        yield folder


@contextmanager
def lone_gateway(**serving: Any) -> Iterator[tuple[str, Part]]:
    """A gateway that computes all by itself, from an index in its own process; its address and itself."""
    with published_folder() as folder:
        port = free_port()
        given = {"output_dir": folder, "serving.port": port, "serving.log_level": "warning"}
        given |= {f"serving.{name}": value for name, value in serving.items()}
        gateway = Part("gateway", module_command("rec_sys.serving.gateway", overrides(given)), folder)
        gateway.start()
        try:
            gateway.wait_for("listening")
            yield f"http://127.0.0.1:{port}", gateway
        finally:
            gateway.process.stop(5)


def _is(process: psutil.Process, name: str) -> bool:
    return name in process.name() and process.status() != psutil.STATUS_ZOMBIE


def free_port() -> int:
    """One that nobody listens at."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        return int(holder.getsockname()[1])


@contextmanager
def slowed(*process_ids: int, stopped: float = 0.08, running: float = 0.02) -> Iterator[None]:
    """Processes that get only a share of the time, in turns of so many seconds."""
    over = threading.Event()

    def take_turns() -> None:
        while not over.wait(running):
            for number in (signal.SIGSTOP, signal.SIGCONT):
                for process_id in process_ids:
                    with suppress(ProcessLookupError):  # one of several may end by itself
                        os.kill(process_id, number)
                if number is signal.SIGSTOP:
                    time.sleep(stopped)

    thread = threading.Thread(target=take_turns)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
