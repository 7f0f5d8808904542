"""What each component of the model is worth, by one command: `uv run -m rec_sys.experiments.ablation`.

A table has a row for every change and trains it for every seed. Every training is the main job in a process of its
own. A finished one is kept, so an interrupted table goes on and a longer one reuses its rows; the bundles are
removed, for they are not meant to be served.
"""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field

from rec_sys.console import say, say_error
from rec_sys.contracts import InputError
from rec_sys.data.prepare import prepare
from rec_sys.entry import run_entry
from rec_sys.experiments.figures import figure_cell, mean_and_deviation
from rec_sys.experiments.kept_training import compose, trained_figures, write_json
from rec_sys.experiments.training_command import group_of, typed_for_training, untracked
from rec_sys.experiments.training_rows import Seeds, TrainingRow, each_name_once
from rec_sys.files import atomic_file
from rec_sys.locks import locked_folder
from rec_sys.settings import Section, Settings

RESULTS: Final = "ablation.json"
TABLE: Final = "ablation.md"
_HEADS: Final = {
    "validation ndcg_at_10_masked": "NDCG@10 masked, validation",
    "test ndcg_at_10_masked": "NDCG@10 masked, test",
    "test recall_at_10_masked": "Recall@10 masked, test",
    "test rmse": "RMSE, test",
    "test auc": "AUC, test",
}
_COMPARED: Final = ("validation ndcg_at_10_masked", "test ndcg_at_10_masked")
# A row may change neither where things are written nor which data it is compared on.
_FIXED: Final = frozenset({"data", "evaluation", "output_dir", "run_dir", "seed", "experiment", "ablation"})
_OWN: Final = frozenset({"ablation", "seed", "run_dir"})
_LOG: Final = logging.getLogger(__name__)


class AblationTable(Section):
    """What is trained."""

    seeds: Seeds = Field((0, 1, 2), min_length=1, description="Every row is trained with each.")
    rows: Annotated[tuple[TrainingRow, ...], AfterValidator(each_name_once)] = Field(
        min_length=1, description="The first is what the others are compared with."
    )


class AblationSettings(Settings):
    """Everything config/ablation.yaml composes."""

    ablation: AblationTable


def run(settings: AblationSettings) -> None:
    """Trains what is missing of a table; the last line printed is the table's path."""
    say(f"ablation: {compare_components(settings, typed_for_training(_OWN))}")


def compare_components(settings: AblationSettings, typed: list[str]) -> Path:
    """Trains what is missing of a table and writes it; the figures stand beside it as JSON.

    Args:
        settings: All settings of the command.
        typed: Those of the command line that every row's training is given.

    Raises:
        InputError: A row's setting does not exist, or a training failed.
    """
    wanted = settings.ablation
    base = untracked(typed)
    _refuse_fixed(wanted.rows)
    composed = {row.name: compose(f"ablation row {row.name!r}", [*base, *row.changes]) for row in wanted.rows}
    dataset = prepare(settings.data, settings.output_dir, engine=settings.engine)
    folder = settings.output_dir.absolute() / "ablation" / f"{dataset.folder.name}-{_name(composed)}"
    with locked_folder(folder, "another ablation is at work in this folder", "wait for it to end"):
        found: dict[str, dict[int, dict[str, float]]] = {row.name: {} for row in wanted.rows}
        for seed in wanted.seeds:
            for row in wanted.rows:
                arguments = [*base, *row.changes, f"seed={seed}"]
                settings_of_row = composed[row.name].model_copy(update={"seed": seed})
                found[row.name][seed] = trained_figures(
                    folder, settings_of_row, dataset.summary.fingerprint, f"{row.name}, seed {seed}", arguments
                )
                summary = summarise(wanted.rows, found)
                write_json(folder / RESULTS, {"rows": summary})
                with atomic_file(folder / TABLE) as unfinished:
                    unfinished.write_text(markdown(summary))
    say_error((folder / TABLE).read_text())
    return folder / TABLE


def summarise(
    rows: Sequence[TrainingRow], found: Mapping[str, Mapping[int, Mapping[str, float]]]
) -> list[dict[str, Any]]:
    """Mean and deviation over the seeds of every row, and what it changes against the first, seed by seed.

    Args:
        rows: The table's rows.
        found: Figures by row and seed; a row without any is left out.

    Returns:
        For each row `name`, `changes`, `seeds`, `mean`, `deviation` and, but for the first, `change` and
        `change_deviation`; a deviation needs two seeds.
    """
    first = rows[0].name
    summary: list[dict[str, Any]] = []
    for wanted in rows:
        seeds = found[wanted.name]
        if not seeds:
            continue
        keys = [key for key in _HEADS if all(key in figures for figures in seeds.values())]
        row: dict[str, Any] = {"name": wanted.name, "changes": list(wanted.changes), "seeds": sorted(seeds)}
        row["mean"], row["deviation"] = _spread({key: [seeds[seed][key] for seed in seeds] for key in keys})
        if wanted.name != first:
            both = sorted(seeds.keys() & found[first].keys())
            row["change"], row["change_deviation"] = _spread(
                {key: [seeds[seed][key] - found[first][seed][key] for seed in both] for key in _COMPARED if both}
            )
        summary.append(row)
    return summary


def markdown(summary: list[dict[str, Any]]) -> str:
    """The table for people: mean and deviation, the change in NDCG against the first row seed by seed."""
    heads = ["", *_HEADS.values(), "change, validation", "change, test"]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for row in summary:
        cells = [figure_cell(row["mean"].get(key), row["deviation"].get(key)) for key in _HEADS]
        changes = (row.get("change", {}), row.get("change_deviation", {}))
        cells += [figure_cell(changes[0].get(key), changes[1].get(key), "+") for key in _COMPARED]
        lines.append(f"| {row['name']} | {' | '.join(cells)} |")
    seeds = sorted({seed for row in summary for seed in row["seeds"]})
    lines += [
        "",
        f"Seeds {', '.join(map(str, seeds))}: mean ± deviation over them; change: against the first row, seed by seed.",
    ]
    return "\n".join(lines) + "\n"


def _spread(values: dict[str, list[float]]) -> tuple[dict[str, float], dict[str, float]]:
    found = {key: mean_and_deviation(of_key) for key, of_key in values.items()}
    means = {key: mean for key, (mean, _) in found.items()}
    return means, {key: deviation for key, (_, deviation) in found.items() if deviation is not None}


def _refuse_fixed(rows: Sequence[TrainingRow]) -> None:
    for row in rows:
        for text in row.changes:
            if group_of(text) in _FIXED:
                raise InputError(
                    f"a row may not change {group_of(text)}: its figures could not be compared",
                    where=f"ablation row {row.name!r}: {text}",
                    remedy="give it for the whole table, outside of the rows",
                )


def _name(composed: Mapping[str, Settings]) -> str:
    """Tables that start from other settings lie in other folders."""
    first = next(iter(composed.values()))
    shape = first.model_dump_json(include={"model", "graph", "trainer", "evaluation", "text"})
    return hashlib.sha256(shape.encode()).hexdigest()[:8]


if __name__ == "__main__":
    run_entry(run, AblationSettings, "ablation")
