"""Finished rows as runs of MLflow: each once for every address, and the results folder beside them."""

import hashlib
import json
from pathlib import Path
from typing import Any, Final

from rec_sys.contracts import InputError
from rec_sys.files import atomic_file
from rec_sys.settings import TrackingSettings
from rec_sys.tracking import Tracker

_RECORDED: Final = "recorded.json"  # below the benchmark's folder: the rows that are in MLflow, by address
_TAGS: Final = ("model", "protocol", "fit_on", "fold", "data_fingerprint")
_COSTS: Final = ("fit_seconds", "recommend_seconds", "peak_memory_mb", "parameters")


def record_rows(settings: TrackingSettings, output_dir: Path, folder: Path, rows: list[dict[str, Any]]) -> int:
    """Records what is not recorded yet of the rows that are done, and the results folder; how many rows that were.

    Raises:
        InputError: MLflow cannot be reached.
    """
    if not settings.enabled:
        return 0
    try:
        return _record_new(settings.model_copy(update={"system_metrics": False}), output_dir, folder, rows)
    except InputError as error:
        raise InputError(
            f"the results could not be recorded: {error.what}",
            where=error.where,
            remedy=f"the results themselves are in {folder}; mend the address, or leave MLflow out with tracking=none",
        ) from error


def _record_new(settings: TrackingSettings, output_dir: Path, folder: Path, rows: list[dict[str, Any]]) -> int:
    book = folder.parent / _RECORDED
    known: dict[str, list[str]] = json.loads(book.read_text()) if book.is_file() else {}
    address = str(settings.uri or "") or f"sqlite in {output_dir}"
    done = set(known.get(address, []))
    new = [(digest, row) for row in rows if row["status"] == "done" and (digest := _digest(row)) not in done]
    for digest, row in new:
        fold = f"-fold{row['fold']}" if "fold" in row else ""
        name = f"benchmark-{row['model']}-{row['fit_on']}-{row['protocol']}{fold}"
        with Tracker(settings, output_dir, name) as tracker:
            tracker.set_tags({"benchmark": folder.name} | {key: row[key] for key in _TAGS if key in row})
            tracker.log_settings({"model": row["model"], "settings": row["settings"], "versions": row["versions"]})
            tracker.log_metrics(row["metrics"] | {key: row[key] for key in _COSTS if row[key] is not None})
            tracker.log_metrics({f"{key}_error": value for key, value in row["standard_error"].items()})
        done.add(digest)
        with atomic_file(book) as unfinished:
            unfinished.write_text(json.dumps(known | {address: sorted(done)}))
    if new:
        with Tracker(settings, output_dir, f"benchmark-{folder.name}") as tracker:
            tracker.set_tags({"benchmark": folder.name})
            tracker.log_folder(folder, "results")
    return len(new)


def _digest(row: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:16]
