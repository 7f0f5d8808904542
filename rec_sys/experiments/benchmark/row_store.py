"""Finished rows on disk, each under a name made of everything that shapes it: none is computed twice."""

import hashlib
import json
from pathlib import Path
from typing import Any, Final

import polars as pl

import rec_sys
from rec_sys.baselines.catalogue import BASELINES
from rec_sys.baselines.rating_baseline import RatingBaseline
from rec_sys.experiments.benchmark.import_closure import SourceTree
from rec_sys.experiments.benchmark.row_contract import (
    QUERIES_FILE,
    ROW_FILE,
    Job,
    RowRequest,
    identify_row,
    reason_path,
)
from rec_sys.experiments.benchmark.settings import OWN_MODES, BenchmarkSettings, is_own_model
from rec_sys.experiments.kept_training import compose
from rec_sys.files import atomic_file, writable_folder
from rec_sys.processes import ChildProcess, module_command

_STOP_SECONDS: Final = 10.0
# What may change without changing a row.
_INCIDENTAL: Final = {"output_dir", "run_dir", "tracking", "figures"}
_PRESENTED: Final = {
    "baselines",
    "own_model",
    "own_modes",
    "fit_on",
    "row_minutes",
    "report_users",
    "report_user_ids",
    "time_column",
    "tuning",
    "baseline_settings",
}
_ROOM: Final = "rec_sys.experiments.benchmark"
# None shapes a figure: which baselines there are, how a command starts, and what the package offers from outside.
_UNRELATED: Final = frozenset({"rec_sys.baselines.catalogue", "rec_sys.entry", "rec_sys.estimator"})
_TEXTS: Final = "rec_sys.graph.build"  # looks up and embeds the texts of those that need them


class RowStore:
    """The rows of one data set in a folder, which is made when missing; `sources` is the code that computes them."""

    def __init__(self, folder: Path, data_fingerprint: str, sources: SourceTree | None = None) -> None:
        self.folder = writable_folder(folder)
        self.data_fingerprint = data_fingerprint
        self._sources = sources or SourceTree(Path(rec_sys.__file__).parents[1])

    def place(self, name: str, fit_on: str, fold: int | None, settings: BenchmarkSettings) -> Path:
        """The folder of a row, there or not yet."""
        asked = {"data": self.data_fingerprint, "fit_on": fit_on, "fold": fold}
        shaping, code = shaping_settings(name, settings), identify_code(name, "row", self._sources)
        identity = asked | {"settings": shaping} | code
        return self._named(name, identity)

    def read(self, place: Path) -> dict[str, Any] | None:
        """A finished row; None where there is none yet."""
        path = place / ROW_FILE
        return dict(json.loads(path.read_text())) if path.is_file() else None

    def compute(self, request: RowRequest) -> dict[str, Any]:
        """Computes a row in a process of its own; where the model failed, its status says so and its reason why."""
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
        code = identify_code(name, "search", self._sources)
        identity = {"data": self.data_fingerprint, "settings": shaping, **code}
        return self._named(f"{name}-tuning", identity)

    def _named(self, name: str, identity: dict[str, Any]) -> Path:
        return self.folder / f"{name}-{hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]}"


def run_request(request: RowRequest) -> str:
    """Runs a request's process to its end; why it failed, empty when it did not."""
    asked = request.folder.with_name(f"{request.folder.name}.request.json")
    with atomic_file(asked) as unfinished:
        unfinished.write_text(request.model_dump_json())
    written = reason_path(request.folder)
    written.unlink(missing_ok=True)
    reason = _run(asked, log_path(request.folder), request.settings.row_minutes if request.job == "row" else 0.0)
    asked.unlink(missing_ok=True)
    return written.read_text() if reason and written.is_file() else reason


def log_path(place: Path) -> Path:
    """The log of a row's process."""
    return place.with_name(f"{place.name}.log")


def queries_of(place: Path, name: str = QUERIES_FILE) -> pl.DataFrame | None:
    """A row's values query by query; None where its model gave none."""
    path = place / name
    return pl.read_parquet(path) if path.is_file() else None


def shaping_settings(name: str, settings: BenchmarkSettings) -> dict[str, Any]:
    """The settings that a row depends on: all for our own model, for a baseline its own and those of the split."""
    whole = settings.model_dump(mode="json", exclude=_INCIDENTAL | _PRESENTED | {"data"})
    if is_own_model(name):
        whole["trainer"].pop("progress")
        whole["trainer"].pop("num_threads")
        if name in OWN_MODES:
            mode = compose(name, list(OWN_MODES[name])).model_dump(mode="json", include={"model", "text", "trainer"})
            whole["mode"] = {"changes": OWN_MODES[name], **mode}
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


def modules_of(name: str, job: Job, sources: SourceTree) -> set[str]:
    """The modules that a row, or a search, depends on: what its process runs, the catalogue's other models left out."""
    starts, without = [f"{_ROOM}.row"], set(_UNRELATED)
    if job == "row":
        without.add(f"{_ROOM}.tuning")
    if not is_own_model(name):
        kind = BASELINES[name]
        starts.append(kind.make.__module__ if kind.make else RatingBaseline.__module__)
        without |= {f"{_ROOM}.measure_model"} | ({_TEXTS} if kind.needs != "text" else set())
        if kind.needs not in ("known_rating", "product_text"):
            without.add(f"{_ROOM}.measure_text_ratings")
    return sources.closure(starts, without)


def identify_code(name: str, job: Job, sources: SourceTree) -> dict[str, Any]:
    """A hash of the source files that a row or a search depends on, and the versions of the libraries they import."""
    modules = sorted(modules_of(name, job, sources))
    digest = hashlib.sha256()
    for module in modules:
        digest.update(module.encode() + b"\0" + sources.files[module].read_bytes() + b"\0")
    kind = repr(BASELINES.get(name))  # all that the catalogue says of it
    return {"kind": kind, "code": digest.hexdigest()[:16], "versions": sources.versions(modules)}


def _run(asked: Path, log: Path, minutes: float) -> str:
    """Runs a row's process to its end; why it failed, empty when it did not."""
    log.unlink(missing_ok=True)
    with ChildProcess(module_command(f"{_ROOM}.row", [str(asked)]), log) as child:
        if not child.wait(minutes * 60 or None):
            child.stop(_STOP_SECONDS)
            return f"it took longer than row_minutes={minutes:g}"
    code = child.exit_code or 0
    if code < 0:
        return f"its process was ended by signal {-code} (9: was there too little memory?)"
    return "" if code == 0 else f"its process ended with exit code {code}"
