"""How well predicted stars agree with the stars that users gave."""

from typing import Final

import numpy as np
import numpy.typing as npt

POSITIVE_ABOVE: Final = 3.0  # stars; four and five count as liked


def rating_metrics(predicted: npt.NDArray[np.floating], stars: npt.NDArray[np.floating]) -> dict[str, float]:
    """Errors in stars, and how well predictions tell liked (more than 3 stars) from not liked.

    Most reviews are positive, so "always positive" has a high F1 and accuracy: read them beside AUC and balanced
    accuracy. What the stars cannot support is left out; `explain_missing_metrics` says why.

    mae = mean of |predicted - stars|; rmse = root of the mean of (predicted - stars)^2; accuracy = share of reviews
    whose prediction falls on the right side of 3 stars; balanced accuracy = mean of that share among the liked and
    among the others; f1 = 2 * hits / (liked + predicted as liked); auc = chance that a liked review is predicted above
    one that is not, ties counting half.

    >>> figures = rating_metrics(np.array([4.0, 2.0, 5.0, 4.0]), np.array([5.0, 1.0, 4.0, 3.0]))
    >>> {name: round(value, 4) for name, value in figures.items()}
    {'mae': 1.0, 'rmse': 1.0, 'accuracy': 0.75, 'f1': 0.8, 'auc': 0.875, 'balanced_accuracy': 0.75}

    Args:
        predicted: `[num_reviews]` stars, not bound to 1 to 5; above 3 means "predicted as liked".
        stars: `[num_reviews]` the stars given.

    Returns:
        `mae`, `rmse`, `accuracy`, and where the stars allow it `f1`, `auc`, `balanced_accuracy`.

    Raises:
        ValueError: There are no reviews, the lengths differ, or a value is not finite.
    """
    from sklearn import metrics

    if predicted.shape != stars.shape or stars.ndim != 1 or len(stars) == 0:
        raise ValueError(f"predictions {predicted.shape} and stars {stars.shape} must be equally long and not empty")
    if not (np.isfinite(predicted).all() and np.isfinite(stars).all()):
        raise ValueError("predictions and stars must be finite: leave out reviews without a rating")
    liked, predicted_liked = stars > POSITIVE_ABOVE, predicted > POSITIVE_ABOVE
    measured = {
        "mae": metrics.mean_absolute_error(stars, predicted),
        "rmse": metrics.root_mean_squared_error(stars, predicted),
        "accuracy": metrics.accuracy_score(liked, predicted_liked),
    }
    missing = explain_missing_metrics(stars)
    if "f1" not in missing:
        measured["f1"] = metrics.f1_score(liked, predicted_liked)
    if "auc" not in missing:
        measured["auc"] = metrics.roc_auc_score(liked, predicted)
        measured["balanced_accuracy"] = metrics.balanced_accuracy_score(liked, predicted_liked)
    return {name: float(value) for name, value in measured.items()}


def mean_rank_correlation(
    user_index: npt.NDArray[np.integer], predicted: npt.NDArray[np.floating], stars: npt.NDArray[np.floating]
) -> tuple[float, npt.NDArray[np.float64]]:
    """Whether a user's own reviews are put in the right order: Spearman's rank correlation, user by user.

    Of a user it is the correlation of the ranks of predictions and stars, ties at their mean rank.

    >>> predicted, stars = np.array([4.5, 2.0, 1.0, 3.0, 3.0]), np.array([5.0, 4.0, 1.0, 2.0, 3.0])
    >>> mean, of_users = mean_rank_correlation(np.array([0, 0, 0, 1, 1]), predicted, stars)
    >>> mean, of_users.tolist()
    (0.5, [1.0, 0.0])

    Returns:
        The mean over the users with at least two different ratings (equal predictions for them count 0), and the
        value of each of these users; NaN and nothing where there is no such user.
    """
    from scipy.stats import spearmanr

    order = np.argsort(user_index, kind="stable")
    bounds = np.flatnonzero(np.diff(user_index[order])) + 1
    values = []
    for rows in np.split(order, bounds):
        if len(rows) > 1 and np.ptp(stars[rows]) > 0:
            flat = np.ptp(predicted[rows]) == 0
            values.append(0.0 if flat else float(spearmanr(predicted[rows], stars[rows]).statistic))
    found = np.array(values, dtype=np.float64)
    return (float(found.mean()) if len(found) else float("nan")), found


def rank_figures(
    user_index: npt.NDArray[np.integer], predicted: npt.NDArray[np.floating], stars: npt.NDArray[np.floating]
) -> dict[str, float]:
    """`rank_correlation` of `mean_rank_correlation`, its standard error over users and their number; else nothing."""
    mean, of_users = mean_rank_correlation(user_index, predicted, stars)
    if len(of_users) < 2:
        return {}
    error = float(of_users.std(ddof=1) / np.sqrt(len(of_users)))
    names = ("rank_correlation", "rank_correlation_error", "rank_correlation_users")
    return dict(zip(names, (mean, error, float(len(of_users))), strict=True))


def explain_missing_metrics(stars: npt.NDArray[np.floating]) -> dict[str, str]:
    """Which metrics these stars leave undefined, and why; empty when none."""
    liked = np.count_nonzero(stars > POSITIVE_ABOVE)
    if 0 < liked < len(stars):
        return {}
    reason = f"all {len(stars)} reviews have {'more than' if liked else 'at most'} {POSITIVE_ABOVE:g} stars"
    return dict.fromkeys(("auc", "balanced_accuracy") if liked else ("auc", "balanced_accuracy", "f1"), reason)
