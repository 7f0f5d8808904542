"""Starts the real Triton on this machine, without Docker: `uv run -m triton_utils.server`."""

import http.client
import os
import socket
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Self

import psutil

from rec_sys.console import say
from rec_sys.contracts import InputError
from rec_sys.entry import run_entry
from rec_sys.files import writable_folder
from rec_sys.settings import Section, TritonSettings
from triton_utils.core import BACKEND, TritonCore, find_core
from triton_utils.process import ServerProcess

_ATTEMPTS: Final = 3  # a port that was free when it was chosen may be taken when Triton opens it
_PORT_IS_TAKEN: Final = "already in use"
_POLL_SECONDS: Final = 0.05
_KILL_AFTER_SECONDS: Final = 5.0  # beyond the time that Triton gives itself to stop
_SHARED_MEMORY: Final = Path("/dev/shm")
_EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class ServerSettings(Section):
    """Everything config/triton_server.yaml composes."""

    triton: TritonSettings


@dataclass(frozen=True)
class Ports:
    """Where the three protocols listen."""

    grpc: int
    http: int
    metrics: int


@dataclass(frozen=True)
class Endpoints:
    """Where a server can be reached.

    Attributes:
        grpc: `host:port`, as gRPC clients take it.
        http: The base address of the HTTP protocol.
        metrics: Prometheus metrics.
    """

    grpc: str
    http: str
    metrics: str


class TritonServer:
    """A Triton that serves while this object is entered, and no longer than this process lives.

    Attributes:
        endpoints: Where it can be reached, once it is entered.
    """

    endpoints: Endpoints

    def __init__(self, settings: TritonSettings) -> None:
        self._settings = settings
        self._process: ServerProcess | None = None
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts the server and returns when every model has answered its warm-up requests.

        Raises:
            InputError: There is no Triton for this platform, nothing to serve, a port is taken, or the server ended
                or took too long; the message has the last lines of its log.
        """
        core = find_core()
        from triton_utils.repository import ModelRepository  # onnx and gRPC take long to import

        repository = ModelRepository(self._settings.model_repository)
        if not repository.models():
            raise InputError(
                "there is no model to serve",
                where=str(repository.folder),
                remedy="run rec_sys.modules.model_export first, or choose a folder with triton.model_repository=...",
            )
        with ExitStack() as stack:
            scratch = Path(stack.enter_context(TemporaryDirectory(prefix="triton-")))
            core.write_backends(scratch / "backends")
            log_path = (self._settings.log_path or scratch / "triton.log").absolute()
            writable_folder(log_path.parent)
            stack.callback(_end_helpers, scratch)
            stack.callback(self._stop_process)
            folder = _without_blanks(repository.folder, scratch / "models")
            ports = self._start_process(core, folder, scratch / "backends", log_path)
            self._cleanup = stack.pop_all()
        host = _EVERY_ADDRESS.get(self._settings.host, self._settings.host)
        host = f"[{host}]" if ":" in host else host
        self.endpoints = Endpoints(
            f"{host}:{ports.grpc}", f"http://{host}:{ports.http}", f"http://{host}:{ports.metrics}/metrics"
        )

    def stop(self) -> None:
        """Lets the server finish what is under way, then ends it; nothing happens where it has ended."""
        self._cleanup.close()

    def is_alive(self) -> bool:
        """Whether the process runs; one that has died is still to be stopped, for what it leaves."""
        return self._process is not None and self._process.is_alive()

    @property
    def process_id(self) -> int | None:
        """The server's process, while it is entered."""
        return None if self._process is None else self._process.process_id

    def wait(self) -> None:
        """Returns only by its error.

        Raises:
            InputError: The server has ended; the message says how, with the last lines of its log.
        """
        assert self._process is not None
        self._process.wait()
        raise self._explain("Triton ended while it was serving")

    def _start_process(self, core: TritonCore, repository: Path, backends: Path, log_path: Path) -> Ports:
        for attempt in range(1, _ATTEMPTS + 1):
            ports = choose_ports(self._settings)
            command = [str(core.program), *self._arguments(repository, backends, ports)]
            self._process = ServerProcess(command, core.environment(), log_path)
            if self._becomes_ready(ports):
                return ports
            taken = any(_PORT_IS_TAKEN in line for line in self._process.last_lines())
            if not taken or attempt == _ATTEMPTS:
                break
        raise self._explain("Triton ended before it was ready")

    def _arguments(self, repository: Path, backends: Path, ports: Ports) -> list[str]:
        settings = self._settings
        arguments = {
            "model-repository": repository,
            "backend-directory": backends,
            "model-control-mode": "poll" if settings.poll_seconds else "none",
            "repository-poll-secs": max(1, settings.poll_seconds),
            "http-address": settings.host,
            "http-port": ports.http,
            "grpc-address": settings.host,
            "grpc-port": ports.grpc,
            "metrics-address": settings.host,
            "metrics-port": ports.metrics,
            "exit-timeout-secs": max(1, round(settings.stop_timeout_seconds)),
            "backend-config": f"{BACKEND},stub-timeout-seconds={max(1, round(settings.start_timeout_seconds))}",
        }
        # The configurations are complete; guessing at them would start one more process for every model.
        return ["--disable-auto-complete-config", *(f"--{name}={value}" for name, value in arguments.items())]

    def _becomes_ready(self, ports: Ports) -> bool:
        """Waits; False where the process has ended."""
        assert self._process is not None
        deadline = time.monotonic() + self._settings.start_timeout_seconds
        host = _EVERY_ADDRESS.get(self._settings.host, self._settings.host)
        while self._process.is_alive():
            if _is_ready(host, ports.http):
                return True
            if time.monotonic() > deadline:
                raise self._explain(f"Triton was not ready after {self._settings.start_timeout_seconds:g} seconds")
            time.sleep(_POLL_SECONDS)
        return False

    def _explain(self, what: str) -> InputError:
        assert self._process is not None
        lines = self._process.last_lines()
        kept = self._settings.log_path is not None
        return InputError(
            f"{what} ({self._process.how_it_ended()}); the last lines of its log:\n"
            + "\n".join(f"    {line}" for line in lines),
            where=str(self._process.log_path) if kept else "its log, which is not kept",
            remedy="mend what the log names and start it again"
            + ("" if kept else "; triton.log_path=... keeps the whole log"),
        )

    def _stop_process(self) -> None:
        if self._process is not None:
            self._process.stop(self._settings.stop_timeout_seconds + _KILL_AFTER_SECONDS)
            self._process = None


