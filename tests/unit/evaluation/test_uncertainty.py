"""Standard errors and paired comparisons against what theory says of them."""

import numpy as np
import pytest

from rec_sys.evaluation.uncertainty import (
    bootstrap_errors,
    clustered_error,
    compare_paired,
    standard_error_of_mean,
)


def test_the_error_of_a_mean_is_the_textbooks_and_leaves_nan_out() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0, np.nan])
    assert standard_error_of_mean(values) == pytest.approx(np.sqrt(5 / 3) / 2)


def test_a_single_value_has_no_error() -> None:
    assert np.isnan(standard_error_of_mean(np.array([1.0, np.nan])))


def test_the_bootstrap_of_a_mean_agrees_with_its_formula() -> None:
    values = np.random.default_rng(1).exponential(size=400)
    errors = bootstrap_errors(lambda rows: {"mean": float(values[rows].mean())}, len(values), seed=0, resamples=600)
    assert errors["mean"] == pytest.approx(standard_error_of_mean(values), rel=0.12)


def test_a_figure_that_most_samples_leave_undefined_gets_no_error() -> None:
    drawn = iter(range(100))
    errors = bootstrap_errors(lambda rows: {"rare": 1.0 if next(drawn) % 3 == 0 else np.nan}, 5, seed=0, resamples=100)
    assert errors == {}


def test_the_interval_of_a_difference_covers_the_truth_about_as_often_as_it_says() -> None:
    random, covered = np.random.default_rng(2), 0
    for seed in range(100):
        shared = random.random(80)
        compared = compare_paired(shared + random.normal(0.1, 0.5, 80), shared, seed, resamples=300)
        covered += compared.low <= 0.1 <= compared.high
    assert 86 <= covered <= 99


def test_pairs_find_a_small_difference_that_the_spread_between_users_would_hide() -> None:
    random = np.random.default_rng(3)
    easy = random.random(500)
    first = easy + random.normal(0.01, 0.02, 500)
    compared = compare_paired(first, easy, seed=0)
    assert compared.low > 0
    assert compared.p_value < 1e-6
    assert compared.difference < standard_error_of_mean(first)
    assert compared.num_queries == 500


def test_users_who_ask_often_count_as_one_draw() -> None:
    random = np.random.default_rng(5)
    means = []
    for _ in range(400):
        users = np.repeat(np.arange(30), random.integers(1, 8, 30))
        means.append((random.normal(size=30)[users]).mean())
    errors = [clustered_error(random.normal(size=30)[users][:, None], users)[0] for _ in range(200)]
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.15)

    values = random.normal(0.2, 1, 30)[users]
    compared = compare_paired(values, np.zeros(len(users)), seed=0, users=users)
    assert compared.high - compared.low == pytest.approx(
        2 * 1.96 * clustered_error(values[:, None], users)[0], rel=0.15
    )
    alone = np.arange(len(users))
    once = compare_paired(values, np.zeros(len(users)), seed=0)
    assert compare_paired(values, np.zeros(len(users)), seed=0, users=alone) == once
    assert compared.high - compared.low > 1.4 * (once.high - once.low)
    assert clustered_error(values[:, None], alone)[0] == pytest.approx(standard_error_of_mean(values))


def test_equal_models_do_not_differ() -> None:
    values = np.random.default_rng(4).random(50)
    compared = compare_paired(values, values, seed=0)
    assert (compared.difference, compared.low, compared.high, compared.p_value) == (0, 0, 0, 1)


@pytest.mark.parametrize(("first", "second"), [(3, 4), (0, 0)])
def test_values_of_other_queries_are_refused(first: int, second: int) -> None:
    with pytest.raises(ValueError, match="equally long and not empty"):
        compare_paired(np.zeros(first), np.zeros(second), seed=0)
