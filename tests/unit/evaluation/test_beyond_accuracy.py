"""Lists that one can judge by eye, and RecTools' own figure for their variety."""

import numpy as np
import pandas as pd
import pytest
from rectools import Columns
from rectools.metrics import AvgRecPopularity, IntraListDiversity, MeanInvUserFreq, Serendipity
from rectools.metrics.distances import PairwiseDistanceCalculator

from rec_sys.data.queries import Queries
from rec_sys.evaluation.beyond_accuracy import KnownReviews, measure_lists
from rec_sys.evaluation.ranks import NO_PRODUCT, IntArray

# Four users: everybody knows product 0, two know 1, one knows 2, nobody knows 3.
KNOWN = KnownReviews(
    user_index=np.array([0, 1, 2, 3, 0, 1, 2]),
    product_index=np.array([0, 0, 0, 0, 1, 1, 2]),
    num_users=4,
    num_products=4,
)


def queries(targets: list[int]) -> Queries:
    nothing = np.zeros(len(targets) + 1, dtype=np.int64)
    return Queries(
        user_index=np.arange(len(targets), dtype=np.int32),
        bound=np.zeros(len(targets), dtype=np.int64),
        target_offsets=np.arange(len(targets) + 1, dtype=np.int64),
        target_products=np.array(targets, dtype=np.int32),
        target_edges=np.arange(len(targets), dtype=np.int64),
        history_offsets=nothing,
        history_products=np.array([], dtype=np.int32),
        num_cold=0,
    )


def test_what_few_know_is_novel_and_what_many_reviewed_is_popular() -> None:
    found = measure_lists(np.array([[0, 1], [2, 1]], dtype=np.int32), queries([0, 0]), KNOWN, ks=(1, 2))
    assert found["novelty_at_1"].to_list() == pytest.approx([0, 2])  # -log2 of 4/4 and of 1/4
    assert found["novelty_at_2"].to_list() == pytest.approx([0.5, 1.5])
    assert found["popularity_at_2"].to_list() == pytest.approx([3, 1.5])


def test_only_a_hit_that_popularity_would_not_have_made_is_serendipity() -> None:
    found = measure_lists(np.array([[0], [2], [2]], dtype=np.int32), queries([0, 2, 1]), KNOWN, ks=(1,))
    popular, surprising, missed = found["serendipity_at_1"].to_list()
    assert surprising > popular >= 0
    assert missed == 0


@pytest.mark.parametrize("seed", range(5))
def test_novelty_serendipity_and_popularity_are_those_of_rectools(seed: int) -> None:
    random = np.random.default_rng(seed)
    reviews = random.integers(0, 12, size=(40, 2))  # some pairs stand twice, some products have no review
    known = KnownReviews(reviews[:, 0], reviews[:, 1] % 10, num_users=12, num_products=12)
    lists = np.array([random.permutation(12)[:6] for _ in range(9)], dtype=np.int32)
    lists[0, 2:] = NO_PRODUCT
    lists[1] = NO_PRODUCT
    targets = random.integers(0, 12, 9).tolist()
    found = measure_lists(lists, queries(targets), known, ks=(1, 4, 6))

    rows, places = np.nonzero(lists != NO_PRODUCT)
    offered = pd.DataFrame({Columns.User: rows, Columns.Item: lists[rows, places], Columns.Rank: places + 1})
    asked = pd.DataFrame({Columns.User: np.arange(9), Columns.Item: targets})
    before = pd.DataFrame({Columns.User: known.user_index, Columns.Item: known.product_index})
    for k in (1, 4, 6):
        expected = {
            "novelty": MeanInvUserFreq(k=k).calc_per_user(offered, before),
            "serendipity": Serendipity(k=k).calc_per_user(offered, asked, before, range(12)),
            "popularity": AvgRecPopularity(k=k).calc_per_user(offered, before),
        }
        for name, of_rows in expected.items():
            wanted = of_rows.reindex(range(9)).to_numpy(dtype=np.float64)
            np.testing.assert_allclose(found[f"{name}_at_{k}"].to_numpy(), wanted, rtol=0, atol=1e-12)


def test_variety_is_that_of_rectools() -> None:
    random = np.random.default_rng(0)
    pairs = np.unique(random.integers(0, 12, size=(60, 2)), axis=0)
    known = KnownReviews(pairs[:, 0], pairs[:, 1], num_users=12, num_products=12)
    lists = np.array([random.permutation(12)[:5] for _ in range(7)], dtype=np.int32)

    reviewed = np.zeros((12, 12))
    reviewed[pairs[:, 1], pairs[:, 0]] = 1
    length = np.maximum(np.linalg.norm(reviewed, axis=1, keepdims=True), 1)
    likeness = (reviewed / length) @ (reviewed / length).T

    class Distance(PairwiseDistanceCalculator):
        def _get_distances_for_item_pairs(self, items_0: IntArray, items_1: IntArray) -> np.ndarray:
            return 1 - likeness[items_0, items_1]

    table = pd.DataFrame(
        {
            Columns.User: np.repeat(np.arange(7), 5),
            Columns.Item: lists.ravel(),
            Columns.Rank: np.tile(np.arange(1, 6), 7),
        }
    )
    expected = IntraListDiversity(k=5, distance_calculator=Distance()).calc_per_user(table).to_numpy()
    found = measure_lists(lists, queries([0] * 7), known, ks=(1, 5))
    assert found["diversity_at_5"].to_numpy() == pytest.approx(expected, abs=1e-6)
    assert "diversity_at_1" not in found.columns  # one product differs from nothing


def test_a_list_that_ends_early_or_is_empty_counts_for_what_it_has() -> None:
    lists = np.array([[1, NO_PRODUCT], [NO_PRODUCT, NO_PRODUCT]], dtype=np.int32)
    found = measure_lists(lists, queries([1, 1]), KNOWN, ks=(2,))
    assert found["popularity_at_2"].to_list()[0] == pytest.approx(2)
    assert np.isnan(found["diversity_at_2"].to_numpy()).all()
    assert np.isnan(found["novelty_at_2"].to_numpy()[1])
