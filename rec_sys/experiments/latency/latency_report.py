"""What a measurement of latencies says, as rows, Markdown and a table for the terminal."""

from dataclasses import astuple, dataclass
from typing import Final

import numpy as np
from rich.table import Table

from rec_sys.inference.contract import StepTimes

STEPS: Final = ("text", "tower", "index", "ranker", "rest")


@dataclass(frozen=True)
class LatencyRow:
    """A row of the table; times of an answer in milliseconds, steps are means."""

    runtime: str
    texts: str
    concurrent: int
    answers: int
    errors: int
    p50: float
    p99: float
    answers_a_second: float
    text: float
    tower: float
    index: float
    ranker: float
    rest: float


def summarise(
    runtime: str,
    texts: str,
    concurrent: int,
    latencies: list[float],
    times: list[StepTimes],
    errors: int,
    elapsed: float,
) -> LatencyRow:
    """A row from what a closed loop returns."""
    p50, p99 = np.quantile(latencies, (0.5, 0.99)) * 1e3 if latencies else (float("nan"), float("nan"))
    means = {step: np.mean([getattr(one, step) for one in times]) if times else 0.0 for step in STEPS}
    return LatencyRow(
        runtime=runtime,
        texts=texts,
        concurrent=concurrent,
        answers=len(latencies),
        errors=errors,
        p50=round(float(p50), 2),
        p99=round(float(p99), 2),
        answers_a_second=round(len(latencies) / elapsed, 1),
        **{step: round(float(mean), 2) for step, mean in means.items()},
    )


def _cells(row: LatencyRow) -> list[str]:
    """Texts and whole numbers as they are, times with one decimal."""
    return [f"{value:.1f}" if isinstance(value, float) else str(value) for value in astuple(row)]


_HEADINGS: Final = (
    "towers",
    "texts",
    "users",
    "answers",
    "errors",
    "p50 ms",
    "p99 ms",
    "answers/s",
    *(f"{step} ms" for step in STEPS),
)


def markdown(rows: list[LatencyRow], about: dict[str, str | int | float]) -> str:
    """The table with what it was measured on."""
    said = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in about.items())
    how = f"Measured on: {said}. Users ask in a closed loop; steps are means, shared by users answered together."
    lines = ["# Latency of an answer", "", how, ""]
    lines += [f"| {' | '.join(_HEADINGS)} |", f"|{'---|' * len(_HEADINGS)}"]
    lines += [f"| {' | '.join(_cells(row))} |" for row in rows]
    return "\n".join(lines) + "\n"


def table(rows: list[LatencyRow]) -> Table:
    """The table for the terminal."""
    drawn = Table(*_HEADINGS, title="latency of an answer", title_justify="left")
    for column in drawn.columns[2:]:
        column.justify = "right"
    before = None
    for row in rows:
        if before is not None and (row.runtime, row.texts) != before:
            drawn.add_section()
        before = (row.runtime, row.texts)
        drawn.add_row(*_cells(row))
    return drawn
