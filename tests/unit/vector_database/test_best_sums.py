"""The best by the sum of two scores, beside all sums computed."""

from collections.abc import Collection

import numpy as np
import pytest

from rec_sys.vector_database.best_sums import Scores, best_sums

PRODUCTS = 500


class Listed:
    """A ranking whose scores are all known here; it counts what is asked of it."""

    def __init__(self, scores: Scores) -> None:
        self.scores, self.fetched = scores, 0

    def best(self, count: int) -> Scores:
        self.fetched += count
        return dict(sorted(self.scores.items(), key=lambda item: -item[1])[:count])

    def of(self, keys: Collection[int]) -> Scores:
        self.fetched += len(keys)
        return {key: self.scores[key] for key in keys if key in self.scores}


def draw(seed: int, share_with_sparse: float, scale: float, mean: float = 0.5) -> tuple[Listed, Listed, np.ndarray]:
    """Two rankings and all sums; some products have no sparse score, and some one below zero."""
    rng = np.random.default_rng(seed)
    dense, sparse = rng.normal(size=PRODUCTS), scale * rng.normal(mean, 1.0, size=PRODUCTS)
    has = rng.random(PRODUCTS) < share_with_sparse
    listed = Listed(dict(enumerate(dense.tolist()))), Listed({key: sparse[key] for key in np.flatnonzero(has).tolist()})
    return *listed, dense + np.where(has, sparse, 0)


@pytest.mark.parametrize("mean", [-2.0, 0.5])  # what was ordered counts below zero where nobody orders it twice
@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 1.0])
@pytest.mark.parametrize("wanted", [1, 10, 60])
def test_they_are_the_best_of_all_sums(mean: float, scale: float, share: float, wanted: int) -> None:
    for seed in range(5):
        dense, sparse, sums = draw(seed, share, scale, mean)
        dropped = set(np.argsort(-sums)[:7:2].tolist())
        found = best_sums(dense, sparse, wanted=wanted, most=PRODUCTS, dropped=dropped)
        expected = [key for key in np.argsort(-sums).tolist() if key not in dropped][:wanted]
        assert list(found) == expected
        assert list(found.values()) == pytest.approx(sums[expected])


def test_little_is_fetched_where_both_rankings_agree() -> None:
    sparse = draw(0, share_with_sparse=1.0, scale=1.0)[1]
    both = Listed(dict(sparse.scores)), sparse
    best_sums(*both, wanted=10, most=PRODUCTS)
    assert sum(one.fetched for one in both) < PRODUCTS / 5


def test_of_the_products_fetched_at_most_the_best_are_answered_with_their_whole_scores() -> None:
    # The best sum is in neither list's head: it may be missed, but no score is wrong.
    dense = Listed({0: 9.0, 1: 8.0, 2: 5.0, 3: 0.0, 4: 0.0})
    sparse = Listed({3: 9.0, 4: 8.0, 2: 5.0, 0: 0.5, 1: -3.0})
    assert best_sums(dense, sparse, wanted=2, most=2) == {0: 9.5, 3: 9.0}
    assert best_sums(dense, sparse, wanted=2, most=3) == {2: 10.0, 0: 9.5}


def test_as_many_are_fetched_at_first_as_is_said() -> None:
    dense, sparse, sums = draw(0, share_with_sparse=1.0, scale=1.0)
    found = best_sums(dense, sparse, wanted=10, most=PRODUCTS, at_first=PRODUCTS)
    assert list(found) == np.argsort(-sums)[:10].tolist()
    assert dense.fetched == sparse.fetched == PRODUCTS


def test_nothing_is_answered_where_all_is_dropped() -> None:
    assert best_sums(Listed({1: 1.0}), Listed({1: 1.0}), wanted=3, most=10, dropped={1}) == {}
