"""Baselines in closed form, against the arithmetic done by hand."""

import numpy as np
import pytest

from rec_sys.baselines.rating_baseline import RATING_BASELINES, RatingBaseline, RatingBaselineKind

USERS = np.array([0, 0, 1, 1], dtype=np.int32)
PRODUCTS = np.array([0, 1, 0, 0], dtype=np.int32)
STARS = np.array([5, 2, 4, 5], dtype=np.float32)  # mean 4


def fit(kind: RatingBaselineKind, pseudo_counts: float = 5.0) -> RatingBaseline:
    return RatingBaseline(kind, pseudo_counts).fit(USERS, PRODUCTS, STARS, num_users=3, num_products=3)


def test_the_mean_rating_is_the_same_for_everyone() -> None:
    assert fit("rating_mean").predict(np.array([0, 2]), np.array([1, 2])).tolist() == [4, 4]


def test_the_product_mean_is_shrunk_by_its_pseudo_counts() -> None:
    baseline: RatingBaseline = fit("rating_product_mean")
    # Product 0 has residuals 1, 0, 1; product 1 has -2; product 2 has no review.
    expected = [4 + 2 / (3 + 5), 4 - 2 / (1 + 5), 4]
    assert baseline.predict(np.array([0, 0, 0]), np.array([0, 1, 2])) == pytest.approx(expected)


def test_the_user_offset_explains_what_the_product_left() -> None:
    product = np.array([2 / 8, -2 / 6])
    user = [((1 - product[0]) + (-2 - product[1])) / (2 + 5), ((0 - product[0]) + (1 - product[0])) / (2 + 5)]
    predicted = fit("rating_offsets").predict(np.array([0, 1, 2]), np.array([0, 1, 0]))
    assert predicted == pytest.approx([4 + product[0] + user[0], 4 + product[1] + user[1], 4 + product[0]])


@pytest.mark.parametrize("kind", RATING_BASELINES)
def test_the_unseen_get_the_mean_also_without_pseudo_counts(kind: RatingBaselineKind) -> None:
    baseline = fit(kind, pseudo_counts=0.0)
    assert baseline.predict(np.array([2]), np.array([2])).tolist() == [4]
    assert baseline.name == kind


@pytest.mark.parametrize("stars", [[], [np.nan]])
def test_a_mean_without_stars_is_refused(stars: list[float]) -> None:
    index = np.zeros(len(stars), dtype=np.int32)
    with pytest.raises(ValueError, match="all have stars"):
        RatingBaseline("rating_mean").fit(index, index, np.array(stars), num_users=1, num_products=1)
