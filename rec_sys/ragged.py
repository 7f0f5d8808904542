"""Ragged arrays: rows of different lengths, one after the other in one flat array and cut by offsets.

Row i is `values[offsets[i]:offsets[i + 1]]`. Histories, targets and the edges of a node are kept so, because most of
them are short and a few are very long.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
AnyIntArray = npt.NDArray[np.integer[Any]]


def offsets_of(lengths: AnyIntArray) -> IntArray:
    """Where each row begins, and where the last one ends: int64 `[num_rows + 1]`.

    >>> offsets_of(np.array([2, 0, 3])).tolist()
    [0, 2, 2, 5]
    """
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def row_of_entries(offsets: AnyIntArray) -> IntArray:
    """The row of each entry, ascending: int64 `[num_entries]`.

    >>> row_of_entries(np.array([0, 2, 2, 5])).tolist()
    [0, 0, 2, 2, 2]
    """
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def place_in_row(lengths: AnyIntArray) -> IntArray:
    """0, 1, ... within each row: int64 `[num_entries]`.

    >>> place_in_row(np.array([2, 0, 3])).tolist()
    [0, 1, 0, 1, 2]
    """
    return take_ranges(np.zeros(len(lengths), dtype=np.int64), lengths)


def take_ranges(starts: AnyIntArray, lengths: AnyIntArray) -> IntArray:
    """`starts[i]`, `starts[i] + 1`, ... for each range, one range after the other: int64 `[sum of lengths]`.

    >>> take_ranges(np.array([7, 0]), np.array([2, 3])).tolist()
    [7, 8, 0, 1, 2]
    """
    offsets = offsets_of(lengths)
    return np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)


def take_rows(offsets: AnyIntArray, rows: AnyIntArray) -> tuple[IntArray, IntArray]:
    """Some rows, in any order and as often as they are named.

    >>> taken, entries = take_rows(np.array([0, 2, 2, 5]), np.array([2, 0]))
    >>> taken.tolist(), entries.tolist()
    ([0, 3, 5], [2, 3, 4, 0, 1])

    Returns:
        The taken rows' own offsets, int64 `[len(rows) + 1]`, and the place of each of their entries in the flat
        array, int64 `[num_taken]`.
    """
    starts = offsets[rows]
    lengths = offsets[np.asarray(rows) + 1] - starts
    return offsets_of(lengths), take_ranges(starts, lengths)


def group_rows(row_of_entry: AnyIntArray, num_rows: int) -> tuple[IntArray, IntArray]:
    """Puts entries in the order of their rows; within a row they stay in the order in which they stand.

    >>> offsets, order = group_rows(np.array([2, 0, 2]), num_rows=3)
    >>> offsets.tolist(), order.tolist()
    ([0, 1, 1, 3], [1, 0, 2])

    Returns:
        Offsets, int64 `[num_rows + 1]`, and the entries by row, int64 `[num_entries]`.
    """
    return offsets_of(np.bincount(row_of_entry, minlength=num_rows)), np.argsort(row_of_entry, kind="stable")


def count_in_rows(offsets: AnyIntArray, flags: npt.NDArray[np.bool_]) -> IntArray:
    """How many entries of each row are flagged: int64 `[num_rows]`.

    >>> count_in_rows(np.array([0, 2, 2, 5]), np.array([True, False, True, True, False])).tolist()
    [1, 0, 2]
    """
    return np.diff(offsets_of(flags.astype(np.int64))[offsets])
