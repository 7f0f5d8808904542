"""What both files of the whole road share."""

import os
from pathlib import Path

import pytest

from tests.demo_runs import Demo, run_demo_once


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, text_cache_dir: Path) -> Demo:
    """One run for all files and all processes that run them, because it trains."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    return run_demo_once(shared / "road with a blank", text_cache_dir)
