"""What accuracy does not say of a list: how novel, surprising, varied and popular the offered products are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from rec_sys import ragged
from rec_sys.data.queries import Queries
from rec_sys.evaluation.ranks import NO_PRODUCT, IntArray, distinct_pairs

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


@dataclass(frozen=True)
class KnownReviews:
    """The reviews that say what is well known: the train split, `[num_reviews]`, whatever a model was fitted on."""

    user_index: IntArray
    product_index: IntArray
    num_users: int
    num_products: int


def measure_lists(
    lists: npt.NDArray[np.int32], queries: Queries, known: KnownReviews, ks: Sequence[int]
) -> pl.DataFrame:
    """Novelty, serendipity, popularity and variety of each list; the first three as RecTools defines them.

    Args:
        lists: int32 `[num_queries, at least max k]`, best first, `NO_PRODUCT` where a list ends early.
        queries: Whose lists they are.
        known: The train split.
        ks: Lengths of the lists.

    Returns:
        One row a query: `novelty_at_{k}`, `serendipity_at_{k}`, `popularity_at_{k}` (mean number of train reviews)
        and, from two products up, `diversity_at_{k}` (mean cosine distance between the sets of people who reviewed
        two products of the list). NaN for an empty list.
    """
    reviews = np.bincount(known.product_index, minlength=known.num_products)
    of_product = novelty_of_products(known)
    surprise = _serendipity(lists, queries, reviews)
    likeness = _likeness(known)
    found: dict[str, npt.NDArray[np.float64]] = {}
    for k in ks:
        offered = lists[:, :k]
        found[f"novelty_at_{k}"] = _mean_of_listed(of_product[offered], offered)
        found[f"serendipity_at_{k}"] = _mean_of_listed(surprise[:, :k], offered)
        found[f"popularity_at_{k}"] = _mean_of_listed(reviews[offered], offered)
        if k > 1:
            found[f"diversity_at_{k}"] = _diversity(offered, likeness)
    return pl.DataFrame(found)


def novelty_of_products(known: KnownReviews) -> npt.NDArray[np.float64]:
    """Mean inverse user frequency: -log2(users who know the product / users), float64 `[num_products]`.

    A product that nobody knows counts as known to one.

    >>> known = KnownReviews(np.array([0, 1, 0]), np.array([0, 0, 1]), num_users=2, num_products=3)
    >>> novelty_of_products(known).tolist()
    [-0.0, 1.0, 1.0]
    """
    _, products = distinct_pairs(known.user_index, known.product_index)
    users = np.maximum(np.bincount(products, minlength=known.num_products), 1)
    return -np.log2(users / len(np.unique(known.user_index)))


def _serendipity(lists: npt.NDArray[np.int32], queries: Queries, reviews: IntArray) -> npt.NDArray[np.float64]:
    """Of each listed product: hit * max(0, chance by its place - chance by its popularity), float64 like `lists`.

    With n products, the chance by place is (n + 1 - place) / n. By popularity it is the same of the product's rank
    among the different numbers of reviews, the largest first, and 0 for a product without reviews.
    """
    size = len(reviews)
    _, counts = np.unique(-reviews, return_inverse=True)
    by_popularity = np.where(reviews > 0, (size - counts) / size, 0.0)
    by_place = (size - np.arange(lists.shape[1])) / size
    row = ragged.row_of_entries(queries.target_offsets)
    asked = np.unique(row * size + queries.target_products)
    hit = np.isin(np.arange(len(lists))[:, None] * size + lists, asked) & (lists != NO_PRODUCT)
    found: npt.NDArray[np.float64] = hit * np.maximum(by_place - by_popularity[lists], 0.0)
    return found


def _mean_of_listed(
    values: npt.NDArray[np.floating] | IntArray, lists: npt.NDArray[np.int32]
) -> npt.NDArray[np.float64]:
    listed = lists != NO_PRODUCT
    total = np.where(listed, values, 0.0).sum(axis=1)
    mean = np.full(len(lists), np.nan)
    np.divide(total, listed.sum(axis=1), out=mean, where=listed.any(axis=1))
    return mean


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
