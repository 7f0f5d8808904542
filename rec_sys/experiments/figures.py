"""Figures over seeds, as a table shows them."""

import statistics
from collections.abc import Sequence


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float | None]:
    """Of a figure over the seeds; the deviation needs two of them."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def figure_cell(value: float | None, error: float | None = None, sign: str = "") -> str:
    """A figure with its deviation or error; `sign` is that of a format, such as `+`."""
    if value is None:
        return "-"
    return f"{value:{sign}.4f}" + ("" if error is None else f" ± {error:.4f}")
