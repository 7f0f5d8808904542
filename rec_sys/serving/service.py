"""The HTTP service while it runs: it says where it listens, and how long it waits for its clients."""

import socket
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

import uvicorn
from starlette.types import ASGIApp

from rec_sys.serving.connections import LimitedConnection, connection_limits
from rec_sys.settings import ServingSettings

_TAKEN_AT_ONCE: Final = 32  # new connections, before others are heard again; of several workers each takes one
_WAITING_TO_BE_TAKEN: Final = 1024


class GatewayServer(uvicorn.Server):
    """Says that it listens as soon as it does."""

    def __init__(self, application: ASGIApp, settings: ServingSettings, listening: Callable[[], None]) -> None:
        limits = connection_limits(settings)
        super().__init__(
            uvicorn.Config(
                cast(Any, application),
                http=cast(Any, partial(LimitedConnection, limits=limits)),
                ws="none",
                backlog=_TAKEN_AT_ONCE if settings.workers == 1 else 1,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=settings.idle_timeout_seconds,
                timeout_graceful_shutdown=settings.stop_timeout_seconds,
            )
        )
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Opens the service; what is asked from now on is answered."""
        await super().startup(sockets)
        for listener in sockets or []:
            listener.listen(_WAITING_TO_BE_TAKEN)  # asyncio has one number for both
        self._listening()