def _end_helpers(scratch: Path) -> None:
    """Ends the backend's processes that a killed server has left, and frees their shared memory."""
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if not command or not command[0].startswith(f"{scratch}{os.sep}"):
            continue
        with suppress(psutil.NoSuchProcess):
            process.kill()
            process.wait(_KILL_AFTER_SECONDS)
        # The word behind the model names the memory that it shares with the server.
        if len(command) > 2:
            (_SHARED_MEMORY / Path(command[2]).name).unlink(missing_ok=True)


def _without_blanks(repository: Path, link: Path) -> Path:
    """A path to the repository that the backend's helpers can read: their command line is cut at every blank."""
    if not any(character.isspace() for character in str(repository)):
        return repository
    link.symlink_to(repository)
    return link


def choose_ports(settings: TritonSettings) -> Ports:
    """The ports that the settings name, free ones in place of zeros.

    Raises:
        InputError: A named port is taken, or the address is not one of this machine's.
    """
    with ExitStack() as stack:
        numbers = {}
        for name in ("grpc", "http", "metrics"):
            wanted = getattr(settings, f"{name}_port")
            family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
            # Held until all are chosen, so that no two are the same.
            holder = stack.enter_context(socket.socket(family))
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                holder.bind((settings.host, wanted))
                holder.listen()
            except OSError as error:
                raise InputError(
                    f"Triton cannot listen at {settings.host}:{wanted}: {error.strerror}",
                    where=f"setting triton.{name}_port={wanted}, triton.host={settings.host}",
                    remedy="stop what listens there, or choose another port; 0 takes a free one",
                ) from error
            numbers[name] = int(holder.getsockname()[1])
    return Ports(**numbers)


def _is_ready(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/v2/health/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False  # not listening yet
    finally:
        connection.close()


def run(settings: ServerSettings) -> None:
    """Serves until a signal comes or the server ends."""
    with TritonServer(settings.triton) as server:
        from triton_utils.repository import ModelRepository

        repository = ModelRepository(settings.triton.model_repository)
        for name, versions in repository.models().items():
            say(f"model: {name}, version {versions[-1]}")
        say(f"grpc: {server.endpoints.grpc}")
        say(f"http: {server.endpoints.http}")
        say(f"metrics: {server.endpoints.metrics}")
        say("ready")
        server.wait()


if __name__ == "__main__":
    run_entry(run, ServerSettings, "triton_server")
