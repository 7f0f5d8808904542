"""A shop whose gateway takes what is written, for the tests that ask it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.live_shops import Shop, open_shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, text_cache_dir: Path) -> Shop:
    return open_shop(tmp_path_factory.mktemp("shop"), text_cache_dir)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """An empty store."""
    return f"store.url=sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture(scope="module")
def client(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with shop.served(f"store.url=sqlite:///{tmp_path_factory.mktemp('store') / 'store.db'}") as client:
        yield client
