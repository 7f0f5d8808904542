"""Puts candidates into their new order."""

import numpy as np

from rec_sys.ranker.facts import FloatArray, IntArray


def permute_scores(scores: FloatArray, row: IntArray, product: IntArray, value: FloatArray) -> None:
    """Gives the scores of each row's candidates to these in the order of `value`, so that others stay where they were.

    Args:
        scores: float32 `[num_rows, num_products]`, changed in place.
        row: int64 `[n]`, ascending; every row has equally many candidates or they are fewer.
        product: int64 `[n]`.
        value: float32 `[n]`, the higher the better; of equals the one that stands first is the better.
    """
    if not len(row):
        return
    old = scores[row, product]
    rank = np.lexsort((np.arange(len(row)), -value, row))
    given = np.lexsort((-old, row))
    length = np.bincount(row, minlength=len(scores))
    place = np.arange(len(row)) - (np.cumsum(length) - length)[row]
    table = np.full((len(scores), int(length.max())), -np.inf, dtype=np.float32)
    table[row, place] = old[given]
    # Equal scores would leave the order open: each is at least a little more than the next one's.
    last = np.full(len(scores), -np.inf, dtype=np.float32)
    for column in range(table.shape[1] - 1, -1, -1):
        there = np.isfinite(table[:, column])
        more = np.maximum(table[:, column], np.nextafter(last, np.float32(np.inf)))
        first = np.isneginf(last)
        more = np.where(first, np.nextafter(table[:, column], np.float32(np.inf)), more)
        table[there, column] = last[there] = more[there]
    scores[row[rank], product[rank]] = table[row, place]
