"""Records a benchmark's rows in MLflow: `python -m rec_sys.experiments.benchmark.runs <request.json>`.

The benchmark stands below this room and cannot import it, so it starts this as a process.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any, Final

from rec_sys.contracts import InputError
from rec_sys.files import atomic_file
from rec_sys.settings import TrackingSettings
from rec_sys.tracking import Tracker

_RECORDED: Final = "recorded.json"  # below the benchmark's folder: the rows that are in MLflow, by address
_REFUSED: Final = 2


def record(request: dict[str, Any]) -> int:
    """Records what is not recorded yet.

    Args:
        request: `tracking`, `output_dir`, `folder` of the results and `rows` as in results.json.

    Returns:
        How many rows were recorded.

    Raises:
        InputError: MLflow cannot be reached.
    """
    folder, output_dir = Path(request["folder"]), Path(request["output_dir"])
    tracking = TrackingSettings.model_validate(request["tracking"] | {"system_metrics": False})
    book = folder.parent / _RECORDED
    known: dict[str, list[str]] = json.loads(book.read_text()) if book.is_file() else {}
    address = tracking.uri or f"sqlite in {output_dir}"
    done = set(known.get(address, []))
    new = [(digest, row) for row in request["rows"] if (digest := _digest(row)) not in done]
    for digest, row in new:
        fold = f"-fold{row['fold']}" if "fold" in row else ""
        name = f"benchmark-{row['model']}-{row['fit_on']}-{row['protocol']}{fold}"
        with Tracker(tracking, output_dir, name) as tracker:
            head = ("model", "protocol", "fit_on", "fold", "data_fingerprint")
            tracker.set_tags({"benchmark": folder.name} | {key: row[key] for key in head if key in row})
            tracker.log_settings({"model": row["model"], "settings": row["settings"], "versions": row["versions"]})
            took = {key: row[key] for key in ("fit_seconds", "recommend_seconds", "peak_memory_mb", "parameters")}
            tracker.log_metrics(row["metrics"] | {key: value for key, value in took.items() if value is not None})
            tracker.log_metrics({f"{key}_error": value for key, value in row["standard_error"].items()})
        done.add(digest)
        with atomic_file(book) as unfinished:
            unfinished.write_text(json.dumps(known | {address: sorted(done)}))
    if new:
        with Tracker(tracking, output_dir, f"benchmark-{folder.name}") as tracker:
            tracker.set_tags({"benchmark": folder.name})
            tracker.log_folder(folder, "results")
    return len(new)


def _digest(row: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:16]


if __name__ == "__main__":
    try:
        record(json.loads(Path(sys.argv[1]).read_text()))
    except InputError as refusal:
        print(f"error: {refusal.what}", file=sys.stderr)
        sys.exit(_REFUSED)
