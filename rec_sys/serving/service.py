"""The HTTP service while it runs: its socket, its log, its application."""

import socket
from pathlib import Path

import uvicorn

from rec_sys.inference.recommender import Recommender
from rec_sys.serving.application import create_application
from rec_sys.serving.listening import address_of, listen
from rec_sys.serving.logs import configure_logs
from rec_sys.settings import IndexSettings, InferenceSettings, ServingSettings


class GatewayServer(uvicorn.Server):
    """Says where it listens as soon as it does."""

    def __init__(self, config: uvicorn.Config, url: str) -> None:
        super().__init__(config)
        self._url = url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Opens the service; what is asked from now on is answered."""
        await super().startup(sockets)
        print(f"gateway: {self._url}")
        print(f"documentation: {self._url}/docs")
        print("listening", flush=True)


def serve(
    serving: ServingSettings,
    index: IndexSettings,
    inference: InferenceSettings,
    output_dir: Path,
    bundle: Path | None,
) -> None:
    """Serves until a signal comes, then finishes what is under way.

    Args:
        serving: Where it listens, whom it lets in, and how much it takes.
        index: The product index.
        inference: How reviews become recommendations.
        output_dir: Where bundles are.
        bundle: The bundle; None = the one that the index was made from.
    """
    with listen(serving) as listener:
        configure_logs(serving)
        recommender = Recommender(index=index, inference=inference, output_dir=output_dir, bundle=bundle)
        config = uvicorn.Config(
            create_application(serving, recommender),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=serving.stop_timeout_seconds,
        )
        GatewayServer(config, address_of(listener)).run(sockets=[listener])
