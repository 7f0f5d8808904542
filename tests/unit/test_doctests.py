"""The examples in docstrings are true."""

import doctest
import importlib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def modules_with_examples() -> list[str]:
    paths = sorted(path for path in (REPOSITORY / "rec_sys").rglob("*.py") if ">>> " in path.read_text("utf-8"))
    return [".".join(path.relative_to(REPOSITORY).with_suffix("").parts) for path in paths]


def test_the_metrics_have_examples() -> None:
    assert {"rec_sys.ragged", "rec_sys.evaluation.ranking_metrics", "rec_sys.evaluation.rating"} <= set(
        modules_with_examples()
    )


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_print_what_they_say(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted > 0
    assert found.failed == 0
