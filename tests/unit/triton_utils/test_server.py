"""What can be refused before Triton is started is refused in plain words."""

import socket
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from rec_sys.contracts import InputError
from rec_sys.settings import TritonSettings
from tests.triton_servers import needs_core
from triton_utils.ports import Ports, choose_ports
from triton_utils.server import TritonServer


def settings(**changes: Any) -> TritonSettings:
    return TritonSettings.model_validate({"grpc_port": 0, "http_port": 0, "metrics_port": 0} | changes)


def test_zero_takes_free_ports_that_differ() -> None:
    ports = choose_ports(settings())
    numbers = {ports.grpc, ports.http, ports.metrics}
    assert len(numbers) == 3
    for number in numbers:
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", number))


def test_a_named_port_is_kept() -> None:
    free = choose_ports(settings()).grpc
    assert choose_ports(settings(grpc_port=free)).grpc == free


@pytest.mark.parametrize("name", ["grpc", "http", "metrics"])
def test_a_port_that_is_taken_is_named(name: str) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        with pytest.raises(InputError, match=f"cannot listen at 127.0.0.1:{taken}") as caught:
            choose_ports(settings(**{f"{name}_port": taken}))
    assert f"triton.{name}_port={taken}" in caught.value.where


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(InputError, match=r"cannot listen at 192\.0\.2\.1"):
        choose_ports(settings(host="192.0.2.1"))


def test_one_port_for_two_protocols_is_refused() -> None:
    with pytest.raises(ValidationError, match="must differ"):
        settings(grpc_port=8000, http_port=8000)


def test_the_time_to_start_reaches_the_backend_that_starts_the_models_processes() -> None:
    ports = Ports(grpc=1, http=2, metrics=3)
    given = TritonServer(settings(start_timeout_seconds=77))._arguments(Path("models"), Path("backends"), ports)
    assert "--backend-config=python,stub-timeout-seconds=77" in given


@needs_core
@pytest.mark.parametrize("content", [None, "folder", "no configuration"])
def test_a_repository_without_models_is_named(tmp_path: Path, content: str | None) -> None:
    folder = tmp_path / "models"
    if content is not None:
        (folder / content / "1").mkdir(parents=True)
    with (
        pytest.raises(InputError, match="there is no model to serve") as caught,
        TritonServer(settings(model_repository=folder)),
    ):
        pytest.fail("it started")
    assert caught.value.where == str(folder)
    assert "rec_sys.modules.model_export" in caught.value.remedy
