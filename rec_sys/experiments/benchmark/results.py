"""The results folder: rows as JSON, tables, comparisons, the settings that tuning chose, and the report."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl

from rec_sys.baselines.settings import BaselineSettings
from rec_sys.evaluation.uncertainty import compare_paired
from rec_sys.experiments.benchmark.row_contract import DAILY, GLOBAL_TIME
from rec_sys.experiments.benchmark.settings import OWN_MODEL, BenchmarkSettings
from rec_sys.experiments.benchmark.tuning import Tuned, own_values
from rec_sys.experiments.figures import figure_cell
from rec_sys.files import atomic_file
from rec_sys.locks import locked_folder

RESULTS_FILE: Final = "results.json"
TABLE_FILE: Final = "results.md"
COMPARISONS_FILE: Final = "comparisons.json"
CHOSEN_FILE: Final = "baseline_settings.yaml"
OWN_CHOSEN_FILE: Final = "experiment.yaml"
TUNED_FILE: Final = "tuned.json"
REPORT_FILE: Final = "report.html"
_INCIDENTAL: Final = {"output_dir", "run_dir", "tracking", "figures"}
_NOTED_SHARE: Final = 0.1


@dataclass(frozen=True)
class FinishedRow:
    """A row as in results.json and, where its model answered query by query, the values, one row a query.

    `by_time` has those of a split by time, asked once or day by day, by the prefix of their metrics.
    """

    row: dict[str, Any]
    queries: pl.DataFrame | None = None
    by_time: dict[str, pl.DataFrame] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The model, and what sets the row apart from its other rows."""
        fold = f", fold {self.row['fold']}" if "fold" in self.row else ""
        return f"{self.row['model']} ({self.row['fit_on']}{fold})"


