"""Connections end where their clients keep the service waiting, and one that is over makes room for the next."""

import logging
import resource
import sys
import uuid
from asyncio import TimerHandle, Transport
from dataclasses import dataclass, field
from enum import Enum, auto
from http import HTTPStatus
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from rec_sys.serving.admission import DISCARDING_SECONDS
from rec_sys.serving.page.problem_pages import HTML, problem_page
from rec_sys.serving.page.rendering import HEADERS
from rec_sys.serving.problems import PROBLEM_TYPE, Problem
from rec_sys.settings import ServingSettings

_CONNECTIONS_SHARE: Final = 2  # of the file descriptors that a process may have; the rest is its own
_FEWEST_FILES: Final = 512

_LOG = logging.getLogger(__name__)


class _Wait(Enum):
    """What a connection waits for its client to do."""

    REQUEST = auto()  # to send the next one; uvicorn's own timer ends it
    HEAD = auto()  # to send the first, or to end a head that it has begun
    BODY = auto()  # to end a body; the application refuses it earlier, where it still reads
    READING = auto()  # to read an answer
    CLOSING = auto()  # to read the last of an answer


_TO_RECEIVE: Final = (_Wait.REQUEST, _Wait.HEAD, _Wait.BODY)


@dataclass(frozen=True)
class ConnectionLimits:
    """What all connections of a service share.

    Attributes:
        most: Connections at once.
        seconds: The longest time for each wait.
        awaited: Connections whose clients have something to send, whoever is waited for longest first.
    """

    most: int
    seconds: dict[_Wait, float]
    awaited: "dict[LimitedConnection, None]" = field(default_factory=dict)


def connection_limits(settings: ServingSettings) -> ConnectionLimits:
    """The limits that the settings ask for, as far as this process may have open files; its own limit is raised."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(_FEWEST_FILES, settings.max_connections * _CONNECTIONS_SHARE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        soft = allowed
    files = wanted if soft == resource.RLIM_INFINITY else soft
    most = min(settings.max_connections, files // _CONNECTIONS_SHARE)
    if most < settings.max_connections:
        _LOG.warning("%d connections fit, since this process may have %d open files (ulimit -Hn)", most, files)
    receive = settings.receive_timeout_seconds
    seconds = {
        _Wait.HEAD: receive,
        _Wait.BODY: receive + 2 * DISCARDING_SECONDS,
        _Wait.READING: receive,
        _Wait.CLOSING: receive,
    }
    return ConnectionLimits(most, seconds)


class LimitedConnection(H11Protocol):
    """uvicorn's connection, which by itself waits for ever for a head, a body and a reader of an answer."""

    def __init__(self, *given: Any, limits: ConnectionLimits, **named: Any) -> None:
        super().__init__(*given, **named)
        self._limits = limits
        self._wait: _Wait | None = None
        self._timer: TimerHandle | None = None
        self._has_answered = False

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Takes the connection, in place of another where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.most:
            longest = next(iter(self._limits.awaited), None)
            if longest is None:
                remedy = "try again after 1 s"
                self._refuse(503, f"{self._limits.most:,} connections are open, more do not fit", remedy)
            else:
                longest.make_room()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Lets go of it."""
        self._wait_for(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Reads on."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Waits for the next request."""
        self._has_answered = True
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        """The client does not read."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        self._watch()

    def send_400_response(self, msg: str) -> None:
        """Refuses what is no HTTP, in the words of every other refusal."""
        error = sys.exception()
        status = getattr(error, "error_status_hint", 400)
        if status == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE and b"\n" not in self.conn.trailing_data[0]:
            remedy = "ask for less at once, or by POST, whose body may be longer"
            self._refuse(414, "the address is longer than the service reads", remedy)
            return
        self._refuse(status, f"this is no request that can be read: {error or msg}", "send HTTP/1.1")

    def make_room(self) -> None:
        """Ends a connection whose client has not sent what it is waited for."""
        _LOG.warning("the service has as many connections as it may, and ends those that it waits for")
        self.transport.close()
        self._watch()

    def _watch(self) -> None:
        """Finds out what the connection waits for now, and for how long it may."""
        state = self.conn.their_state
        if self.transport.is_closing():
            self._wait_for(_Wait.CLOSING)
        elif self.flow.write_paused:
            self._wait_for(_Wait.READING)
        elif state is h11.SEND_BODY:
            self._wait_for(_Wait.BODY)
        elif state is not h11.IDLE:
            self._wait_for(None)
        else:
            self._wait_for(_Wait.REQUEST if self._has_answered and not self.conn.trailing_data[0] else _Wait.HEAD)

    def _wait_for(self, wait: _Wait | None) -> None:
        if wait is self._wait:
            return
        self._wait = wait
        self._limits.awaited.pop(self, None)
        if wait in _TO_RECEIVE:
            self._limits.awaited[self] = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if wait is not None and wait in self._limits.seconds:
            self._timer = self.loop.call_later(self._limits.seconds[wait], self._end)

    def _end(self) -> None:
        """The client has let the connection wait too long."""
        if self._wait is _Wait.HEAD and self.conn.trailing_data[0]:
            seconds = self._limits.seconds[_Wait.HEAD]
            self._refuse(408, f"the head of the request was not here after {seconds:g} s", "send all of it at once")
        elif self._wait is _Wait.HEAD:
            self.transport.close()
        else:
            self.transport.abort()
        self._watch()

    def _refuse(self, status: int, error: str, remedy: str) -> None:
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            request_id = uuid.uuid4().hex
            problem = Problem(status=status, error=error, where="the connection", remedy=remedy, request_id=request_id)
            # All that is known of who asks is what was read of the head.
            is_browser = HTML.encode() in bytes(self.conn.trailing_data[0])
            content = problem_page(problem) if is_browser else problem.model_dump_json().encode()
            headers = (
                HEADERS | {"Content-Type": f"{HTML}; charset=utf-8"} if is_browser else {"Content-Type": PROBLEM_TYPE}
            )
            headers |= {"X-Request-ID": request_id, "Connection": "close"}
            headers |= {"Content-Length": str(len(content))} | ({"Retry-After": "1"} if status == 503 else {})
            reason = HTTPStatus(status).phrase.encode()
            for event in (
                h11.Response(status_code=status, headers=list(headers.items()), reason=reason),
                h11.Data(data=content),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event))
        self.transport.close()
