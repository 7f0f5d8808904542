"""Serves recommendations over HTTP: `uv run -m rec_sys.serving.gateway`."""

import os
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from rec_sys.entry import run_entry
from rec_sys.settings import (
    CommandSettings,
    IndexSettings,
    InferenceSettings,
    ServingSettings,
    StoreSettings,
    TrackingSettings,
)

if TYPE_CHECKING:
    from rec_sys.serving.worker_memory import WorkerMemory


class GatewaySettings(CommandSettings):
    """Everything config/gateway.yaml composes."""

    bundle: Path | None = Field(None, description="A bundle's folder; empty: the one that the index was made from.")
    index: IndexSettings
    inference: InferenceSettings
    store: StoreSettings
    serving: ServingSettings
    tracking: TrackingSettings


def run(settings: GatewaySettings) -> None:
    """Serves until a signal comes, then finishes what is under way."""
    from rec_sys.serving.listening import listen, say_listening
    from rec_sys.serving.logs import configure_logs
    from rec_sys.serving.workers import GatewayWorkers
    from rec_sys.store.store import prove_store

    if settings.store.enabled:
        prove_store(settings.store, settings.output_dir)
    serving = settings.serving
    with listen(serving) as listener:
        configure_logs(serving)
        if serving.workers == 1:
            _answer(settings, listener, partial(say_listening, listener))
            return
        # Nothing that starts threads is imported here, which a forked process would wait for in vain.
        with GatewayWorkers(serving, partial(_answer_as_worker, settings, listener)) as workers:
            workers.wait_until_they_listen()
            say_listening(listener)
            workers.keep_them_alive()


def _answer_as_worker(settings: GatewaySettings, listener: socket.socket, memory: "WorkerMemory") -> None:
    def listening() -> None:
        memory.processes[memory.number] = os.getpid()

    _answer(settings, listener, listening, memory)


def _answer(
    settings: GatewaySettings,
    listener: socket.socket,
    listening: Callable[[], None],
    memory: "WorkerMemory | None" = None,
) -> None:
    """Answers what comes until a signal does."""
    from rec_sys.inference.recommender import Recommender
    from rec_sys.serving.application import create_application
    from rec_sys.serving.service import GatewayServer
    from rec_sys.serving.worker_memory import ALONE

    store = settings.store if settings.store.enabled else None
    recommender = Recommender(settings.index, settings.inference, settings.output_dir, settings.bundle, store)
    application = create_application(settings.serving, recommender, memory or ALONE, settings.tracking)
    GatewayServer(application, settings.serving, listening).run(sockets=[listener])


if __name__ == "__main__":
    run_entry(run, GatewaySettings, "gateway")
