"""Where no server answers, health is false and requests say so in time."""

import asyncio
import socket
import time
from collections.abc import Coroutine
from typing import Any

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from rec_sys.contracts import InputError
from rec_sys.settings import TritonSettings
from triton_utils.client import TritonClient
from triton_utils.connection import TritonConnection, TritonError, TritonTimeout, TritonUnavailable
from triton_utils.ports import choose_ports


@pytest.fixture
def nobody() -> str:
    """An address at which nobody listens."""
    return f"127.0.0.1:{choose_ports(TritonSettings(grpc_port=0, http_port=0, metrics_port=0)).grpc}"


def run(question: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(question)


def test_health_is_false_without_a_server(nobody: str) -> None:
    async def ask() -> list[bool]:
        async with TritonClient(nobody) as client:
            return [await client.is_ready(), await client.is_model_ready("user_tower")]

    assert run(ask()) == [False, False]


def test_a_request_without_a_server_fails_within_its_deadline(nobody: str) -> None:
    async def ask() -> None:
        async with TritonClient(nobody, deadline_seconds=1.0) as client:
            await client.infer("user_tower", {"mask": np.ones((1, 1), dtype=np.float32)})

    began = time.monotonic()
    with pytest.raises(TritonUnavailable, match=f"Triton at {nobody} is unavailable for user_tower"):
        run(ask())
    assert time.monotonic() - began < 30


def test_a_server_that_does_not_answer_is_not_waited_for() -> None:
    async def ask(url: str) -> None:
        async with TritonClient(url, deadline_seconds=0.3) as client:
            assert not await client.is_ready()
            await client.infer("user_tower", {"mask": np.ones((1, 1), dtype=np.float32)})

    began = time.monotonic()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(TritonUnavailable, match=r"user_tower"):
            run(ask(f"127.0.0.1:{silent.getsockname()[1]}"))
    assert time.monotonic() - began < 30


class Answers:
    """A call that fails in the given ways, one after the other, and then answers."""

    def __init__(self, *statuses: str) -> None:
        self.statuses = list(statuses)
        self.deadlines: list[float] = []

    async def __call__(self, client: Any, seconds: float) -> str:
        self.deadlines.append(seconds)
        if self.statuses:
            raise InferenceServerException("so it is", status=f"StatusCode.{self.statuses.pop(0)}")
        return "answer"


def ask(call: Answers, *, attempts: int = 4, deadline_seconds: float = 5.0) -> str:
    async def question() -> str:
        connection = TritonConnection("127.0.0.1:1", attempts, backoff_seconds=0.001)
        try:
            return await connection.ask(call, "user_tower", deadline_seconds)
        finally:
            await connection.close()

    return str(run(question()))


def test_an_unavailable_server_is_asked_again_within_the_same_deadline() -> None:
    call = Answers("UNAVAILABLE", "UNAVAILABLE")
    assert ask(call) == "answer"
    assert len(call.deadlines) == 3
    assert call.deadlines == sorted(call.deadlines, reverse=True)
    assert call.deadlines[0] <= 5


def test_tries_are_counted() -> None:
    for attempts in (1, 3):
        call = Answers(*["UNAVAILABLE"] * 9)
        with pytest.raises(TritonUnavailable):
            ask(call, attempts=attempts)
        assert len(call.deadlines) == attempts


def test_no_try_begins_after_the_deadline() -> None:
    call = Answers(*["UNAVAILABLE"] * 9)
    with pytest.raises(TritonUnavailable):
        ask(call, deadline_seconds=0.0)
    assert len(call.deadlines) == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("DEADLINE_EXCEEDED", TritonTimeout),
        ("NOT_FOUND", InputError),
        ("INVALID_ARGUMENT", InputError),
        ("INTERNAL", TritonError),
        ("CANCELLED", TritonError),
    ],
)
def test_what_another_try_would_not_mend_is_not_tried_again(status: str, error: type[Exception]) -> None:
    call = Answers(status)
    with pytest.raises(error, match="user_tower") as caught:
        ask(call)
    assert len(call.deadlines) == 1
    assert type(caught.value) is error
