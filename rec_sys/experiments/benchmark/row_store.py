"""Finished rows on disk, each under a name made of everything that shapes it: none is computed twice."""

import hashlib
import json
from pathlib import Path
from typing import Any, Final

import polars as pl

import rec_sys
from rec_sys.baselines.catalogue import BASELINES
from rec_sys.experiments.benchmark.row_contract import QUERIES_FILE, ROW_FILE, RowRequest, identify_row, reason_path
from rec_sys.experiments.benchmark.settings import OWN_MODEL, BenchmarkSettings
from rec_sys.files import atomic_file, writable_folder
from rec_sys.processes import ChildProcess, module_command

_STOP_SECONDS: Final = 10.0
# What may change without changing a row.
_INCIDENTAL: Final = {"output_dir", "run_dir", "tracking"}
_PRESENTED: Final = {"baselines", "own_model", "fit_on", "row_minutes", "report_users", "tuning", "baseline_settings"}
# The code that shapes a row. Readers and preparation are not among it: the data's fingerprint stands for them.
_MEASURING: Final = (
    "contracts.py",
    "data/interactions.py",
    "data/splits.py",
    "baselines",
    "evaluation",
    *(f"experiments/benchmark/{name}.py" for name in ("evaluation_data", "measure_baseline", "row")),
)
_TRAINING: Final = (
    *(f"experiments/benchmark/{name}.py" for name in ("measure_model", "bundle_scorer")),
    *("bundle.py", "text", "graph", "modules", "train", "tracking.py"),
)


class RowStore:
    """The rows of one data set.

    Args:
        folder: Where they lie; made when missing.
        data_fingerprint: Of the prepared data.
    """

    def __init__(self, folder: Path, data_fingerprint: str) -> None:
        self.folder = writable_folder(folder)
        self.data_fingerprint = data_fingerprint

    def place(self, name: str, fit_on: str, fold: int | None, settings: BenchmarkSettings) -> Path:
        """The folder of a row, there or not yet."""
        identity = {
            "data": self.data_fingerprint,
            "fit_on": fit_on,
            "fold": fold,
            "settings": shaping_settings(name, settings),
            "code": code_of(name),
        }
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
        return self.folder / f"{name}-{digest}"

    def read(self, place: Path) -> dict[str, Any] | None:
        """A finished row; None where there is none yet."""
        path = place / ROW_FILE
        if not path.is_file():
            return None
        row: dict[str, Any] = json.loads(path.read_text())
        return row

    def compute(self, request: RowRequest) -> dict[str, Any]:
        """Computes a row in a process of its own.

        Returns:
            The row; where the model failed, one whose status says so and whose reason says why.
        """
        reason = run_request(request)
        row = self.read(request.folder)
        if row is not None and not reason:
            return row
        failed = {"status": "failed", "reason": reason, "log": str(log_path(request.folder))}
        return identify_row(request) | failed

    def search_place(self, name: str, settings: BenchmarkSettings) -> Path:
        """The folder that remembers the trials of a model's tuning."""
        shaping = shaping_settings(name, settings) | {"ks": settings.shown_k}
        shaping.pop("baseline", None)
        identity = {"data": self.data_fingerprint, "settings": shaping, "code": code_of(name)}
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
        return self.folder / f"{name}-tuning-{digest}"


def run_request(request: RowRequest) -> str:
    """Runs a request's process to its end; why it failed, empty when it did not."""
    asked = request.folder.with_name(f"{request.folder.name}.request.json")
    with atomic_file(asked) as unfinished:
        unfinished.write_text(request.model_dump_json())
    said = reason_path(request.folder)
    said.unlink(missing_ok=True)
    reason = _run(asked, log_path(request.folder), request.settings.row_minutes if request.job == "row" else 0.0)
    asked.unlink(missing_ok=True)
    return said.read_text() if reason and said.is_file() else reason


def log_path(place: Path) -> Path:
    """What a row's process said."""
    return place.with_name(f"{place.name}.log")


def queries_of(place: Path) -> pl.DataFrame | None:
    """A row's values query by query; None where its model gave none."""
    path = place / QUERIES_FILE
    return pl.read_parquet(path) if path.is_file() else None


def shaping_settings(name: str, settings: BenchmarkSettings) -> dict[str, Any]:
    """The settings that a row depends on: all for our own model, for a baseline its own and those of the split."""
    whole = settings.model_dump(mode="json", exclude=_INCIDENTAL | _PRESENTED | {"data"})
    if name == OWN_MODEL:
        whole["trainer"].pop("progress")
        whole["trainer"].pop("num_threads")
        return whole
    evaluation = {key: value for key, value in whole["evaluation"].items() if key not in ("ks", "refit", "query_batch")}
    found = {
        "ks": list(settings.ks),
        "seed": settings.seed,
        "evaluation": evaluation,
        "tie_break": settings.graph.tie_break,
        "baseline": settings.baseline_settings.of(name).model_dump(mode="json"),
    }
    return found | ({"text": whole["text"]} if BASELINES[name].needs == "text" else {})


def code_of(name: str) -> str:
    """A hash over the source files that a row depends on."""
    root = Path(rec_sys.__file__).parent
    digest = hashlib.sha256()
    for room in _MEASURING + (_TRAINING if name == OWN_MODEL else ()):
        for path in [root / room] if room.endswith(".py") else sorted((root / room).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _run(asked: Path, log: Path, minutes: float) -> str:
    """Runs a row's process to its end; why it failed, empty when it did not."""
    log.unlink(missing_ok=True)
    with ChildProcess(module_command("rec_sys.experiments.benchmark.row", [str(asked)]), log) as child:
        if not child.wait(minutes * 60 or None):
            child.stop(_STOP_SECONDS)
            return f"it took longer than row_minutes={minutes:g}"
    code = child.exit_code or 0
    if code < 0:
        return f"its process was ended by signal {-code} (9: was there too little memory?)"
    return "" if code == 0 else f"its process ended with exit code {code}"
