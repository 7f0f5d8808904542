"""No body is kept beyond what the settings allow, whatever its length is said to be."""

import asyncio
from contextlib import suppress
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rec_sys.serving.problems import Refusal

_TOO_LARGE: Final = 413
# Read and thrown away, so that who is still sending gets to read the refusal instead of a broken connection.
_MOST_DISCARDED: Final = 32 * 1024 * 1024
_DISCARDING_SECONDS: Final = 5.0


class BodyLimit:
    """Refuses a body while it is read."""

    def __init__(self, application: ASGIApp, max_bytes: int) -> None:
        self._application = application
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(b"content-length", b"0")
        announced = int(given) if given.isdigit() else 0
        waits = waits_to_send(scope)
        seen = 0

        async def receive_within_limit() -> Message:
            nonlocal seen
            if announced > self._max_bytes:
                if not waits and announced <= _MOST_DISCARDED:
                    await discard(receive)
                raise self._refuse()
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._max_bytes:
                if message.get("more_body", False):
                    await discard(receive)
                raise self._refuse()
            return message

        await self._application(scope, receive_within_limit, send)

    def _refuse(self) -> Refusal:
        return Refusal(
            _TOO_LARGE,
            f"the body is larger than {self._max_bytes:,} bytes",
            where="body",
            remedy="send fewer or shorter reviews; only the newest are read, and of a text its beginning",
            headers={"Connection": "close"},  # what may still come is not read
        )


def waits_to_send(scope: Scope) -> bool:
    """Whether the client sends no body before it is asked for."""
    return b"expect" in dict(scope["headers"])


async def discard(receive: Receive) -> None:
    """Reads the rest of a body, as far as that is worth it."""
    seen, more = 0, True
    with suppress(TimeoutError):
        async with asyncio.timeout(_DISCARDING_SECONDS):
            while more and seen <= _MOST_DISCARDED:
                message = await receive()
                seen += len(message.get("body", b""))
                more = message.get("more_body", False)
