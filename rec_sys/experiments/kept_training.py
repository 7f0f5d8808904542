"""Trainings of a table's rows, of which only the figures are kept: a table that broke off goes on where it was."""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rec_sys.contracts import InputError
from rec_sys.entry import compose_settings
from rec_sys.experiments.training_command import train
from rec_sys.files import atomic_file
from rec_sys.processes import quote
from rec_sys.settings import Settings

if TYPE_CHECKING:
    from rec_sys.bundle import Bundle

_LOG: Final = logging.getLogger(__name__)


def compose(row: str, arguments: list[str]) -> Settings:
    """The settings of a row, checked before anything is trained.

    Raises:
        InputError: A setting does not exist; the message names the row.
    """
    try:
        return compose_settings(arguments, Settings)
    except InputError as error:
        raise InputError(error.what, where=f"{row}: {error.where}", remedy=error.remedy) from error


def trained_figures(
    folder: Path,
    settings: Settings,
    fingerprint: str,
    label: str,
    arguments: list[str],
    measure_more: Callable[["Bundle"], dict[str, float]] | None = None,
) -> dict[str, float]:
    """The figures of one training by their split and name: kept from before, or of a training that runs now.

    Args:
        folder: Where figures are kept.
        settings: What `arguments` come to.
        fingerprint: Of the data.
        label: What messages call it.
        arguments: Of the command line.
        measure_more: Further figures of the bundle, which is removed afterwards.

    Raises:
        InputError: The training failed.
    """
    identity = _identify(settings, fingerprint)
    kept, run_dir = folder / "trainings" / f"{identity}.json", folder / "runs" / identity
    if kept.is_file():
        _LOG.info(f"{label}: kept from before")
        figures: dict[str, float] = json.loads(kept.read_text())
        return figures
    _LOG.info(f"{label}: {' '.join(arguments)}")
    from rec_sys.bundle import Bundle

    bundle = Bundle(train([*arguments, f"run_dir={quote(run_dir)}"]))
    metrics = bundle.metrics()
    figures = {f"{split} {key}": value for split in ("validation", "test") for key, value in metrics[split].items()}
    if measure_more is not None:
        figures |= measure_more(bundle)
    write_json(kept, figures)
    shutil.rmtree(bundle.folder)
    shutil.rmtree(run_dir)
    return figures


def write_json(path: Path, value: Any) -> None:
    """Writes a file that appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as unfinished:
        unfinished.write_text(json.dumps(value, indent=2, sort_keys=True, allow_nan=False))


def _identify(settings: Settings, fingerprint: str) -> str:
    """Names a training by all that shapes its figures."""
    shape = settings.model_dump_json(
        exclude={"output_dir": True, "run_dir": True, "tracking": True, "trainer": {"progress", "num_threads"}}
    )
    from rec_sys.bundle import hash_code

    return hashlib.sha256(f"{shape} {fingerprint} {hash_code()}".encode()).hexdigest()[:16]
