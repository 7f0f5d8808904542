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


def clustered_error(values: npt.NDArray[np.floating], users: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """Standard errors of means over queries where one user may ask several: users are the independent draws.

    Of a mean over n queries of c users: the root of the users' summed deviations squared, over n, with c - 1 in it.
    With one query a user it is `standard_error_of_mean`.

    >>> values = np.array([[1.0], [2.0], [3.0], [4.0]])
    >>> [round(float(clustered_error(values, np.array(users))[0]), 4) for users in ([0, 1, 2, 3], [0, 0, 1, 1])]
    [0.6455, 1.0]

    Args:
        values: `[num_queries, num_metrics]`.
        users: int `[num_queries]`.
    """
    _, which = np.unique(users, return_inverse=True)
    of_user = np.zeros((which.max() + 1, values.shape[1]))
    np.add.at(of_user, which, values - values.mean(axis=0))
    num_users = len(of_user)
    error: npt.NDArray[np.float64] = np.sqrt((of_user**2).sum(axis=0) * num_users / max(num_users - 1, 1))
    return error / len(values)


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
    first: npt.NDArray[np.floating],
    second: npt.NDArray[np.floating],
    seed: int,
    resamples: int = 1000,
    users: npt.NDArray[np.integer] | None = None,
) -> Comparison:
    """Whether two models differ in a metric, `[num_queries]` each, query by query.

    Where users, int `[num_queries]`, are given and ask several queries, users are drawn with all of theirs, and the
    test is on their means.

    Raises:
        ValueError: The lengths differ, or there is no query.
    """
    from scipy.stats import wilcoxon

    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise ValueError(f"values {first.shape} and {second.shape} must be equally long and not empty")
    difference = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    if users is not None and len(np.unique(users)) < len(users):
        return _compare_users(difference, users, seed, resamples)
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


def _compare_users(
    difference: npt.NDArray[np.float64], users: npt.NDArray[np.integer], seed: int, resamples: int
) -> Comparison:
    from scipy.stats import wilcoxon

    _, which = np.unique(users, return_inverse=True)
    total, count = np.bincount(which, difference), np.bincount(which)
    generator = np.random.default_rng(seed)
    means = np.empty(resamples)
    for start in range(0, resamples, _COMPARED_AT_ONCE):
        stop = min(start + _COMPARED_AT_ONCE, resamples)
        drawn = generator.multinomial(len(total), np.full(len(total), 1 / len(total)), size=stop - start)
        means[start:stop] = (drawn @ total) / (drawn @ count)
    low, high = np.quantile(means, [0.025, 0.975])
    p_value = float(wilcoxon(total / count).pvalue) if np.any(total) else 1.0
    return Comparison(float(difference.mean()), float(low), float(high), p_value, len(difference))
