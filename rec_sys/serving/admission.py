"""Requests are let in when their body is here: none larger or slower than the settings allow, no more than fit."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rec_sys.serving.metrics import GatewayMetrics
from rec_sys.serving.problems import Refusal, respond
from rec_sys.settings import ServingSettings

# Probes and metrics are answered however busy the service is.
PROBES: Final = ("/health/", "/metrics")
_WITHOUT_BODY: Final = ("GET", "HEAD")  # what they send all the same is not read
# Read and thrown away, so that who is still sending gets to read the refusal instead of a broken connection.
_MOST_DISCARDED: Final = 32 * 1024 * 1024
DISCARDING_SECONDS: Final = 5.0
_CLOSE: Final = {"Connection": "close"}  # what may still come is not read


class Admission:
    """Reads bodies, which clients may send as slowly as they like, before their requests take a place.

    Args:
        application: What the requests lead to.
        metrics: Where those are counted that are turned away.
        settings: How much is taken.
        streamed: The address whose route reads its bodies itself, which may be larger, once it knows who sends them.
    """

    def __init__(self, application: ASGIApp, metrics: GatewayMetrics, settings: ServingSettings, streamed: str) -> None:
        self._application = application
        self._metrics = metrics
        self._settings, self._streamed = settings, streamed
        self._under_way = 0
        self._held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        if scope["type"] != "http" or scope["path"].startswith(PROBES):
            await self._application(scope, receive, send)
            return
        body = bytearray()
        try:
            if scope["method"] not in _WITHOUT_BODY and scope["path"] != self._streamed:
                if not await self._read_in_time(scope, receive, body):
                    return
                receive = _after(body, receive)
            with self._place():
                await self._application(scope, receive, send)
        except Refusal as refusal:
            problem = refusal.problem(scope["state"]["request_id"])
            await respond(problem, dict(refusal.headers or {}))(scope, receive, send)
        finally:
            self._held_bytes -= len(body)

    async def _read_in_time(self, scope: Scope, receive: Receive, body: bytearray) -> bool:
        """Reads the whole body; False where the client has left."""
        most, seconds = self._settings.max_body_bytes, self._settings.receive_timeout_seconds
        announced = dict(scope["headers"]).get(b"content-length", b"")
        if announced.isdigit() and int(announced) > most:
            if not waits_to_send(scope) and int(announced) <= _MOST_DISCARDED:
                await discard(receive)
            raise self._too_large()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await self._read(receive, body)
        raise Refusal(
            408,
            f"the body was not here after {seconds:g} s",
            where="body",
            remedy="send all of it at once, or less",
            headers=_CLOSE,
        )

    async def _read(self, receive: Receive, body: bytearray) -> bool:
        most, more = self._settings.max_body_bytes, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return False
            more = message.get("more_body", False)
            part = message.get("body", b"")
            body += part
            self._held_bytes += len(part)
            if len(body) > most:
                if more:
                    await discard(receive)
                raise self._too_large()
            if self._held_bytes > self._settings.max_in_progress * most:
                raise self._busy("the bodies of other requests fill the memory", **_CLOSE)
        return True

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._under_way >= self._settings.max_in_progress:
            raise self._busy(f"{self._settings.max_in_progress} requests are under way, more do not fit")
        self._under_way += 1
        self._metrics.in_progress.inc()
        try:
            yield
        finally:
            self._under_way -= 1
            self._metrics.in_progress.dec()

    def _busy(self, why: str, **headers: str) -> Refusal:
        self._metrics.turned_away.inc()
        seconds = str(self._settings.retry_after_seconds)
        headers["Retry-After"] = seconds
        return Refusal(503, why, where="the service", remedy=f"try again after {seconds} s", headers=headers)

    def _too_large(self) -> Refusal:
        return Refusal(
            413,
            f"the body is larger than {self._settings.max_body_bytes:,} bytes",
            where="body",
            remedy="send fewer or shorter reviews; only the newest are read, and of a text its beginning",
            headers=_CLOSE,
        )


def waits_to_send(scope: Scope) -> bool:
    """Whether the client sends no body before it is asked for."""
    return b"expect" in dict(scope["headers"])


async def discard(receive: Receive) -> None:
    """Reads the rest of a body, as far as that is worth it."""
    seen, more = 0, True
    with suppress(TimeoutError):
        async with asyncio.timeout(DISCARDING_SECONDS):
            while more and seen <= _MOST_DISCARDED:
                message = await receive()
                seen += len(message.get("body", b""))
                more = message.get("more_body", False)


def _after(body: bytearray, receive: Receive) -> Receive:
    """Gives a body that was read, then what comes after it."""
    read: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

    async def receive_again() -> Message:
        return read.pop() if read else await receive()

    return receive_again
