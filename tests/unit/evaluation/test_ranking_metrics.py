"""Metrics of ranks against RecTools, which computes them from tables of recommendations."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rectools import Columns
from rectools.metrics import MAP, MRR, NDCG, Precision, Recall
from rectools.metrics.classification import calc_confusions

from rec_sys import ragged
from rec_sys.evaluation.ranking_metrics import METRICS

NUM_PRODUCTS = 25


@st.composite
def ranked_targets(draw: st.DrawFn, ties: bool) -> tuple[npt.NDArray[np.float64], ragged.IntArray]:
    """Ranks of some queries' targets: of one query all different and whole, or halves, equal ones and inf."""
    one = st.sampled_from([np.inf, *np.arange(1, NUM_PRODUCTS, 0.5)]) if ties else st.integers(1, NUM_PRODUCTS)
    of_query = st.lists(one, min_size=1, max_size=6, unique=not ties)
    queries = draw(st.lists(of_query, min_size=1, max_size=6))
    ranks = np.array([rank for ranks in queries for rank in ranks], dtype=np.float64)
    return ranks, ragged.offsets_of(np.array([len(ranks) for ranks in queries]))


def by_rectools(ranks: npt.NDArray[np.float64], offsets: ragged.IntArray, k: int) -> dict[str, pd.Series]:
    """The metrics that RecTools can compute of any ranks."""
    rows = ragged.row_of_entries(offsets)
    merged = pd.DataFrame({Columns.User: rows, Columns.Item: np.arange(len(ranks)), Columns.Rank: ranks})
    confusions = calc_confusions(merged, k)
    return {
        "recall": Recall(k=k).calc_per_user_from_confusion_df(confusions),
        "precision": Precision(k=k).calc_per_user_from_confusion_df(confusions),
        "ndcg": NDCG(k=k, divide_by_achievable=True).calc_per_user_from_merged(merged),
        "mrr": MRR(k=k).calc_per_user_from_merged(merged),
    }


@given(ranked_targets(ties=True), st.integers(1, 12))
def test_metrics_of_any_ranks_are_those_of_rectools(
    targets: tuple[npt.NDArray[np.float64], ragged.IntArray], k: int
) -> None:
    ranks, offsets = targets
    for name, expected in by_rectools(ranks, offsets, k).items():
        found = METRICS[name](ranks, offsets, k)
        assert found.dtype == np.float64
        assert found == pytest.approx(expected.sort_index().to_numpy(), abs=1e-12), name


@given(ranked_targets(ties=False), st.integers(1, 12))
def test_average_precision_of_whole_ranks_is_that_of_rectools(
    targets: tuple[npt.NDArray[np.float64], ragged.IntArray], k: int
) -> None:
    ranks, offsets = targets
    rows = ragged.row_of_entries(offsets)
    listed = np.argsort(np.argsort(ranks, kind="stable"))  # any different items will do
    merged = pd.DataFrame({Columns.User: rows, Columns.Item: listed, Columns.Rank: ranks})
    fitted = MAP.fit(merged, k_max=NUM_PRODUCTS)
    expected = MAP(k=k).calc_per_user_from_fitted(fitted).sort_index().to_numpy()
    assert METRICS["map"](ranks, offsets, k) == pytest.approx(expected, abs=1e-12)


def test_average_precision_counts_hits_of_equal_rank_by_their_place() -> None:
    ranks, offsets = np.array([1.5, 1.5, 6, np.inf]), np.array([0, 4])
    assert METRICS["map"](ranks, offsets, 5) == pytest.approx([(1 / 1.5 + 2 / 1.5) / 4])
