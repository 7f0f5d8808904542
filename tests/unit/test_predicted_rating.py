"""Predicted stars: the formula by hand, its limits, and what is unknown."""

import numpy as np
import pytest

from rec_sys.predicted_rating import (
    NO_BRAND,
    Products,
    RatingFormula,
    fit_means,
    personal_deviation,
    predict_stars,
)

NORTH, EAST = [1.0, 0.0], [0.0, 1.0]


def products(mean: list[float], vectors: list[list[float]], brands: list[int]) -> Products:
    return Products(np.array(mean, np.float32), np.array(vectors, np.float32), np.array(brands))


def test_similar_products_and_those_of_one_author_move_the_mean() -> None:
    rated = products([3.0, 4.0], [NORTH, EAST], [7, NO_BRAND])
    asked = products([3.0, 3.0, 3.0], [NORTH, EAST, [0.6, 0.8]], [7, NO_BRAND, NO_BRAND])
    formula = RatingFormula(mean_weight=0, sharpness=2.0, evidence=1.0)
    # The user rates one 2 above its mean and one 1 below; the level is (2 - 1) / (2 + 2).
    found = personal_deviation(formula, rated, np.array([5.0, 3.0]), asked)
    expected = [(0.25 + 2 * 2) / 3, (0.25 - 1) / 2, (0.25 + 0.36 * 2 - 0.64) / 2]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_weight_of_the_mean_leaves_its_share_of_what_is_personal() -> None:
    mean, deviation = np.array([3.0, 4.9], np.float32), np.array([1.0, 1.0], np.float32)
    assert predict_stars(RatingFormula(mean_weight=0.25), mean, deviation).tolist() == [3.75, 5.0]
    assert predict_stars(RatingFormula(mean_weight=1), mean, deviation) == pytest.approx(mean)


def test_nobody_s_ratings_and_unknown_brands_say_nothing() -> None:
    nothing = products([], np.zeros((0, 2)).tolist(), []).take(np.empty(0, dtype=int))
    asked = products([3.0], [[0.0, 0.0]], [NO_BRAND])
    empty = Products(nothing.mean, np.zeros((0, 2), np.float32), nothing.brand)
    assert personal_deviation(RatingFormula(mean_weight=0), empty, np.array([]), asked).tolist() == [0]
    rated = products([3.0], [[0.0, 0.0]], [NO_BRAND])
    level = personal_deviation(RatingFormula(mean_weight=0), rated, np.array([5.0]), asked)
    assert level == pytest.approx([2 / 3])  # of one review two above the mean, shrunk by two


def test_a_known_mean_holds_where_few_have_rated() -> None:
    user, product, stars = np.array([0, 1, 2]), np.array([0, 0, 1]), np.array([5.0, 5.0, 1.0])
    few = fit_means(user, product, stars, np.array([3.0, 3.0]), 1000.0)
    assert few == pytest.approx([3.0, 3.0], abs=0.01)
    assert fit_means(user, product, stars, np.array([3.0, 3.0]), 0.1)[0] > 3.9
