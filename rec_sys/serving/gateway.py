"""Serves recommendations over HTTP: `uv run -m rec_sys.serving.gateway`."""

from pathlib import Path

from pydantic import Field

from rec_sys.entry import run_entry
from rec_sys.settings import CommandSettings, IndexSettings, InferenceSettings, ServingSettings, StoreSettings


class GatewaySettings(CommandSettings):
    """Everything config/gateway.yaml composes."""

    bundle: Path | None = Field(None, description="A bundle's folder; empty: the one that the index was made from.")
    index: IndexSettings
    inference: InferenceSettings
    store: StoreSettings
    serving: ServingSettings


def run(settings: GatewaySettings) -> None:
    """Serves until a signal comes, then finishes what is under way."""
    from rec_sys.inference.recommender import Recommender
    from rec_sys.serving.application import create_application
    from rec_sys.serving.listening import listen
    from rec_sys.serving.logs import configure_logs
    from rec_sys.serving.service import GatewayServer
    from rec_sys.store.store import prove_store

    if settings.store.enabled:
        prove_store(settings.store, settings.output_dir)
    serving = settings.serving
    with listen(serving) as listener:
        configure_logs(serving)
        store = settings.store if settings.store.enabled else None
        recommender = Recommender(settings.index, settings.inference, settings.output_dir, settings.bundle, store)
        GatewayServer(create_application(serving, recommender), serving, listener).run(sockets=[listener])


if __name__ == "__main__":
    run_entry(run, GatewaySettings, "gateway")
