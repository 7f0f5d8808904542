"""The features of a candidate, computed by one function in training and in serving, so that the two cannot differ.

All that it reads is known at the moment of the question: the first stage's score, the user's history and facts, and of
others' reviews those that came before. Missing is NaN, which the trees know how to take.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import sparse

from rec_sys import ragged
from rec_sys.contracts import MILLISECONDS_A_DAY
from rec_sys.ranker.facts import FloatArray, IntArray, PastReviews, ProductFacts

_WINDOWS: Final = (7, 30, 90)  # days
FEATURES: Final = (
    "score",  # of the first stage
    "tower_score",  # the towers' part of it
    "memory_score",  # the memory's
    "score_below_best",
    "score_rank",  # among the candidates, from 1
    "tower_rank",
    "memory_rank",
    "history_length",
    "days_since_user",  # from the user's newest review to the newest known
    "review_count",  # of the product, logarithm
    *(f"share_{days}_days" for days in _WINDOWS),  # of all reviews of these days, in thousandths
    "trend",  # share of its own reviews that are of the last of these windows
    "days_since_first",
    "days_since_last",
    "rating_mean",
    "price",
    "price_above_usual",  # logarithm, against the mean of the history
    "brand_match",  # share of the history, by the weight of its reviews
    "category_match",  # cosine to the history's
    "text_match",
    "newest_category_match",  # the same to the newest review's product
    "newest_text_match",
    "times_reviewed",  # by this user
    "days_since_reviewed",  # by this user
    "weight_reviewed",  # what the user's events with it weigh together
)


def feature_names(facts: Sequence[str]) -> tuple[str, ...]:
    """All features where so much is known of users: each fact, and how far it is from that of a product's reviewers."""
    return (*FEATURES, *(f"user_{name}" for name in facts), *(f"{name}_from_reviewers" for name in facts))


@dataclass(frozen=True, eq=False)
class AskedUsers:
    """Users as the ranker reads them, one a question; their reviews stand newest first.

    Attributes:
        offsets: int64 `[num_questions + 1]`.
        product: int64 `[total]`, product indices; the number of products where it is unknown.
        timestamp: int64 `[total]`, -1 where unknown.
        weight: float32 `[total]`, how much each review says beside others.
        before: int64 `[num_questions]`, how many of the past reviews came before the question.
        known: float32 `[num_questions, num_facts]`, what is known of each beside their reviews, NaN where missing.
    """

    offsets: IntArray
    product: IntArray
    timestamp: IntArray
    weight: FloatArray
    before: IntArray
    known: FloatArray


@dataclass(frozen=True, eq=False)
class Candidates:
    """What the first stage proposes, question by question; all are `[num_candidates]`.

    Attributes:
        row: int64, the question, ascending.
        product: int64, product indices; the number of products where it is unknown.
        score: float32, the first stage's.
        memory: float32, the memory's part of it.
    """

    row: IntArray
    product: IntArray
    score: FloatArray
    memory: FloatArray


def describe_candidates(
    candidates: Candidates, users: AskedUsers, past: PastReviews, facts: ProductFacts
) -> FloatArray:
    """float32 `[num_candidates, num_features]`, see `feature_names`."""
    found = {
        **_of_scores(candidates),
        **_of_past(candidates, users, past),
        **_of_match(candidates, users, facts),
        **_of_repeats(candidates, users, past),
    }
    shared = np.stack([np.asarray(found[name], dtype=np.float32) for name in FEATURES], axis=1)
    product, own = candidates.product, users.known[candidates.row]
    usual = past.mean_reviewer(product, past.count(product, users.before[candidates.row]))
    return np.concatenate([shared, own, np.abs(own - usual)], axis=1)


def _of_scores(candidates: Candidates) -> dict[str, npt.NDArray[np.generic]]:
    row, score, memory = candidates.row, candidates.score, candidates.memory
    starts = np.flatnonzero(np.diff(row, prepend=-1))
    best = np.repeat(np.maximum.reduceat(score, starts), np.diff(np.append(starts, len(row)))) if len(row) else score
    return {
        "score": score,
        "tower_score": score - memory,
        "memory_score": memory,
        "score_below_best": best - score,
        "score_rank": _ranks(row, score),
        "tower_rank": _ranks(row, score - memory),
        "memory_rank": _ranks(row, memory),
    }


def _ranks(row: IntArray, values: FloatArray) -> IntArray:
    """1 for the best of each row; equals share the rank of the first of them: int64 `[n]`."""
    order = np.lexsort((-values, row))
    new_row = np.diff(row[order], prepend=-1) > 0
    new_value = new_row | (np.diff(values[order], prepend=np.nan) != 0)
    place = np.arange(len(row))
    start = np.maximum.accumulate(np.where(new_row, place, 0))
    ranks = np.empty(len(row), dtype=np.int64)
    ranks[order] = np.maximum.accumulate(np.where(new_value, place, 0)) - start + 1
    return ranks


def _of_past(candidates: Candidates, users: AskedUsers, past: PastReviews) -> dict[str, npt.NDArray[np.generic]]:
    product, before = candidates.product, users.before[candidates.row]
    count = past.count(product, before)
    missing = np.full(len(product), np.nan, dtype=np.float32)
    found: dict[str, npt.NDArray[np.generic]] = {
        "review_count": np.log1p(count),
        "rating_mean": past.mean_rating(product, count),
        "trend": missing,
        "days_since_first": missing,
        "days_since_last": missing,
    }
    if past.timestamp is None:
        return found | {f"share_{days}_days": missing for days in _WINDOWS}
    moment = past.newest(users.before)
    for days in _WINDOWS:
        start = past.before(moment - days * MILLISECONDS_A_DAY)
        recent = count - past.count(product, np.minimum(start[candidates.row], before))
        everything = np.maximum(users.before - start, 1)[candidates.row]
        found[f"share_{days}_days"] = 1000 * recent / everything
        found["trend"] = np.where(count > 0, recent / np.maximum(count, 1), np.nan)
    first, last = past.times(product, count)
    for name, time in (("days_since_first", first), ("days_since_last", last)):
        found[name] = np.where(count > 0, (moment[candidates.row] - time) / MILLISECONDS_A_DAY, np.nan)
    return found


