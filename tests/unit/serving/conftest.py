"""The service over a recommender that says what a test wants."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from starlette.testclient import TestClient

from rec_sys.serving.application import create_application
from rec_sys.settings import ServingSettings
from tests.scripted_recommender import ScriptedRecommender

Start = Callable[..., TestClient]


@pytest.fixture
def recommender() -> ScriptedRecommender:
    return ScriptedRecommender()


@pytest.fixture
def start(recommender: ScriptedRecommender) -> Iterator[Start]:
    """Starts the service with other settings than the defaults."""
    with ExitStack() as stack:

        def start_with(**settings: Any) -> TestClient:
            application = create_application(ServingSettings.model_validate(settings), recommender)
            return stack.enter_context(TestClient(application))

        yield start_with


@pytest.fixture
def client(start: Start) -> TestClient:
    return start()
