"""Clients that send or read slowly, or not at all, keep nobody else waiting; those that cannot be read are told why."""

import json
import logging
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from rec_sys.serving.application import create_application
from rec_sys.serving.connections import connection_limits
from rec_sys.serving.listening import address_of, listen
from rec_sys.serving.logs import OneASecond
from rec_sys.serving.service import GatewayServer
from rec_sys.settings import ServingSettings
from tests.scripted_recommender import ScriptedRecommender
from tests.triton_servers import until

HEAD = b"POST /v1/recommendations HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n"
BODY = b'{"reviews": [{"asin": "p1"}]}'


@dataclass
class Service:
    """A service that listens."""

    url: str
    server: GatewayServer

    def connect(self, sent: bytes = b"", receive_buffer: int | None = None) -> socket.socket:
        client = socket.socket()
        if receive_buffer is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(20)
        client.connect(("127.0.0.1", int(self.url.rpartition(":")[2])))
        client.sendall(sent)
        return client

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)

    def post(self) -> httpx.Response:
        return httpx.post(f"{self.url}/v1/recommendations", content=BODY, headers={"Content-Type": "application/json"})


Serve = Callable[..., Service]


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:

        def serve_with(**given: Any) -> Service:
            settings = ServingSettings.model_validate({"port": 0, "stop_timeout_seconds": 1} | given)
            listener = stack.enter_context(listen(settings))
            server = GatewayServer(create_application(settings, ScriptedRecommender()), settings, lambda: None)
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
            thread.start()
            stack.callback(thread.join)
            stack.callback(lambda: setattr(server, "should_exit", True))
            assert until(lambda: server.started)
            return Service(address_of(listener), server)

        yield serve_with


def read_all(client: socket.socket) -> bytes:
    found = b""
    try:
        while part := client.recv(65536):
            found += part
    except ConnectionResetError:
        pass
    return found


