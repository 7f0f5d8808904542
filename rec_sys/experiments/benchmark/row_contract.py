"""What a row's process is asked, what it finds, and the files it leaves."""

from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict

from rec_sys.evaluation.ranking import RankingResult
from rec_sys.experiments.benchmark.settings import BenchmarkSettings, FitOn
from rec_sys.settings import EvaluationSettings

Job = Literal["row", "search"]

ROW_FILE: Final = "row.json"
QUERIES_FILE: Final = "queries.parquet"
DAILY_FILE: Final = "daily.parquet"
# Before a metric: of the questions of `Split.daily`, of a split by time beside the protocol's own.
DAILY: Final = "daily_"
GLOBAL_TIME: Final = "global_time_"
TUNED_FILE: Final = "tuned.json"
REASON_FILE: Final = "reason.txt"  # beside the row's folder, while there is no row


class RowRequest(BaseModel):
    """Everything that a row needs to know.

    Attributes:
        job: `row` measures the model, `search` tunes its settings.
        name: The baseline, or `review_graph`.
        fit_on: What it learns from.
        fold: Which time window is for test; None where the protocol has one test split.
        settings: All settings, those that tuning chose included.
        overrides: The command line's arguments that training understands; only our own model reads them.
        data_folder: The prepared data.
        folder: Where the row, or what tuning found, goes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    job: Job = "row"
    name: str
    fit_on: FitOn
    fold: int | None
    settings: BenchmarkSettings
    overrides: tuple[str, ...]
    data_folder: Path
    folder: Path

    def evaluation(self) -> EvaluationSettings:
        """The split's settings for this row, with the benchmark's list lengths."""
        changed = {"ks": self.settings.ks} | ({} if self.fold is None else {"fold": self.fold})
        return self.settings.evaluation.model_copy(update=changed)


@dataclass
class Measured:
    """What was found about a model.

    Attributes:
        metrics: As the test split of a bundle's metrics.json.
        standard_error: Of each metric that has one.
        fit_seconds: To learn; None of a model that was there.
        fit_cpu_seconds: Of all processors in that time, which other work on the machine does not lengthen.
        recommend_seconds: To score all test questions; None where that is not known.
        parameters: Numbers learned.
        settings: The model's own settings.
        versions: Of the libraries behind it.
        queries: One row a query, for paired tests and the report; None where the model gives none.
        daily: The same for the questions day by day; None where the split is not by time.
        more: Further figures by part: cold and warm, by history length, by popularity.
        peak_memory_bytes: Of a child process where the model ran in one.
    """

    metrics: dict[str, float]
    standard_error: dict[str, float]
    fit_seconds: float | None = 0.0
    fit_cpu_seconds: float | None = 0.0
    recommend_seconds: float | None = None
    parameters: int | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    queries: pl.DataFrame | None = None
    daily: pl.DataFrame | None = None
    more: dict[str, Any] = field(default_factory=dict)
    peak_memory_bytes: int = 0

    def add_daily(self, result: RankingResult) -> None:
        """Takes in what was measured day by day."""
        self.metrics |= {f"{DAILY}{name}": value for name, value in result.metrics.items()}
        self.standard_error |= {f"{DAILY}{name}": value for name, value in result.standard_error.items()}
        self.daily = result.per_query


def identify_row(request: RowRequest) -> dict[str, Any]:
    """The part of a row that is known before it is computed."""
    protocol = request.settings.evaluation.protocol
    row: dict[str, Any] = {"model": request.name, "protocol": protocol, "fit_on": request.fit_on}
    return row if request.fold is None else row | {"fold": request.fold}


def library_versions(names: tuple[str, ...]) -> dict[str, str]:
    """The installed versions of distributions."""
    return {name: metadata.version(name) for name in names}


def reason_path(folder: Path) -> Path:
    """Where a row that failed says why."""
    return folder.with_name(f"{folder.name}.{REASON_FILE}")
