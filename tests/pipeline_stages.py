"""The stages of the DVC pipeline as DVC reads them: templates filled in from params.yaml, one stage for each shop."""

import re
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).resolve().parents[1] / "config" / "pipeline"


def filled(value: Any, names: dict[str, Any]) -> Any:
    """A value of dvc.yaml with `${a.b}` replaced."""
    if isinstance(value, dict):
        return {filled(key, names): filled(below, names) for key, below in value.items()}
    if isinstance(value, list):
        return [filled(below, names) for below in value]

    def look_up(match: re.Match[str]) -> str:
        found: Any = names
        for part in match[1].split("."):
            found = found[part]
        return str(found)

    return re.sub(r"\$\{([\w.]+)\}", look_up, value) if isinstance(value, str) else value


def stages() -> dict[str, dict[str, Any]]:
    """Stages by the name that `dvc repro` takes, such as `train@kion`."""
    content = yaml.safe_load((FOLDER / "dvc.yaml").read_text())
    params = yaml.safe_load((FOLDER / "params.yaml").read_text())
    return {
        f"{name}@{shop}": filled(stage["do"], {**params, "key": shop, "item": item})
        for name, stage in content["stages"].items()
        for shop, item in params[stage["foreach"][2:-1]].items()
    }


def commands(stage: dict[str, Any]) -> list[str]:
    """The lines of shell that a stage runs."""
    return stage["cmd"] if isinstance(stage["cmd"], list) else [stage["cmd"]]


def paths(stage: dict[str, Any], kind: str) -> list[str]:
    """The files of a stage's deps, outs or metrics."""
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in stage.get(kind, [])]
