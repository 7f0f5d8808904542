"""Rates of repeats against a count review by review, and popularity that never reads on."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from rec_sys.contracts import MILLISECONDS_A_DAY
from rec_sys.data.interactions import Interactions
from rec_sys.modules.past_popularity import PastPopularity
from rec_sys.modules.repeats import _PSEUDO_COUNTS, fit_repeats
from rec_sys.score_terms import AGE_BOUNDS, COUNT_BOUNDS, count_bins, popularity_of, rate_rows
from tests.review_graphs import make_interactions, random_table


def counted(
    columns: Interactions,
    edges: npt.NDArray[np.int64],
    limit: int,
    of_kind: npt.NDArray[np.bool_] | None = None,
    bounds: tuple[tuple[float, ...], tuple[float, ...]] = (AGE_BOUNDS, ()),
) -> npt.NDArray[np.float64]:
    """Asked and repeated, `[2, rows of the rates, counts]`."""
    ages, weights = bounds
    table = np.zeros((2, (len(ages) + 1) * (len(weights) + 1), len(COUNT_BOUNDS) + 1))
    for target in edges if of_kind is None else edges[of_kind[edges]]:
        before = [
            edge
            for edge in edges
            if columns.user_index[edge] == columns.user_index[target] and edge < columns.unit_start[target]
        ]
        for product in {int(columns.product_index[edge]) for edge in before[-limit:]}:
            of_it = [edge for edge in before if columns.product_index[edge] == product]
            age = float(before[::-1].index(of_it[-1]))
            if columns.has_time:
                age = (columns.timestamp[before[-1]] - columns.timestamp[of_it[-1]]) / MILLISECONDS_A_DAY
            heaviest = 1.0 if columns.weight is None else float(columns.weight[of_it].max())
            row = rate_rows(np.array([age]), np.array([heaviest]), ages, weights)[0]
            cell = row, count_bins(np.array([len(of_it)]))[0]
            table[(0, *cell)] += 1
            table[(1, *cell)] += product == columns.product_index[target]
    return table


@pytest.mark.parametrize(("has_time", "limit"), [(True, 50), (False, 50), (True, 3)])
def test_the_rates_are_the_shares_of_what_followed(has_time: bool, limit: int) -> None:
    columns, _ = make_interactions(random_table(1, num_reviews=200, num_products=6, num_bodies=9, has_time=has_time))
    edges = np.flatnonzero(np.random.default_rng(0).random(200) < 0.8)
    asked, repeated = counted(columns, edges, limit)
    found = fit_repeats(columns, edges, limit)
    assert found is not None
    mean = repeated.sum() / asked.sum()
    assert found.by_time == has_time
    np.testing.assert_allclose(found.rates, (repeated + _PSEUDO_COUNTS * mean) / (asked + _PSEUDO_COUNTS))
    assert np.ptp(found.rates) > 0.02


def test_of_events_those_predicted_are_asked_about_by_what_the_heaviest_before_says() -> None:
    plain, _ = make_interactions(random_table(1, num_reviews=300, num_products=6, num_bodies=9))
    kind = np.random.default_rng(0).integers(3, size=300)
    columns = replace(plain, weight=np.array([0.1, 0.5, 1.0], dtype=np.float32)[kind])
    edges, orders = np.flatnonzero(np.random.default_rng(1).random(300) < 0.9), kind == 2
    found = fit_repeats(columns, edges, 50, orders)
    assert found is not None
    np.testing.assert_allclose(found.evidence_bounds, (0.3, 0.75))
    asked, repeated = counted(columns, edges, 50, orders, (found.age_bounds, found.evidence_bounds))
    mean = repeated.sum() / asked.sum()
    assert (asked.sum(axis=1) > 0).sum() > 9
    np.testing.assert_allclose(found.rates, (repeated + _PSEUDO_COUNTS * mean) / (asked + _PSEUDO_COUNTS))
    # A look that follows an order of the same product is read as what was ordered.
    reads = np.array([4, 4]), np.array([0, 1]), np.array([0.0, 9.0])
    of_it = found.of_reviews(*reads, np.array([0.1, 1.0]))
    row = rate_rows(np.array([0.0]), np.array([1.0]), found.age_bounds, found.evidence_bounds)[0]
    np.testing.assert_allclose(of_it, [found.rates[row][1], 0], rtol=1e-6)


def test_where_nothing_is_come_to_again_there_are_no_rates() -> None:
    columns, _ = make_interactions(random_table(1, num_reviews=30))
    _, first = np.unique(columns.user_index.astype(np.int64) * 100 + columns.product_index, return_index=True)
    assert fit_repeats(columns, np.sort(first), limit=50) is None


def test_popularity_is_that_of_the_reviews_below_each_bound() -> None:
    columns, _ = make_interactions(random_table(2))
    bounds, life = np.array([40, 0, 7, 40]), 5.0 * MILLISECONDS_A_DAY
    found = PastPopularity(columns, life).before(bounds)
    for row, bound in zip(found, bounds, strict=True):
        past = columns.product_index[:bound], columns.num_products, columns.timestamp[:bound]
        np.testing.assert_array_equal(row, popularity_of(*past, half_life=life))
    # What follows is of one hot product, a thousand days later.
    hot, late = columns.product_index.copy(), columns.timestamp.copy()
    hot[40:], late[40:] = 3, late[40:] + 1000 * MILLISECONDS_A_DAY
    planted = PastPopularity(replace(columns, product_index=hot, timestamp=late), life)
    np.testing.assert_array_equal(planted.before(bounds), found)
    assert not np.array_equal(
        planted.before(np.array([60]))[0], PastPopularity(columns, life).before(np.array([60]))[0]
    )