class ResultsFolder:
    """Where a benchmark's results stand, one process at a time; the settings and the data name the folder."""

    def __init__(self, settings: BenchmarkSettings, data_fingerprint: str) -> None:
        asked = settings.model_dump(mode="json", exclude=_INCIDENTAL)
        digest = hashlib.sha256(json.dumps([asked, data_fingerprint], sort_keys=True).encode()).hexdigest()[:8]
        name = f"{settings.data.name}-{settings.evaluation.protocol}-{digest}"
        self.path = settings.output_dir.absolute() / "benchmark" / name
        self.results = self.path / RESULTS_FILE

    def locked(self) -> AbstractContextManager[object]:
        """Holds the folder; an `InputError` where another benchmark is at work there."""
        remedy = "wait for it; what it has finished is used by the next one"
        return locked_folder(self.path, "another benchmark of the same settings is at work", remedy)

    def write_rows(self, rows: Sequence[FinishedRow], k: int) -> None:
        """Writes results.json and the Markdown table; called after every row, so that an interruption loses none."""
        self.write_json(RESULTS_FILE, [finished.row for finished in rows])
        self.write_text(TABLE_FILE, markdown_tables([finished.row for finished in rows], k))

    def write_json(self, name: str, value: Any) -> None:
        """Writes a JSON file."""
        self.write_text(name, json.dumps(value, indent=2, allow_nan=False) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Writes a text file."""
        with atomic_file(self.path / name) as unfinished:
            unfinished.write_text(text, encoding="utf-8")


def write_figures(path: Path, rows: Sequence[FinishedRow], k: int) -> None:
    """Writes every row's headline metrics as `{model: {metric: value}}`, which tools that compare runs read."""
    headline = (f"recall_at_{k}_masked", f"ndcg_at_{k}_masked", "rmse", "answered_rank_correlation")
    found = {
        one.name: {name: one.row["metrics"][name] for name in headline if name in one.row["metrics"]}
        for one in rows
        if one.row["status"] == "done"
    }
    with atomic_file(path) as unfinished:
        unfinished.write_text(json.dumps(found, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")


def write_chosen(folder: ResultsFolder, settings: BaselineSettings, found: Sequence[Tuned]) -> None:
    """Writes every baseline's settings, and what tuning chose for our own model, as files that config/ takes."""
    import yaml

    head = "# What the table ran. Copied to config/baseline_settings/NAME.yaml, baseline_settings=NAME runs it again.\n"
    content = yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)
    folder.write_text(CHOSEN_FILE, head + content)
    own: dict[str, dict[str, Any]] = {}
    for section, key, value in own_values(found):
        own.setdefault(section, {})[key] = value
    if own:
        head = "# @package _global_\n# Copied to config/experiment/NAME.yaml, experiment=NAME trains with it.\n"
        folder.write_text(OWN_CHOSEN_FILE, head + yaml.safe_dump(own, sort_keys=False))
    if found:
        folder.write_json(TUNED_FILE, [tuned.model_dump() for tuned in found])


def compare_rows(rows: Sequence[FinishedRow], k: int, seed: int) -> list[dict[str, Any]]:
    """Each model against our own, or where that gave no answers against the best, on the same questions.

    Returns:
        One entry for each metric and model; entries compare rows of one `fit_on` and one fold.
    """
    found = []
    for group in grouped(rows).values():
        answered = [(finished.row, finished.queries) for finished in group if finished.queries is not None]
        if len(answered) < 2:
            continue
        found += _compare_answers(answered, "", k, seed)
        for prefix in (GLOBAL_TIME, DAILY):
            timed = [(finished.row, finished.by_time[prefix]) for finished in group if prefix in finished.by_time]
            if len(timed) > 1:
                found += _compare_answers(timed, prefix, k, seed)
    return found


def _compare_answers(
    answered: Sequence[tuple[dict[str, Any], pl.DataFrame]], prefix: str, k: int, seed: int
) -> list[dict[str, Any]]:
    """The entries of one group of rows for one set of questions, whose metrics have the prefix."""
    found = []
    for metric in (f"ndcg_at_{k}_masked", f"recall_at_{k}_masked"):
        best = max(answered, key=lambda each: each[0]["metrics"][prefix + metric])
        against, theirs = next((each for each in answered if each[0]["model"] == OWN_MODEL), best)
        for row, queries in answered:
            if row is against:
                continue
            values = queries[metric].to_numpy(), theirs[metric].to_numpy()
            compared = compare_paired(*values, seed, users=queries["user_index"].to_numpy()).as_dict()
            where = {key: row[key] for key in ("fit_on", "fold") if key in row}
            names = {"model": row["model"], "against": against["model"], "metric": prefix + metric}
            found.append(names | where | compared)
    return found


def time_columns(k: int) -> tuple[str, ...]:
    """The figures under a split by time, asked once and day by day, in the tables of rankings."""
    return tuple(f"{prefix}ndcg_at_{k}_masked" for prefix in (GLOBAL_TIME, DAILY))


def grouped(rows: Sequence[FinishedRow]) -> dict[tuple[str, int | None], list[FinishedRow]]:
    """The rows by what was fitted on and by fold: those that can be compared."""
    groups: dict[tuple[str, int | None], list[FinishedRow]] = {}
    for finished in rows:
        groups.setdefault((finished.row["fit_on"], finished.row.get("fold")), []).append(finished)
    return groups


def markdown_tables(rows: Sequence[dict[str, Any]], k: int) -> str:
    """The rankings and the ratings, best first, with standard errors; models that failed say why below."""
    plain = (f"recall_at_{k}_masked", f"ndcg_at_{k}_masked", f"recall_at_{k}", f"ndcg_at_{k}", f"coverage_at_{k}")
    ranking = (*plain, *time_columns(k))
    rating = ("rmse", "mae", "auc", "balanced_accuracy", "f1", "accuracy", "rank_correlation")
    tables = [_table(rows, columns) for columns in (ranking, rating)]
    missing = [row for row in rows if row["status"] != "done"]
    notes = [f"- {note}" for note in fallback_notes(rows)]
    notes += [f"- {row['model']} ({row['fit_on']}): {row['status']}, {row['reason']}" for row in missing]
    return "\n\n".join([*(table for table in tables if table), *(["\n".join(notes)] if notes else [])]) + "\n"


def fallback_notes(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Which models knew nothing to score a tenth of the test queries or more by: popular products are the fallback."""
    return [
        f"{row['model']} ({row['fit_on']}) has nothing to score {row['popular_share']:.0%} of the test queries by:"
        " popular products are the fallback"
        for row in rows
        if row.get("popular_share", 0.0) >= _NOTED_SHARE
    ]


def _table(rows: Sequence[dict[str, Any]], columns: tuple[str, ...]) -> str:
    shown = [row for row in rows if row["status"] == "done" and columns[1] in row["metrics"]]
    if not shown:
        return ""
    lower_is_better = columns[0] == "rmse"
    best = columns[0] if lower_is_better else columns[1]
    shown.sort(key=lambda row: row["metrics"][best], reverse=not lower_is_better)
    columns = tuple(name for name in columns if any(name in row["metrics"] for row in shown))
    folds = ["fold"] if any("fold" in row for row in shown) else []
    heads = ["model", "fit on", *folds, *(name.replace("_at_", "@") for name in columns), "fit s", "CPU s", "peak MB"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * (2 + len(folds)) + "|--:" * (len(columns) + 3) + "|"]
    for row in shown:
        figures = [figure(row, name) for name in columns]
        places = [str(row["fold"])] if folds else []
        took = [
            *(seconds_cell(row[name]) for name in ("fit_seconds", "fit_cpu_seconds")),
            f"{row['peak_memory_mb']:.0f}",
        ]
        lines.append("| " + " | ".join([row["model"], row["fit_on"], *places, *figures, *took]) + " |")
    return "\n".join(lines)


def seconds_cell(seconds: float | None) -> str:
    """Seconds for a table; a bundle's own are not known."""
    return "-" if seconds is None else f"{seconds:.1f}"


def figure(row: dict[str, Any], name: str) -> str:
    """A metric with its standard error where it has one."""
    return figure_cell(row["metrics"].get(name), row["standard_error"].get(name))
