"""Tensors of unit tests are tiny: on several threads they would mostly wait for each other."""

import sys

import pytest


@pytest.fixture(autouse=True)
def one_thread(fixed_seeds: None) -> None:
    """Behind the seeds, which set the number of threads for everybody else."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