def _of_match(candidates: Candidates, users: AskedUsers, facts: ProductFacts) -> dict[str, npt.NDArray[np.generic]]:
    row, product = candidates.row, candidates.product
    num_rows, reader = len(users.offsets) - 1, ragged.row_of_entries(users.offsets)
    total = np.bincount(reader, users.weight, minlength=num_rows)
    share = (users.weight / total[reader]).astype(np.float32)
    history = sparse.csr_matrix((share, (reader, users.product)), shape=(num_rows, len(facts) + 1))
    newest = np.full(num_rows, len(facts), dtype=np.int64)
    wrote = np.diff(users.offsets) > 0
    newest[wrote] = users.product[users.offsets[:-1][wrote]]

    price = facts.price[users.product]
    priced = ~np.isnan(price)
    known = np.bincount(reader[priced], minlength=num_rows)
    usual = np.bincount(reader[priced], price[priced], minlength=num_rows) / np.maximum(known, 1)
    own = facts.price[product]
    text = history @ facts.text
    return {
        "history_length": np.diff(users.offsets)[row],
        "price": own,
        "price_above_usual": own - np.where(known > 0, usual, np.nan)[row],
        "brand_match": _products(history @ facts.brand, row, facts.brand, product),
        "category_match": _cosines(history @ facts.categories, row, facts.categories, product),
        "text_match": _text_cosines(text, row, facts.text, product),
        "newest_category_match": _products(facts.categories[newest], row, facts.categories, product),
        "newest_text_match": _text_cosines(facts.text[newest], row, facts.text, product),
    }


def _products(left: sparse.csr_matrix, row: IntArray, right: sparse.csr_matrix, column: IntArray) -> FloatArray:
    """Products of rows, float32 `[n]`; scipy's own way there builds two matrices and takes several times as long."""
    left.sort_indices()
    width = left.shape[1]
    if not width:
        return np.full(len(row), np.nan, dtype=np.float32)
    keys = ragged.row_of_entries(left.indptr) * width + left.indices
    offsets, entries = ragged.take_rows(right.indptr, column)
    pair = ragged.row_of_entries(offsets)
    wanted = row[pair] * width + right.indices[entries]
    if not len(keys):
        return np.zeros(len(row), dtype=np.float32)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    factors = np.where(keys[place] == wanted, left.data[place] * right.data[entries], 0)
    return np.bincount(pair, factors, minlength=len(row)).astype(np.float32)


def _cosines(left: sparse.csr_matrix, row: IntArray, right: sparse.csr_matrix, column: IntArray) -> FloatArray:
    square = np.bincount(ragged.row_of_entries(left.indptr), left.data**2, minlength=left.shape[0])
    return (_products(left, row, right, column) / np.maximum(np.sqrt(square), 1e-6)[row]).astype(np.float32)


def _text_cosines(left: FloatArray, row: IntArray, right: FloatArray, column: IntArray) -> FloatArray:
    """NaN where one of the two has no text."""
    if not left.shape[1]:
        return np.full(len(row), np.nan, dtype=np.float32)
    own, length = right[column], np.linalg.norm(left, axis=1)
    found = np.einsum("nd,nd->n", left[row], own) / np.maximum(length, np.float32(1e-6))[row]
    return np.where((length[row] > 0) & np.any(own, axis=1), found, np.float32(np.nan))


def _of_repeats(candidates: Candidates, users: AskedUsers, past: PastReviews) -> dict[str, npt.NDArray[np.generic]]:
    stride = int(max(users.product.max(initial=0), candidates.product.max(initial=0))) + 1
    reader = ragged.row_of_entries(users.offsets)
    keys, first, place, times = np.unique(
        reader * stride + users.product, return_index=True, return_inverse=True, return_counts=True
    )
    weight = np.bincount(place, users.weight, minlength=len(keys))
    wanted = candidates.row * stride + candidates.product
    at = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
    was = keys[at] == wanted if len(keys) else np.zeros(len(wanted), dtype=np.bool_)
    moment = past.newest(users.before)
    missing = np.full(len(wanted), np.nan)
    found: dict[str, npt.NDArray[np.generic]] = {
        "times_reviewed": np.where(was, times[at], 0) if len(keys) else np.zeros(len(wanted)),
        "weight_reviewed": np.where(was, weight[at], 0) if len(keys) else np.zeros(len(wanted)),
        "days_since_reviewed": missing,
        "days_since_user": missing,
    }
    if past.timestamp is None or not len(keys):
        return found
    last = users.timestamp[first[at]]  # of equal keys the first is the newest
    since = np.maximum(moment[candidates.row] - last, 0) / MILLISECONDS_A_DAY
    found["days_since_reviewed"] = np.where(was & (last >= 0), since, np.nan)
    newest = np.full(len(users.offsets) - 1, -1, dtype=np.int64)
    np.maximum.at(newest, reader, users.timestamp)
    gap = np.maximum(moment - newest, 0) / MILLISECONDS_A_DAY
    found["days_since_user"] = np.where(newest >= 0, gap, np.nan)[candidates.row]
    return found
