"""Serves recommendations over HTTP: `uv run -m rec_sys.serving.gateway`."""

from pathlib import Path

from pydantic import Field

from rec_sys.entry import run_entry
from rec_sys.settings import CommandSettings, IndexSettings, InferenceSettings, ServingSettings


class GatewaySettings(CommandSettings):
    """Everything config/gateway.yaml composes."""

    bundle: Path | None = Field(None, description="A bundle's folder; empty: the one that the index was made from.")
    index: IndexSettings
    inference: InferenceSettings
    serving: ServingSettings


def run(settings: GatewaySettings) -> None:
    """Serves until a signal comes, then finishes what is under way."""
    from rec_sys.inference.recommender import Recommender
    from rec_sys.serving.application import create_application
    from rec_sys.serving.listening import listen
    from rec_sys.serving.logs import configure_logs
    from rec_sys.serving.service import GatewayServer

    serving = settings.serving
    with listen(serving) as listener:
        configure_logs(serving)
        recommender = Recommender(settings.index, settings.inference, settings.output_dir, settings.bundle)
        GatewayServer(create_application(serving, recommender), serving, listener).run(sockets=[listener])


if __name__ == "__main__":
    run_entry(run, GatewaySettings, "gateway")
