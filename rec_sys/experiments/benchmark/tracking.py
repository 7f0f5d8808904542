"""Hands finished rows to MLflow, which only training's room knows: by its command, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from rec_sys.contracts import InputError
from rec_sys.experiments.benchmark.settings import BenchmarkSettings
from rec_sys.files import atomic_file

_COMMAND: Final = "rec_sys.experiments.benchmark.runs"
_REQUEST: Final = "to_record.json"


def record_rows(settings: BenchmarkSettings, folder: Path, rows: list[dict[str, Any]]) -> None:
    """Records each finished row as a run of its own, and the report beside the best; rows once recorded are not again.

    Args:
        settings: All settings.
        folder: The results folder.
        rows: As in results.json.

    Raises:
        InputError: MLflow cannot be reached.
    """
    if not settings.tracking.enabled:
        return
    request = folder / _REQUEST
    with atomic_file(request) as unfinished:
        content = {
            "tracking": settings.tracking.model_dump(mode="json"),
            "output_dir": str(settings.output_dir.absolute()),
            "folder": str(folder),
            "rows": [row for row in rows if row["status"] == "done"],
        }
        unfinished.write_text(json.dumps(content))
    ended = subprocess.run([sys.executable, "-m", _COMMAND, str(request)], capture_output=True, text=True, check=False)
    request.unlink(missing_ok=True)
    if ended.returncode:
        said = [line for line in ended.stderr.splitlines() if line.strip()] or ["it said nothing"]
        raise InputError(
            f"the results could not be recorded: {said[-1].removeprefix('error: ')}",
            where=f"tracking address {settings.tracking.uri or 'in ' + str(settings.output_dir)}",
            remedy=f"the results themselves are in {folder}; mend the address, or leave MLflow out with tracking=none",
        )
