"""The figures of predicted stars, whoever predicts them, with their standard errors."""

from typing import Final

import numpy as np
import numpy.typing as npt

from rec_sys.data.interactions import FloatArray
from rec_sys.evaluation.rating import mean_rank_correlation, rating_metrics
from rec_sys.evaluation.uncertainty import bootstrap_errors, standard_error_of_mean

_RATING_RESAMPLES: Final = 100  # each computes seven metrics of a library that is slow on few reviews


def rating_figures(
    user_index: npt.NDArray[np.integer], predicted: FloatArray, stars: FloatArray, seed: int
) -> tuple[dict[str, float], dict[str, float]]:
    """The metrics of predicted stars, and their standard errors by bootstrap over the reviews."""
    metrics = rating_metrics(predicted, stars)
    errors = bootstrap_errors(
        lambda rows: rating_metrics(predicted[rows], stars[rows]), len(stars), seed, resamples=_RATING_RESAMPLES
    )
    correlation, of_users = mean_rank_correlation(user_index, predicted, stars)
    if len(of_users):
        metrics["rank_correlation"] = correlation
        errors["rank_correlation"] = standard_error_of_mean(of_users)
    return metrics, errors