def problem_in(answer: bytes) -> dict[str, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    problem: dict[str, Any] = json.loads(body)
    assert head.startswith(f"HTTP/1.1 {problem['status']} ".encode())
    assert problem["request_id"].encode() in head
    return problem


def drip(client: socket.socket, part: bytes, times: int = 200) -> None:
    """Sends a byte now and then, as who wants to be waited for."""
    try:
        for _ in range(times):
            client.sendall(part)
            time.sleep(0.05)
    except OSError:
        return


@pytest.mark.parametrize(
    ("begun", "part"),
    [(HEAD, b"X"), (HEAD + b"Content-Length: 10000\r\n\r\n", b" ")],
    ids=["head", "body"],
)
def test_a_head_or_body_that_does_not_come_to_its_end_is_refused_in_time(
    begun: bytes, part: bytes, serve: Serve
) -> None:
    service = serve(receive_timeout_seconds=0.5)
    with service.connect(begun) as client:
        threading.Thread(target=drip, args=(client, part), daemon=True).start()
        began = time.monotonic()
        problem = problem_in(read_all(client))
        assert time.monotonic() - began < 5
    assert problem["status"] == 408
    assert "0.5 s" in problem["error"]
    assert until(lambda: service.connections == 0, 5)


@pytest.mark.parametrize("asked", [b"", b"GET /health/live HTTP/1.1\r\nHost: gateway\r\n\r\n"], ids=["new", "kept"])
def test_a_connection_without_a_request_is_ended(asked: bytes, serve: Serve) -> None:
    service = serve(receive_timeout_seconds=0.5, idle_timeout_seconds=1)
    with service.connect(asked) as client:
        answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 200") is bool(asked)
    assert answer.count(b"HTTP/1.1") == bool(asked)


def test_a_byte_after_an_answer_does_not_keep_a_connection(serve: Serve) -> None:
    service = serve(receive_timeout_seconds=0.5, idle_timeout_seconds=60)
    with service.connect(b"GET /health/live HTTP/1.1\r\nHost: gateway\r\n\r\nG") as client:
        answers = read_all(client)
    assert answers.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 408" in answers


def test_a_client_that_does_not_read_its_answers_is_ended(serve: Serve) -> None:
    service = serve(receive_timeout_seconds=0.5)
    pipelined = b"GET /openapi.json HTTP/1.1\r\nHost: gateway\r\n\r\n" * 400  # some 10 MB of answers
    with service.connect(pipelined, receive_buffer=4096):
        assert until(lambda: service.connections == 1, 5)
        assert until(lambda: service.connections == 0, 20)


def test_slow_bodies_take_no_place(serve: Serve) -> None:
    service = serve(max_in_progress=2, receive_timeout_seconds=20)
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(service.connect(HEAD + b"Content-Length: 100\r\n\r\n{"))
        assert until(lambda: service.connections == 20, 5)
        assert service.post().status_code == 200


def test_one_connection_more_ends_the_one_that_is_waited_for_longest(serve: Serve) -> None:
    service = serve(max_connections=5, receive_timeout_seconds=30)
    silent = [service.connect() for _ in range(5)]
    assert until(lambda: service.connections == 5, 5)
    assert service.post().status_code == 200
    assert silent[0].recv(1) == b""
    silent[1].setblocking(False)
    with pytest.raises(BlockingIOError):
        silent[1].recv(1)
    for client in silent:
        client.close()


def test_bodies_that_fill_the_memory_are_refused(serve: Serve) -> None:
    service = serve(max_in_progress=2, max_body_bytes=1_000, receive_timeout_seconds=20)
    slow = HEAD + b"Content-Length: 1000\r\n\r\n" + b" " * 900
    with service.connect(slow), service.connect(slow), service.connect(slow) as third:
        assert problem_in(read_all(third))["status"] == 503
    assert until(lambda: service.connections == 0, 5)
    assert service.post().status_code == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nNo colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: gateway\r\nX: " + b"x" * 100_000, 431),
        (b"GET /v1/products/search?q=" + b"x" * 100_000, 414),
        (HEAD + b"Transfer-Encoding: gzip\r\n\r\n", 501),
    ],
)
def test_what_is_no_request_is_refused_in_words(sent: bytes, status: int, serve: Serve) -> None:
    with serve().connect(sent) as client:
        assert problem_in(read_all(client))["status"] == status


def test_a_browser_whose_head_is_too_long_reads_a_page(serve: Serve) -> None:
    asked = b"Host: gateway\r\nAccept: text/html\r\nCookie: " + b"x" * 100_000
    with serve().connect(b"GET / HTTP/1.1\r\n" + asked) as client:
        head, _, page = read_all(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431")
    assert b"Content-Type: text/html" in head
    assert b"data-fault" in page


def test_the_limit_of_connections_follows_the_open_files_that_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: given.append(limits))
    for hard, connections, raised in ((100_000, 5_000, [(10_000, 100_000)]), (1_000, 500, [(1_000, 1_000)])):
        monkeypatch.setattr(resource, "getrlimit", lambda _, hard=hard: (256, hard))
        assert connection_limits(ServingSettings(max_connections=5_000)).most == connections
        assert given == raised
        given.clear()


def test_a_warning_is_written_once_a_second_and_tells_how_often_it_came() -> None:
    once, log = OneASecond(), logging.getLogger("test")

    def warn(created: float, line: int = 1, level: int = logging.WARNING) -> str | None:
        record = log.makeRecord("library", level, "library.py", line, "no file %s", ("left",), None)
        record.created = created
        return record.getMessage() if once.filter(record) else None

    assert [warn(moment) for moment in (10.0, 10.1, 10.9)] == ["no file left", None, None]
    assert warn(10.5, line=2) == "no file left"
    assert [warn(10.6, level=logging.INFO) for _ in range(2)] == ["no file left"] * 2
    assert warn(11.1) == "no file left (2 more like it before)"
    assert warn(12.2) == "no file left"
