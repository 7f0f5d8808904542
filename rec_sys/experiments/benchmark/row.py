"""One row, or one model's tuning, in its own process: `python -m rec_sys.experiments.benchmark.row REQUEST`.

A process each, because a model that fails or runs out of memory must not take the others with it, because its peak
memory can be read only so, and because the libraries leave threads and seeds behind.
"""

import json
import os
import platform
import signal
import sys
import threading
import traceback
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict

from rec_sys.contracts import InputError
from rec_sys.data.dataset import PreparedDataset
from rec_sys.entry import show_log
from rec_sys.experiments.benchmark.settings import OWN_MODEL, BenchmarkSettings, FitOn
from rec_sys.files import atomic_file, atomic_folder
from rec_sys.settings import EvaluationSettings

ROW_FILE: Final = "row.json"
QUERIES_FILE: Final = "queries.parquet"
TUNED_FILE: Final = "tuned.json"
REASON_FILE: Final = "reason.txt"  # beside the row's folder, while there is no row


class RowRequest(BaseModel):
    """Everything that a row needs to know.

    Attributes:
        job: `row` measures the model, `search` tunes its settings.
        name: The baseline, or `review_graph`.
        fit_on: What it learns from.
        fold: Which time window is for test; None where the protocol has one test part.
        settings: All settings, those that tuning chose included.
        overrides: The command line's arguments that training understands; only our own model reads them.
        data_folder: The prepared data.
        folder: Where the row, or what tuning found, goes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    job: Literal["row", "search"] = "row"
    name: str
    fit_on: FitOn
    fold: int | None
    settings: BenchmarkSettings
    overrides: tuple[str, ...]
    data_folder: Path
    folder: Path

    def evaluation(self) -> EvaluationSettings:
        """The split's settings for this row, with the benchmark's list lengths."""
        changed: dict[str, Any] = {"ks": self.settings.ks}
        if self.fold is not None:
            changed["fold"] = self.fold
        return self.settings.evaluation.model_copy(update=changed)


@dataclass
class Measured:
    """What was found about a model.

    Attributes:
        metrics: As the test part of a bundle's metrics.json.
        standard_error: Of each metric that has one.
        fit_seconds: To learn.
        recommend_seconds: To score all test questions; None where that is not known.
        parameters: Numbers learned.
        settings: The model's own settings.
        versions: Of the libraries behind it.
        queries: One row a query, for paired tests and the report; None where the model gives none.
        more: Further figures by part: cold and warm, by history length, by popularity.
        peak_memory_bytes: Of a child process where the model ran in one.
    """

    metrics: dict[str, float]
    standard_error: dict[str, float]
    fit_seconds: float
    recommend_seconds: float | None
    parameters: int | None
    settings: dict[str, Any]
    versions: dict[str, str]
    queries: pl.DataFrame | None = None
    more: dict[str, Any] = field(default_factory=dict)
    peak_memory_bytes: int = 0


def compute_row(request: RowRequest) -> Measured:
    """Fits and measures one model.

    Raises:
        InputError: The data cannot be split so, or training refused.
        Exception: Whatever the model's library raises.
    """
    dataset = PreparedDataset(request.data_folder)
    settings = request.settings.model_copy(update={"evaluation": request.evaluation()})
    if request.name == OWN_MODEL:
        from rec_sys.experiments.benchmark.measure_model import measure_own_model

        return measure_own_model(request, settings, dataset)
    from rec_sys.experiments.benchmark.measure_baseline import measure_baseline

    return measure_baseline(request.name, request.fit_on, settings, dataset)


def describe_row(request: RowRequest, measured: Measured) -> dict[str, Any]:
    """The row as it stands in results.json."""
    dataset = PreparedDataset(request.data_folder)
    return {
        **identify_row(request),
        "status": "done",
        "metrics": finite(measured.metrics),
        "standard_error": finite(measured.standard_error),
        "fit_seconds": measured.fit_seconds,
        "recommend_seconds": measured.recommend_seconds,
        "peak_memory_mb": max(measured.peak_memory_bytes, peak_memory_bytes()) / 1e6,
        "parameters": measured.parameters,
        "settings": measured.settings,
        "versions": {"python": platform.python_version(), **measured.versions},
        "data_fingerprint": dataset.summary.fingerprint,
        **measured.more,
    }


def identify_row(request: RowRequest) -> dict[str, Any]:
    """The part of a row that is known before it is computed."""
    row: dict[str, Any] = {
        "model": request.name,
        "protocol": request.settings.evaluation.protocol,
        "fit_on": request.fit_on,
    }
    return row if request.fold is None else row | {"fold": request.fold}


def finite(figures: dict[str, float]) -> dict[str, float]:
    """The figures that exist; JSON has no NaN."""
    return {name: float(value) for name, value in figures.items() if np.isfinite(value)}


def library_versions(names: tuple[str, ...]) -> dict[str, str]:
    """The installed versions of distributions."""
    return {name: metadata.version(name) for name in names}


def peak_memory_bytes() -> int:
    """The most memory that this process ever held."""
    status = Path("/proc/self/status")
    if status.is_file():
        # getrusage would also count what the parent held when it started this process.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def write_row(request: RowRequest) -> None:
    """Computes a row and writes its folder, whole or not at all."""
    measured = compute_row(request)
    row = describe_row(request, measured)
    with atomic_folder(request.folder) as building:
        if measured.queries is not None:
            measured.queries.write_parquet(building / QUERIES_FILE)
        (building / ROW_FILE).write_text(json.dumps(row, indent=2, allow_nan=False))


def write_search(request: RowRequest) -> None:
    """Tunes a model and writes what was found into the folder that also remembers the trials."""
    from rec_sys.experiments.benchmark.tuning import search

    tuned = search(request, request.folder)
    with atomic_file(request.folder / TUNED_FILE) as unfinished:
        unfinished.write_text(tuned.model_dump_json(indent=2))


def reason_path(folder: Path) -> Path:
    """Where a row that failed says why."""
    return folder.with_name(f"{folder.name}.{REASON_FILE}")


def _end_with_parent() -> None:
    """Ends this process and those that it started when the benchmark is gone: it holds the other end of stdin."""

    def watch() -> None:
        os.read(0, 1)  # returns at the other end's closing; sys.stdin would be locked when this process ends first
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def _main(request_path: str) -> int:
    request = RowRequest.model_validate_json(Path(request_path).read_text())
    show_log()
    try:
        (write_row if request.job == "row" else write_search)(request)
    except Exception as error:  # the row says so, and the benchmark goes on with the others
        traceback.print_exception(error)
        reason = error.what if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        with atomic_file(reason_path(request.folder)) as unfinished:
            unfinished.write_text(reason)
        return 1
    return 0


if __name__ == "__main__":
    _end_with_parent()
    sys.exit(_main(sys.argv[1]))
