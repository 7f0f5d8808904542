"""Rating metrics that one can work out by hand."""

import numpy as np
import numpy.typing as npt
import pytest

from rec_sys.evaluation.rating import explain_missing_metrics, rating_metrics


def floats(*values: float) -> npt.NDArray[np.float32]:
    return np.array(values, dtype=np.float32)


def test_errors_and_decisions_follow_their_definitions() -> None:
    measured = rating_metrics(floats(4.5, 3.5, 2.0, 3.2, 1.0), floats(5, 4, 3, 2, 4))
    assert measured["mae"] == pytest.approx((0.5 + 0.5 + 1 + 1.2 + 3) / 5)
    assert measured["rmse"] == pytest.approx(np.sqrt((0.25 + 0.25 + 1 + 1.44 + 9) / 5))
    # Liked: 4.5, 3.5 and 1.0; predicted as liked: 4.5, 3.5 and 3.2.
    assert measured["accuracy"] == pytest.approx(3 / 5)
    assert measured["f1"] == pytest.approx(2 / 3)
    assert measured["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    # Of six pairs (liked, not liked), 4.5 and 3.5 win both of theirs and 1.0 none.
    assert measured["auc"] == pytest.approx(4 / 6)


def test_exactly_three_stars_are_not_liked() -> None:
    measured = rating_metrics(floats(3, 5), floats(3, 5))
    assert (measured["accuracy"], measured["balanced_accuracy"], measured["auc"]) == (1, 1, 1)


def test_equal_predictions_tell_nothing_apart() -> None:
    measured = rating_metrics(floats(5, 5, 5, 5), floats(5, 5, 5, 1))
    assert (measured["auc"], measured["balanced_accuracy"]) == (0.5, 0.5)
    assert measured["accuracy"] == 0.75


def test_predictions_beyond_the_stars_are_judged_as_they_are() -> None:
    assert rating_metrics(floats(7, 0), floats(5, 1))["mae"] == pytest.approx(1.5)


def test_metrics_that_one_class_cannot_support_are_left_out_with_the_reason() -> None:
    liked, disliked = floats(4, 5), floats(1, 3)
    assert set(rating_metrics(floats(4, 5), liked)) == {"mae", "rmse", "accuracy", "f1"}
    assert set(rating_metrics(floats(4, 5), disliked)) == {"mae", "rmse", "accuracy"}
    assert explain_missing_metrics(liked)["auc"] == "all 2 reviews have more than 3 stars"
    assert explain_missing_metrics(disliked)["f1"] == "all 2 reviews have at most 3 stars"
    assert explain_missing_metrics(floats(1, 5)) == {}


def test_reviews_without_stars_are_refused() -> None:
    with pytest.raises(ValueError, match="leave out reviews without a rating"):
        rating_metrics(floats(4, 4), floats(5, np.nan))
    with pytest.raises(ValueError, match="not empty"):
        rating_metrics(floats(), floats())
    with pytest.raises(ValueError, match="equally long"):
        rating_metrics(floats(1), floats(1, 2))
