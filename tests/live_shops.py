"""A shop whose gateways take what is written: a published bundle, and services over it in this process."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from rec_sys.bundle import Bundle
from rec_sys.entry import compose_settings
from rec_sys.inference.recommender import Recommender
from rec_sys.serving.application import create_application
from rec_sys.serving.gateway import GatewaySettings
from rec_sys.settings import TextSettings
from rec_sys.text.opening import identify_encoder
from rec_sys.vector_database.catalogue import read_catalogue
from rec_sys.vector_database.edge_index import EdgePublisher
from tests.served_roads import share_text_models
from tests.serving_bundles import write_serving_bundle

# Of a gateway: one token may read alone, the other may write.
TOKENS = "[{name: reader, token: read-secret}, {name: writer, token: write-secret, scopes: [read, write]}]"


@dataclass
class Shop:
    """A published bundle."""

    output_dir: Path
    bundle: Bundle

    def settings(self, *overrides: str) -> GatewaySettings:
        return compose_settings([f"output_dir={self.output_dir}", *overrides], GatewaySettings, "gateway")

    @contextmanager
    def served(self, *overrides: str, ready: bool = True) -> Iterator[TestClient]:
        settings = self.settings(*overrides)
        store = settings.store if settings.store.enabled else None
        recommender = Recommender(settings.index, settings.inference, settings.output_dir, settings.bundle, store)
        with TestClient(create_application(settings.serving, recommender), raise_server_exceptions=False) as client:
            wait_until(lambda: not ready or client.get("/health/ready").status_code == 200)
            yield client

    def publish(self, bundle: Bundle) -> None:
        """Serves a bundle from now on."""
        index = self.settings("index.progress=false", "index.check_queries=8").index
        assert index.backend == "edge"
        EdgePublisher(index).publish(read_catalogue(bundle))


def open_shop(output_dir: Path, text_cache_dir: Path) -> Shop:
    """A shop whose bundle reads texts."""
    share_text_models(output_dir, text_cache_dir)
    shop = Shop(output_dir, write_serving_bundle(output_dir / "bundles" / "one", **reads_texts()))
    shop.publish(shop.bundle)
    return shop


def reads_texts() -> dict[str, Any]:
    """What makes a bundle read texts."""
    text = TextSettings(device="cpu", num_threads=1)
    return {"text": text, "text_encoder": identify_encoder(text)}


def wait_until(holds: Callable[[], bool]) -> None:
    """Waits until something is so."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
