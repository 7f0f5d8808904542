"""What unit tests share: one thread for tensors, which are tiny here, and a log that is given back."""

import logging
import sys
from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def one_thread(fixed_seeds: None) -> None:
    """Behind the seeds, which set the number of threads for everybody else."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture
def untouched_logs() -> Iterator[None]:
    """The log's configuration is the process's; here it is given back."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()
