"""Exact ranks and best lists out of a matrix of scores, without sorting it.

Products with equal scores share their mean rank, so no order of ties can flatter a model.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from rec_sys import ragged

IntArray = npt.NDArray[np.integer[Any]]
FloatArray = npt.NDArray[np.floating[Any]]

NO_PRODUCT: Final = -1  # fills a list that has fewer products than places
_TARGETS_AT_ONCE: Final = 64  # 64 rows of 10,000 scores stay in the processor's cache
_BLOCKS_A_PLACE: Final = 8


def rank_targets(
    scores: FloatArray,
    target_rows: IntArray,
    target_products: IntArray,
    history_rows: IntArray,
    history_products: IntArray,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The mean rank of each target among all products, and among the products outside the row's history.

    rank = 1 + number of better products + half the number of other products with the same score. The masked rank
    subtracts what the history contributed, so the scores, `[num_rows, num_products]`, are neither copied nor sorted.
    Targets and history are pairs of row and product, in any order; a pair of the history may stand twice.

    Returns:
        Unmasked and masked ranks, both `[num_targets]`; a masked target that is in its own history has rank inf.

    Raises:
        ValueError: A score is NaN.
    """
    _refuse_nan(scores)
    history_rows, history_products = distinct_pairs(history_rows, history_products)
    history_offsets, _ = ragged.group_rows(history_rows, len(scores))
    unmasked = np.empty(len(target_rows))
    masked = np.empty(len(target_rows))
    for start in range(0, len(target_rows), _TARGETS_AT_ONCE):
        chunk = slice(start, start + _TARGETS_AT_ONCE)
        rows, products = target_rows[chunk], target_products[chunk]
        reached = scores[rows, products]
        competitors = scores[rows]  # [chunk, num_products]
        better = np.count_nonzero(competitors > reached[:, None], axis=1)
        equal = np.count_nonzero(competitors == reached[:, None], axis=1) - 1
        unmasked[chunk] = 1 + better + 0.5 * equal

        offsets, entries = ragged.take_rows(history_offsets, rows)
        target = ragged.row_of_entries(offsets)  # [pairs]: each target beside each product of its history
        seen = history_products[entries]
        rival = scores[rows[target], seen]
        ahead = (rival > reached[target]) + 0.5 * (rival == reached[target])
        itself = seen == products[target]
        masked[chunk] = unmasked[chunk] - np.bincount(target, weights=ahead, minlength=len(rows))
        masked[start + target[itself]] = np.inf
    return unmasked, masked


def rank_products(
    scores: FloatArray, length: int, history_rows: IntArray, history_products: IntArray
) -> npt.NDArray[np.int32]:
    """The best products of each row outside its history, none at -inf; of equal scores the lower index comes first.

    Only products that reach a lower bound of the last place are sorted.

    Returns:
        `[num_rows, length]` int32, `NO_PRODUCT` where too few products are left.
    """
    num_rows, num_products = scores.shape
    masked = np.array(scores, dtype=np.float32)
    masked[history_rows, history_products] = -np.inf
    places = min(length, num_products)
    bound = _reached_by(masked, places)[:, None]
    # At the bound any number of products may tie; the first `places` of them by index are enough.
    tied_rows, tied_products = np.divmod(np.flatnonzero((masked == bound) & (bound > -np.inf)), num_products)
    first = ragged.place_in_row(np.bincount(tied_rows, minlength=num_rows)) < places
    better_rows, better_products = np.divmod(np.flatnonzero(masked > bound), num_products)
    rows = np.concatenate([better_rows, tied_rows[first]])
    products = np.concatenate([better_products, tied_products[first]])
    order = np.lexsort((products, -masked[rows, products], rows))
    rows, products = rows[order], products[order]
    position = ragged.place_in_row(np.bincount(rows, minlength=num_rows))
    listed = position < places
    lists = np.full((num_rows, length), NO_PRODUCT, dtype=np.int32)
    lists[rows[listed], position[listed]] = products[listed]
    return lists


def distinct_pairs(rows: IntArray, products: IntArray) -> tuple[IntArray, IntArray]:
    """The pairs without repetition, sorted by row, then product."""
    if len(rows) == 0:
        return np.asarray(rows, dtype=np.int64), np.asarray(products, dtype=np.int64)
    width = int(products.max()) + 1
    return np.divmod(np.unique(rows.astype(np.int64) * width + products), width)


def _reached_by(scores: npt.NDArray[np.float32], places: int) -> npt.NDArray[np.float32]:
    """A score `[num_rows]` that at least `places` products of each row reach, and few others.

    Each row is cut into blocks, eight for each place: the best of `places` different blocks reach the `places`-th
    best block maximum. That is three to five times faster than to partition whole rows, most of all among ties.
    """
    num_rows, num_products = scores.shape
    num_blocks = min(num_products, _BLOCKS_A_PLACE * places)
    width = num_products // num_blocks
    maxima = scores[:, : width * num_blocks].reshape(num_rows, width, num_blocks).max(axis=1)
    rest = scores[:, width * num_blocks :]  # fewer products than blocks
    np.maximum(maxima[:, : rest.shape[1]], rest, out=maxima[:, : rest.shape[1]])
    bound: npt.NDArray[np.float32] = np.partition(maxima, num_blocks - places, axis=1)[:, num_blocks - places]
    return bound


def _refuse_nan(scores: FloatArray) -> None:
    if scores.size and np.isnan(scores.min()):  # min hands a NaN on, and needs no array of its own
        row, product = np.argwhere(np.isnan(scores))[0]
        raise ValueError(f"the score of row {row}, product {product} is NaN: a model that diverged cannot be ranked")
