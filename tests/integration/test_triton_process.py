"""Triton's process: it starts, stops with us, dies and comes back, and says why where it cannot."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rec_sys.contracts import InputError
from rec_sys.settings import TritonSettings
from tests.served_models import candidate, expected_sums, some_entries, write_lookup, write_sums
from tests.triton_servers import children_of, is_running, needs_core, until
from triton_utils.client import TritonClient
from triton_utils.connection import TritonUnavailable
from triton_utils.ports import choose_ports
from triton_utils.repository import ModelRepository
from triton_utils.server import TritonServer

pytestmark = needs_core
REPOSITORY = Path(__file__).resolve().parents[2]
FREE = {"grpc_port": 0, "http_port": 0, "metrics_port": 0}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    repository = ModelRepository(tmp_path / "models")
    repository.publish(candidate(write_sums(tmp_path / "sums.onnx"), lengths=[8]))
    return repository.folder


def settings(models: Path, **changes: Any) -> TritonSettings:
    return TritonSettings.model_validate(FREE | {"model_repository": models, "stop_timeout_seconds": 3} | changes)


class Command:
    """`python -m triton_utils.server`, as a user starts it."""

    def __init__(self, models: Path, folder: Path, restarts: int) -> None:
        arguments = [f"triton.{name}={value}" for name, value in (FREE | {"restarts": restarts}).items()]
        self.errors = folder / "errors.txt"
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "triton_utils.server", f"triton.model_repository={models}", *arguments],
                cwd=REPOSITORY,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.said: list[str] = []
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.said.append(line.strip())
            if line == "ready\n":
                break
        [self.triton] = children_of(self.process.pid)
        self.stubs = children_of(self.triton)

    @property
    def grpc(self) -> str:
        return next(line for line in self.said if line.startswith("grpc: ")).removeprefix("grpc: ")


@contextmanager
def command(models: Path, folder: Path, restarts: int = 0) -> Iterator[Command]:
    started = Command(models, folder, restarts)
    try:
        yield started
    finally:
        for process_id in (started.process.pid, started.triton):
            if is_running(process_id):
                os.kill(process_id, signal.SIGKILL)
        started.process.wait(200)
        assert started.process.stdout
        started.process.stdout.close()


def everything_ended(started: Command) -> bool:
    return not any(map(is_running, [started.process.pid, started.triton, *started.stubs]))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_command_serves_until_a_signal_comes(
    models: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    with command(models, tmp_path) as started:
        assert started.said[0] == "model: sums, version 1"
        assert re.fullmatch(r"grpc: 127\.0\.0\.1:\d+", started.said[1])
        assert re.fullmatch(r"http: http://127\.0\.0\.1:\d+", started.said[2])
        assert re.fullmatch(r"metrics: http://127\.0\.0\.1:\d+/metrics", started.said[3])
        assert started.stubs
        started.process.send_signal(number)
        assert started.process.wait(300) == code
        assert until(lambda: everything_ended(started))


def test_nothing_is_left_when_the_command_is_killed(models: Path, tmp_path: Path) -> None:
    with command(models, tmp_path) as started:
        started.process.kill()
        started.process.wait(200)
        assert until(lambda: everything_ended(started))


def test_the_command_ends_when_triton_dies_and_says_how(models: Path, tmp_path: Path) -> None:
    with command(models, tmp_path) as started:
        os.kill(started.triton, signal.SIGKILL)
        assert started.process.wait(300) == 2
        assert until(lambda: everything_ended(started))
        message = started.errors.read_text()
    assert message.startswith("error: Triton ended while it was serving (ended by signal 9 (SIGKILL))")


def shared_memory_of(stub: int) -> Path:
    """What a stub shares with its server: the word behind its model."""
    return Path("/dev/shm", Path(f"/proc/{stub}/cmdline").read_bytes().split(b"\0")[2].decode())


def ask_once(address: str) -> dict[str, np.ndarray]:
    async def ask() -> dict[str, np.ndarray]:
        async with TritonClient(address, deadline_seconds=5, attempts=5) as client:
            return await client.infer("sums", some_entries(1, 8))

    return asyncio.run(ask())


def test_the_command_ends_when_the_process_of_a_model_dies(models: Path, tmp_path: Path) -> None:
    with command(models, tmp_path) as started:
        [stub] = started.stubs
        memory = shared_memory_of(stub)
        assert memory.exists()
        os.kill(stub, signal.SIGKILL)
        assert started.process.wait(20) == 2
        assert until(lambda: everything_ended(started))
        assert not memory.exists()
        message = started.errors.read_text()
    assert re.search(r"error: the process of \S+/sums/1/model\.onnx died while Triton was serving", message)


@pytest.mark.parametrize("part", ["triton", "stub"])
def test_the_command_starts_triton_again_at_the_same_ports_but_not_for_ever(
    models: Path, tmp_path: Path, part: str
) -> None:
    with command(models, tmp_path, restarts=1) as started:
        first = [started.triton, *started.stubs]
        memory = shared_memory_of(started.stubs[0])
        os.kill(started.triton if part == "triton" else started.stubs[0], signal.SIGKILL)
        said, started.said = started.said, []
        started.wait_until_ready()
        assert started.said == said
        assert until(lambda: not any(map(is_running, first)))
        assert not memory.exists()
        assert ask_once(started.grpc).keys() == {"total", "shares"}
        assert "started again, 1 of 1 times an hour" in started.errors.read_text()

        os.kill(started.triton if part == "triton" else started.stubs[0], signal.SIGKILL)
        assert started.process.wait(60) == 2
        assert until(lambda: everything_ended(started))


def test_versions_that_come_go_or_are_broken_are_no_deaths(models: Path, tmp_path: Path) -> None:
    with command(models, tmp_path) as started:
        repository = ModelRepository(models)
        repository.publish(candidate(tmp_path / "sums.onnx", identity="second", lengths=[8], kept_versions=1))
        assert until(lambda: set(children_of(started.triton)).isdisjoint(started.stubs), 60)
        after_second = children_of(started.triton)
        assert len(after_second) == 1
        broken = models / "sums" / "3" / "model.onnx"
        broken.parent.mkdir()
        broken.write_bytes(b"no model")
        seen = set()

        def look() -> bool:
            seen.update(children_of(started.triton))
            return len(seen) > 1 and len(children_of(started.triton)) <= 1

        assert until(look, 60)
        with pytest.raises(subprocess.TimeoutExpired):
            started.process.wait(3)  # six looks of the server's


async def becomes_ready(client: TritonClient) -> bool:
    """A connection that failed is tried again within a second."""
    for _ in range(50):
        if await client.is_ready():
            return True
        await asyncio.sleep(0.1)
    return False


def test_a_client_lives_through_the_death_of_its_server(models: Path) -> None:
    inputs = some_entries(1, 8)
    ports = choose_ports(settings(models))
    named = settings(models, grpc_port=ports.grpc, http_port=ports.http, metrics_port=ports.metrics)

    async def ask() -> dict[str, np.ndarray]:
        async with TritonClient(f"127.0.0.1:{ports.grpc}", deadline_seconds=2, attempts=2) as client:
            assert not await client.is_ready()
            with TritonServer(named) as server:
                assert await becomes_ready(client)
                await client.infer("sums", inputs)
                assert server.process_id is not None
                os.kill(server.process_id, signal.SIGKILL)
                assert until(lambda: not server.is_alive())
                assert not await client.is_ready()
                with pytest.raises(TritonUnavailable, match="unavailable for sums"):
                    await client.infer("sums", inputs)
            with TritonServer(named):
                assert await becomes_ready(client)
                return await client.infer("sums", inputs)

    np.testing.assert_allclose(asyncio.run(ask())["total"], expected_sums(inputs)["total"], atol=1e-5)


def test_of_three_servers_one_may_die_and_come_back_without_a_failed_answer(models: Path) -> None:
    inputs = some_entries(1, 8)
    ports = [choose_ports(settings(models)) for _ in range(3)]
    named = [settings(models, grpc_port=own.grpc, http_port=own.http, metrics_port=own.metrics) for own in ports]

    async def asked_of(server: TritonServer) -> int:
        with urllib.request.urlopen(f"{server.endpoints.http}/v2/models/sums/stats", timeout=20) as response:
            return int(json.load(response)["model_stats"][-1]["inference_count"])

    async def ask() -> int:
        url = ",".join(f"localhost:{own.grpc}" for own in ports)
        answers, over = 0, asyncio.Event()
        with ExitStack() as stack:
            servers = [stack.enter_context(TritonServer(one)) for one in named]
            async with TritonClient(url, deadline_seconds=10) as client:

                async def ask_on() -> None:
                    nonlocal answers
                    while not over.is_set():
                        found = await client.infer("sums", inputs)
                        np.testing.assert_allclose(found["total"], expected_sums(inputs)["total"], atol=1e-5)
                        answers += 1

                asking = [asyncio.create_task(ask_on()) for _ in range(4)]
                await asyncio.sleep(0.3)
                assert min([await asked_of(server) for server in servers]) > 0
                assert servers[1].process_id is not None
                os.kill(servers[1].process_id, signal.SIGKILL)
                await asyncio.sleep(0.3)
                await asyncio.to_thread(servers[1].stop)
                await asyncio.to_thread(servers[1].start)
                before = await asked_of(servers[1])
                for _ in range(200):
                    await asyncio.sleep(0.05)
                    if await asked_of(servers[1]) > before:
                        break
                over.set()
                await asyncio.gather(*asking)
                assert await asked_of(servers[1]) > before
        return answers

    assert asyncio.run(ask()) > 20


def test_a_model_that_cannot_be_loaded_is_named(models: Path, tmp_path: Path) -> None:
    shutil.copy(write_lookup(tmp_path / "lookup.onnx"), models / "sums" / "1" / "model.onnx")
    server = TritonServer(settings(models, log_path=tmp_path / "logs" / "triton.log"))
    with pytest.raises(InputError, match="Triton ended before it was ready") as caught, server:
        pytest.fail("it started")
    assert "has the inputs ['ids'], its config.pbtxt ['entries', 'flag', 'mask']" in caught.value.what
    assert caught.value.where == str(tmp_path / "logs" / "triton.log")
    assert "config.pbtxt" in (tmp_path / "logs" / "triton.log").read_text()
    assert not server.is_alive()


def test_a_gpu_that_is_not_there_is_named(tmp_path: Path) -> None:
    repository = ModelRepository(tmp_path / "models")
    repository.publish(candidate(write_sums(tmp_path / "sums.onnx"), lengths=[8], device="gpu"))
    with (
        pytest.raises(InputError, match="Triton ended before it was ready") as caught,
        TritonServer(settings(repository.folder)),
    ):
        pytest.fail("it started")
    assert "GPU" in caught.value.what


def test_too_little_time_to_start_is_said_and_leaves_nothing_behind(models: Path) -> None:
    # Other tests may have left this process a child of theirs, such as multiprocessing's resource tracker.
    before = set(children_of(os.getpid()))
    server = TritonServer(settings(models, start_timeout_seconds=0.001))
    with pytest.raises(InputError, match=r"not ready after 0\.001 seconds"), server:
        pytest.fail("it started")
    assert not server.is_alive()
    assert set(children_of(os.getpid())) <= before
