"""Serves recommendations over HTTP: `uv run -m rec_sys.serving.gateway`."""

import socket
from pathlib import Path

import uvicorn
from pydantic import Field

from rec_sys.entry import run_entry
from rec_sys.inference.recommender import Recommender
from rec_sys.serving.application import create_application
from rec_sys.serving.listening import address_of, listen
from rec_sys.serving.logs import configure_logs
from rec_sys.settings import CommandSettings, IndexSettings, InferenceSettings, ServingSettings


class GatewaySettings(CommandSettings):
    """Everything config/gateway.yaml composes."""

    bundle: Path | None = Field(None, description="A bundle's folder; empty: the one that the index was made from.")
    index: IndexSettings
    inference: InferenceSettings
    serving: ServingSettings


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


def run(settings: GatewaySettings) -> None:
    """Serves until a signal comes, then finishes what is under way."""
    serving = settings.serving
    with listen(serving) as listener:
        configure_logs(serving)
        recommender = Recommender(
            index=settings.index, inference=settings.inference, output_dir=settings.output_dir, bundle=settings.bundle
        )
        config = uvicorn.Config(
            create_application(serving, recommender),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=serving.stop_timeout_seconds,
        )
        GatewayServer(config, address_of(listener)).run(sockets=[listener])


if __name__ == "__main__":
    run_entry(run, GatewaySettings, "gateway")
