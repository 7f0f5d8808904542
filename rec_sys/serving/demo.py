"""The whole road in one command: `uv run -m rec_sys.serving.demo`.

Trains on the sample where there is no bundle, exports the towers, publishes the index, starts Triton and the gateway,
and prints three `curl` lines to try. Each step is the command that one would run by hand, in a process of its own.
"""

import http.client
import logging
import shlex
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field

from rec_sys.console import say
from rec_sys.contracts import InputError
from rec_sys.entry import run_entry
from rec_sys.processes import overrides
from rec_sys.ready_command import command_to_copy
from rec_sys.serving.commands import Command
from rec_sys.serving.listening import listen
from rec_sys.settings import CommandSettings, ServingSettings, TritonSettings
from triton_utils.core import find_core
from triton_utils.ports import choose_ports

if TYPE_CHECKING:
    from rec_sys.bundle import Bundle

_LOG: Final = logging.getLogger(__name__)

_READY_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.1


class DemoSettings(CommandSettings):
    """Everything config/demo.yaml composes."""

    bundle: Path | None = Field(None, description="Empty: the newest in output_dir, trained first where there is none.")
    training: tuple[str, ...] = Field((), description="Settings of that training, such as experiment=quick.")
    runtime: Literal["triton", "in_process"] = Field(
        "triton", description="in_process: no Triton, where its core does not run."
    )
    model_repository: Path = Field(Path("triton_utils/model_repository"), description="What Triton serves.")
    port: int = Field(0, ge=0, le=65535, description="Of the gateway; 0 = any free one.")
    triton_port: int = Field(0, ge=0, le=65535, description="Of Triton's gRPC; 0 = any free one.")


def run(settings: DemoSettings) -> None:
    """Returns only by an error or a signal; whatever was started is stopped then.

    Raises:
        InputError: A step failed, or a server ended.
    """
    from rec_sys.serving.curl_lines import curl_lines

    check_places(settings)
    bundle = prepare(settings)
    with ExitStack() as stack:
        servers = []
        triton_url = None
        if settings.runtime == "triton":
            servers.append(stack.enter_context(_triton(settings)))
            triton_url = servers[0].wait_for(("grpc",), "ready")["grpc"]
        gateway = stack.enter_context(_gateway(settings, triton_url))
        servers.append(gateway)
        url = gateway.wait_for(("gateway",), "listening")["gateway"]
        _wait_until_ready(url, servers)
        say(f"page: {url}/")
        say(f"gateway: {url}  (documentation: {url}/docs)")
        for line in curl_lines(url, bundle):
            say(line)
        say("ready")
        while True:
            servers[-1].pause()
            for server in servers:
                server.check()


def check_places(settings: DemoSettings) -> None:
    """Finds out before minutes of work whether what is made by it can be served.

    Raises:
        InputError: A port is taken, or Triton does not run here.
    """
    listen(ServingSettings(port=settings.port)).close()
    if settings.runtime == "triton":
        find_core()
        choose_ports(TritonSettings(grpc_port=settings.triton_port, http_port=0, metrics_port=0))


def prepare(settings: DemoSettings) -> "Bundle":
    """The bundle to serve, exported and published; trained first where there is none.

    Raises:
        InputError: A step failed.
    """
    from rec_sys.bundle import bundle_folders, find_bundle

    output_dir = settings.output_dir.absolute()
    if settings.bundle is None and not bundle_folders(output_dir):
        _LOG.info("demo: no bundle yet: training on the sample")
        _do("rec_sys.train.train", [*overrides({"output_dir": output_dir}), *settings.training])
    bundle = find_bundle(settings.bundle, output_dir)
    chosen = {"output_dir": output_dir, "bundle": bundle.folder.absolute()}
    if settings.runtime == "triton":
        repository = {"triton.model_repository": settings.model_repository.absolute()}
        _do("rec_sys.modules.model_export", overrides(chosen | repository))
    _do("rec_sys.vector_database.create_vectorbase", overrides(chosen))
    return bundle


def _do(module: str, given: list[str]) -> None:
    _LOG.info(f"demo: {command_to_copy(f'{module} {shlex.join(given)}')}")
    with Command(module, given) as command:
        command.finish()


def _triton(settings: DemoSettings) -> Command:
    chosen = {
        "triton.model_repository": settings.model_repository.absolute(),
        "triton.grpc_port": settings.triton_port,
        "triton.http_port": 0,
        "triton.metrics_port": 0,
    }
    return Command("triton_utils.server", overrides(chosen))


def _gateway(settings: DemoSettings, triton_url: str | None) -> Command:
    chosen: dict[str, object] = {
        "output_dir": settings.output_dir.absolute(),
        "serving.port": settings.port,
        "serving.token": None,
        "serving.log_format": "console",
        "serving.log_level": "warning",
    }
    if settings.bundle is not None:
        # Else whichever the index is made from, so that another can be trained and published meanwhile.
        chosen["bundle"] = settings.bundle.absolute()
    if triton_url is not None:
        chosen["inference.triton_url"] = triton_url
    return Command("rec_sys.serving.gateway", [f"inference={settings.runtime}", *overrides(chosen)])


def _wait_until_ready(url: str, servers: list[Command]) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while (said := _ask_ready(url)) is not None:
        for server in servers:
            server.check()
        if time.monotonic() > deadline:
            raise InputError(
                f"the gateway was not ready after {_READY_SECONDS:g} seconds",
                where=f"{url}/health/ready",
                remedy=f"it says: {said}",
            )
        time.sleep(_POLL_SECONDS)


def _ask_ready(url: str) -> str | None:
    """None where the gateway is ready, else what it says."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request("GET", "/health/ready")
        response = connection.getresponse()
        body = response.read().decode()
        return None if response.status == http.HTTPStatus.OK else body
    except OSError as error:
        return str(error)
    finally:
        connection.close()


if __name__ == "__main__":
    run_entry(run, DemoSettings, "demo")
