"""What accuracy does not say of a list: how novel, surprising, varied and popular the offered products are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from rec_sys.data.splits import Queries
from rec_sys.evaluation.ranks import NO_PRODUCT, IntArray

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_matrix


@dataclass(frozen=True)
class KnownReviews:
    """The reviews that say what is well known: those of the train part, whatever a model was fitted on.

    Attributes:
        user_index: `[num_reviews]`.
        product_index: `[num_reviews]`.
        num_users: Users of the data.
        num_products: Size of the catalogue.
    """

    user_index: IntArray
    product_index: IntArray
    num_users: int
    num_products: int


def measure_lists(
    lists: npt.NDArray[np.int32], queries: Queries, known: KnownReviews, ks: Sequence[int]
) -> pl.DataFrame:
    """Novelty, serendipity and popularity by RecTools, and the variety within a list.

    Args:
        lists: int32 `[num_queries, at least max k]`, best first, `NO_PRODUCT` where a list ends early.
        queries: Whose lists they are.
        known: The train part.
        ks: Lengths of the lists.

    Returns:
        One row a query: `novelty_at_{k}` (mean of -log2 of the share of users who know a product),
        `serendipity_at_{k}` (hits count by how much higher they stand than popularity would put them),
        `popularity_at_{k}` (mean number of train reviews) and, from two products up, `diversity_at_{k}` (mean cosine
        distance between the sets of people who reviewed two products of the list). NaN for an empty list.
    """
    import pandas as pd
    from rectools import Columns
    from rectools.metrics import AvgRecPopularity, MeanInvUserFreq, Serendipity

    offered = _table(lists[:, : max(ks)])
    rows = np.repeat(np.arange(len(queries)), np.diff(queries.target_offsets))
    targets = pd.DataFrame({Columns.User: rows, Columns.Item: queries.target_products}).drop_duplicates()
    before = pd.DataFrame({Columns.User: known.user_index, Columns.Item: known.product_index})
    novelty = MeanInvUserFreq.fit(offered, before, max(ks))
    serendipity = Serendipity.fit(offered, targets, before, range(known.num_products), max(ks))
    likeness = _likeness(known)
    found: dict[str, npt.NDArray[np.float64]] = {}

    def add(name: str, values: "pd.Series") -> None:
        found[name] = values.reindex(range(len(queries))).to_numpy(dtype=np.float64)

    for k in ks:
        add(f"novelty_at_{k}", MeanInvUserFreq(k=k).calc_per_user_from_fitted(novelty))
        add(f"serendipity_at_{k}", Serendipity(k=k).calc_per_user_from_fitted(serendipity))
        add(f"popularity_at_{k}", AvgRecPopularity(k=k).calc_per_user(offered, before))
        if k > 1:
            found[f"diversity_at_{k}"] = _diversity(lists[:, :k], likeness)
    return pl.DataFrame(found)


def _table(lists: npt.NDArray[np.int32]) -> "pd.DataFrame":
    import pandas as pd
    from rectools import Columns

    rows, places = np.nonzero(lists != NO_PRODUCT)
    return pd.DataFrame({Columns.User: rows, Columns.Item: lists[rows, places], Columns.Rank: places + 1})


def _likeness(known: KnownReviews) -> "csr_matrix":
    """Cosine of the sets of reviewers of two products, `[num_products, num_products]`, zero on the diagonal."""
    from scipy.sparse import csr_matrix, diags_array

    ones = np.ones(len(known.user_index), dtype=np.float32)
    shape = (known.num_products, known.num_users)
    reviewers = csr_matrix((ones, (known.product_index, known.user_index)), shape=shape)
    reviewers.data[:] = 1
    length = np.sqrt(np.maximum(np.asarray(reviewers.sum(axis=1)).ravel(), 1))
    reviewers = csr_matrix(diags_array(1 / length).astype(np.float32) @ reviewers)
    likeness = csr_matrix(reviewers @ reviewers.T)
    likeness.setdiag(0)
    return likeness


def _diversity(lists: npt.NDArray[np.int32], likeness: "csr_matrix") -> npt.NDArray[np.float64]:
    """Mean of 1 - likeness over the pairs of each list; NaN for lists of fewer than two.

    RecTools' IntraListDiversity makes a Python object of every pair, 300 a list of 25; here one sparse product does
    all lists.
    """
    from scipy.sparse import csr_matrix

    rows, places = np.nonzero(lists != NO_PRODUCT)
    ones = np.ones(len(rows), dtype=np.float32)
    offered = csr_matrix((ones, (rows, lists[rows, places])), shape=(len(lists), likeness.shape[0]))
    twice_the_sum = np.asarray((offered @ likeness).multiply(offered).sum(axis=1), dtype=np.float64).ravel()
    length = (lists != NO_PRODUCT).sum(axis=1)
    pairs = length * (length - 1)
    diversity = np.full(len(lists), np.nan)
    np.divide(twice_the_sum, pairs, out=diversity, where=pairs > 0)
    return np.where(pairs > 0, 1 - diversity, np.nan)
