"""The HTTP service while it runs: it says where it listens."""

import socket

import uvicorn

from rec_sys.console import say


class GatewayServer(uvicorn.Server):
    """Says where it listens as soon as it does."""

    def __init__(self, config: uvicorn.Config, url: str) -> None:
        super().__init__(config)
        self._url = url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Opens the service; what is asked from now on is answered."""
        await super().startup(sockets)
        say(f"gateway: {self._url}")
        say(f"documentation: {self._url}/docs")
        say("listening")
