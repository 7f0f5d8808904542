"""Ragged arrays against the lists of lists that they stand for."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rec_sys import ragged

ROWS = st.lists(st.lists(st.integers(0, 99), max_size=5), max_size=8)
LENGTHS = st.lists(st.integers(0, 6), max_size=9)


def flatten(rows: list[list[int]]) -> tuple[ragged.IntArray, ragged.IntArray]:
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    return ragged.offsets_of(lengths), np.array([value for row in rows for value in row], dtype=np.int64)


def unflatten(offsets: ragged.IntArray, values: ragged.IntArray) -> list[list[int]]:
    return [values[start:stop].tolist() for start, stop in itertools.pairwise(offsets)]


@given(ROWS)
def test_offsets_cut_the_flat_values_into_the_rows(rows: list[list[int]]) -> None:
    offsets, values = flatten(rows)
    assert offsets.dtype == np.int64
    assert unflatten(offsets, values) == rows


@given(ROWS)
def test_every_entry_knows_its_row_and_its_place_there(rows: list[list[int]]) -> None:
    offsets, values = flatten(rows)
    row, place = ragged.row_of_entries(offsets), ragged.place_in_row(np.diff(offsets))
    assert row.dtype == place.dtype == np.int64
    assert len(row) == len(place) == len(values)
    assert [rows[i][k] for i, k in zip(row, place, strict=True)] == values.tolist()


@given(LENGTHS, st.integers(0, 10_000))
def test_ranges_follow_one_another(lengths: list[int], seed: int) -> None:
    starts = np.random.default_rng(seed).integers(0, 50, len(lengths))
    expected = [start + step for start, length in zip(starts.tolist(), lengths, strict=True) for step in range(length)]
    assert ragged.take_ranges(starts, np.array(lengths, dtype=np.int64)).tolist() == expected


@given(ROWS.filter(bool), st.lists(st.integers(0, 7), max_size=10))
def test_taken_rows_are_those_rows_however_often_they_are_named(rows: list[list[int]], wanted: list[int]) -> None:
    offsets, values = flatten(rows)
    wanted = [row % len(rows) for row in wanted]
    taken, entries = ragged.take_rows(offsets, np.array(wanted, dtype=np.int32))
    assert taken.dtype == entries.dtype == np.int64
    assert unflatten(taken, values[entries]) == [rows[row] for row in wanted]


@given(st.lists(st.integers(0, 5), max_size=30))
def test_groups_hold_their_entries_in_the_order_given(row_of_entry: list[int]) -> None:
    offsets, order = ragged.group_rows(np.array(row_of_entry, dtype=np.int32), num_rows=6)
    expected = [[entry for entry, row in enumerate(row_of_entry) if row == wanted] for wanted in range(6)]
    assert unflatten(offsets, order) == expected


@given(ROWS)
def test_flagged_entries_are_counted_row_by_row(rows: list[list[int]]) -> None:
    offsets, values = flatten(rows)
    counts = ragged.count_in_rows(offsets, values % 2 == 1)
    assert counts.tolist() == [sum(value % 2 for value in row) for row in rows]


def test_there_may_be_no_rows_and_no_entries() -> None:
    nothing = np.empty(0, dtype=np.int64)
    assert ragged.offsets_of(nothing).tolist() == [0]
    assert ragged.row_of_entries(np.array([0])).tolist() == []
    assert [part.tolist() for part in ragged.take_rows(np.array([0, 2]), nothing)] == [[0], []]
    assert [part.tolist() for part in ragged.group_rows(nothing, 2)] == [[0, 0, 0], []]
