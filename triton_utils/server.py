"""Starts the real Triton on this machine, without Docker: `uv run -m triton_utils.server`."""

import http.client
import logging
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Self

from rec_sys.console import say
from rec_sys.contracts import InputError
from rec_sys.entry import run_entry
from rec_sys.files import writable_folder
from rec_sys.settings import Section, TritonSettings
from triton_utils.core import STUBS_BACKEND, TritonCore, find_core
from triton_utils.ports import Endpoints, Ports, choose_ports, endpoints_of, reachable_host
from triton_utils.process import ServerProcess
from triton_utils.stubs import StubProcesses

_ATTEMPTS: Final = 3  # a port that was free when it was chosen may be taken when Triton opens it
_PORT_IS_TAKEN: Final = "already in use"
_POLL_SECONDS: Final = 0.05
_KILL_AFTER_SECONDS: Final = 5.0  # beyond the time that Triton gives itself to stop
_LOOK_SECONDS: Final = 0.5
_RESTARTS_ARE_COUNTED_SECONDS: Final = 3600.0

_LOG = logging.getLogger(__name__)


class TritonEnded(InputError):
    """A server that was serving does no more."""


class ServerSettings(Section):
    """Everything config/triton_server.yaml composes."""

    triton: TritonSettings


class TritonServer:
    """A Triton that serves while this object is entered, and no longer than this process lives.

    Attributes:
        ports: Where it listens, once it is entered.
        endpoints: The same as addresses.
    """

    ports: Ports
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
            backends = scratch / "backends"
            core.write_backends(backends)
            log_path = (self._settings.log_path or scratch / "triton.log").absolute()
            writable_folder(log_path.parent)
            self._stubs = StubProcesses(backends, scratch.name)
            stack.callback(self._stubs.end)
            stack.callback(self._stop_process)
            folder = _without_blanks(repository.folder, scratch / "models")
            self.ports = self._start_process(core, folder, backends, log_path)
            self._cleanup = stack.pop_all()
        self.endpoints = endpoints_of(self._settings.host, self.ports)

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
            TritonEnded: The server has ended, or a model's process has, without which every request to it would fail;
                the message says how, with the last lines of its log.
        """
        assert self._process is not None
        while not self._process.wait(_LOOK_SECONDS):
            model = self._stubs.find_lost(self._process.process_id)
            if model is not None:
                error = self._explain(f"the process of {model} died while Triton was serving", TritonEnded)
                self._process.stop(0)  # what it could not unload it would wait for
                raise error
        raise self._explain("Triton ended while it was serving", TritonEnded)

    def _start_process(self, core: TritonCore, repository: Path, backends: Path, log_path: Path) -> Ports:
        for attempt in range(1, _ATTEMPTS + 1):
            ports = choose_ports(self._settings)
            command = [str(core.program), *self._arguments(repository, backends, ports)]
            self._process = ServerProcess(command, core.environment(), log_path)
            if self._becomes_ready(ports):
                self._stubs.find_lost(self._process.process_id)  # from now on it knows their models
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
        }
        stubs = {
            "stub-timeout-seconds": max(1, round(settings.start_timeout_seconds)),
            "shm-region-prefix-name": backends.parent.name,
        }
        # The configurations are complete; guessing at them would start one more process for every model.
        return [
            "--disable-auto-complete-config",
            *(f"--{name}={value}" for name, value in arguments.items()),
            *(f"--backend-config={STUBS_BACKEND},{name}={value}" for name, value in stubs.items()),
        ]

    def _becomes_ready(self, ports: Ports) -> bool:
        """Waits; False where the process has ended."""
        assert self._process is not None
        deadline = time.monotonic() + self._settings.start_timeout_seconds
        host = reachable_host(self._settings.host)
        while self._process.is_alive():
            if _is_ready(host, ports.http):
                return True
            if time.monotonic() > deadline:
                raise self._explain(f"Triton was not ready after {self._settings.start_timeout_seconds:g} seconds")
            time.sleep(_POLL_SECONDS)
        return False

    def _explain(self, what: str, kind: type[InputError] = InputError) -> InputError:
        assert self._process is not None
        lines = self._process.last_lines()
        how = "" if self._process.is_alive() else f" ({self._process.how_it_ended()})"
        kept = self._settings.log_path is not None
        return kind(
            f"{what}{how}; the last lines of its log:\n" + "\n".join(f"    {line}" for line in lines),
            where=str(self._process.log_path) if kept else "its log, which is not kept",
            remedy="mend what the log names and start it again"
            + ("" if kept else "; triton.log_path=... keeps the whole log"),
        )

    def _stop_process(self) -> None:
        if self._process is not None:
            self._process.stop(self._settings.stop_timeout_seconds + _KILL_AFTER_SECONDS)
            self._process = None


def _without_blanks(repository: Path, link: Path) -> Path:
    """A path to the repository that the backend's helpers can read: their command line is cut at every blank."""
    if not any(character.isspace() for character in str(repository)):
        return repository
    link.symlink_to(repository)
    return link


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
    """Serves until a signal comes or the server has ended more often than the settings allow."""
    triton, ended = settings.triton, list[float]()
    while True:
        try:
            with TritonServer(triton) as server:
                _announce(server, triton.model_repository)
                triton = triton.model_copy(update={f"{name}_port": port for name, port in asdict(server.ports).items()})
                server.wait()
        except TritonEnded as error:
            now = time.monotonic()
            ended = [moment for moment in ended if now - moment < _RESTARTS_ARE_COUNTED_SECONDS] + [now]
            if len(ended) > triton.restarts:
                raise
            _LOG.warning("%s\nTriton is started again, %d of %d times an hour", error, len(ended), triton.restarts)


def _announce(server: TritonServer, folder: Path) -> None:
    from triton_utils.repository import ModelRepository

    for name, versions in ModelRepository(folder).models().items():
        say(f"model: {name}, version {versions[-1]}")
    say(f"grpc: {server.endpoints.grpc}")
    say(f"http: {server.endpoints.http}")
    say(f"metrics: {server.endpoints.metrics}")
    say("ready")


if __name__ == "__main__":
    run_entry(run, ServerSettings, "triton_server")
