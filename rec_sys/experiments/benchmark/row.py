"""One row, or one model's tuning, in its own process: `python -m rec_sys.experiments.benchmark.row REQUEST`.

A process each, because a model that fails or runs out of memory must not take the others with it, because its peak
memory can be read only so, and because the libraries leave threads and seeds behind.
"""

import json
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np

from rec_sys.console import say_trace
from rec_sys.contracts import InputError
from rec_sys.data.dataset import PreparedDataset
from rec_sys.entry import show_log
from rec_sys.experiments.benchmark.row_contract import (
    DAILY_FILE,
    QUERIES_FILE,
    ROW_FILE,
    TUNED_FILE,
    Measured,
    RowRequest,
    identify_row,
    reason_path,
)
from rec_sys.experiments.benchmark.settings import is_own_model
from rec_sys.experiments.scaling.stage_clock import peak_resident_bytes
from rec_sys.files import atomic_file, atomic_folder


def compute_row(request: RowRequest) -> Measured:
    """Fits and measures one model; whatever its library raises is not caught here."""
    if is_own_model(request.name):
        from rec_sys.experiments.benchmark.measure_model import measure_own_model

        return measure_own_model(request)
    from rec_sys.experiments.benchmark.measure_baseline import measure_baseline

    return measure_baseline(request)


def _describe_row(request: RowRequest, measured: Measured) -> dict[str, Any]:
    """The row as it stands in results.json."""
    dataset = PreparedDataset(request.data_folder)
    return {
        **identify_row(request),
        "status": "done",
        "metrics": finite(measured.metrics),
        "standard_error": finite(measured.standard_error),
        "fit_seconds": measured.fit_seconds,
        "fit_cpu_seconds": measured.fit_cpu_seconds,
        "recommend_seconds": measured.recommend_seconds,
        "peak_memory_mb": max(measured.peak_memory_bytes, peak_resident_bytes()) / 1e6,
        "parameters": measured.parameters,
        "settings": measured.settings,
        "versions": {"python": platform.python_version(), **measured.versions},
        "data_fingerprint": dataset.summary.fingerprint,
        **measured.more,
    }


def finite(figures: dict[str, float]) -> dict[str, float]:
    """The figures that exist; JSON has no NaN."""
    return {name: float(value) for name, value in figures.items() if np.isfinite(value)}


def write_row(request: RowRequest) -> None:
    """Computes a row and writes its folder, whole or not at all."""
    measured = compute_row(request)
    row = _describe_row(request, measured)
    with atomic_folder(request.folder) as building:
        if measured.queries is not None:
            measured.queries.write_parquet(building / QUERIES_FILE)
        if measured.daily is not None:
            measured.daily.write_parquet(building / DAILY_FILE)
        (building / ROW_FILE).write_text(json.dumps(row, indent=2, allow_nan=False))


def write_search(request: RowRequest) -> None:
    """Tunes a model and writes what was found into the folder that also remembers the trials."""
    from rec_sys.experiments.benchmark.tuning import search

    tuned = search(request, request.folder)
    with atomic_file(request.folder / TUNED_FILE) as unfinished:
        unfinished.write_text(tuned.model_dump_json(indent=2))


def _main(request_path: str) -> int:
    request = RowRequest.model_validate_json(Path(request_path).read_text())
    show_log()
    try:
        (write_row if request.job == "row" else write_search)(request)
    except Exception as error:  # the row says so, and the benchmark goes on with the others
        say_trace(error)
        reason = error.what if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        with atomic_file(reason_path(request.folder)) as unfinished:
            unfinished.write_text(reason)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1]))
