"""How far chance alone moves a figure, and whether two models differ by more than that."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

RESAMPLES: Final = 200  # the deviation of a deviation is then about 5%
_COMPARED_AT_ONCE: Final = 64


def standard_error_of_mean(values: npt.NDArray[np.floating]) -> float:
    """Of the mean over n queries: deviation / sqrt(n), with n - 1 in the deviation; NaN values are left out.

    >>> round(standard_error_of_mean(np.array([1.0, 2.0, 3.0, 4.0, np.nan])), 4)
    0.6455

    Returns:
        The error; NaN with fewer than two values.
    """
    there = values[~np.isnan(values)]
    return float(there.std(ddof=1) / np.sqrt(len(there))) if len(there) > 1 else float("nan")


def bootstrap_errors(
    measure: Callable[[npt.NDArray[np.int64]], Mapping[str, float]], size: int, seed: int, resamples: int = RESAMPLES
) -> dict[str, float]:
    """Standard errors of figures that are no means: the deviation over samples drawn with replacement.

    Args:
        measure: Takes rows `[size]` int64, gives figures; one that a sample leaves undefined may be missing or NaN.
        size: Number of rows.
        seed: Seeds the samples.
        resamples: Number of samples.
    """
    generator = np.random.default_rng(seed)
    drawn = [measure(generator.integers(size, size=size)) for _ in range(resamples)]
    found: dict[str, float] = {}
    for name in drawn[0] if drawn else ():
        values = np.array([figures.get(name, np.nan) for figures in drawn])
        values = values[np.isfinite(values)]
        if len(values) > resamples // 2:
            found[name] = float(values.std(ddof=1))
    return found


@dataclass(frozen=True)
class Comparison:
    """Two models on the same queries.

    Attributes:
        difference: Mean of the first minus mean of the second.
        low: Lower end of the difference's 95% bootstrap interval.
        high: Its upper end.
        p_value: Of Wilcoxon's signed-rank test; 1 where no query differs.
        num_queries: Queries that both answered.
    """

    difference: float
    low: float
    high: float
    p_value: float
    num_queries: int

    def as_dict(self) -> dict[str, float]:
        """The fields by name."""
        return asdict(self)


def compare_paired(
    first: npt.NDArray[np.floating], second: npt.NDArray[np.floating], seed: int, resamples: int = 1000
) -> Comparison:
    """Whether two models differ in a metric, `[num_queries]` each, query by query.

    Raises:
        ValueError: The lengths differ, or there is no query.
    """
    from scipy.stats import wilcoxon

    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise ValueError(f"values {first.shape} and {second.shape} must be equally long and not empty")
    difference = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    # Most queries do not differ; drawing how often each distinct value comes is the same and much less work.
    values, counts = np.unique(difference, return_counts=True)
    generator = np.random.default_rng(seed)
    means = np.empty(resamples)
    for start in range(0, resamples, _COMPARED_AT_ONCE):
        stop = min(start + _COMPARED_AT_ONCE, resamples)
        drawn = generator.multinomial(len(difference), counts / len(difference), size=stop - start)
        means[start:stop] = drawn @ values / len(difference)
    low, high = np.quantile(means, [0.025, 0.975])
    p_value = float(wilcoxon(difference).pvalue) if np.any(difference) else 1.0
    return Comparison(float(difference.mean()), float(low), float(high), p_value, len(difference))
