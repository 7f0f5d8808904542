"""Batches keep to the token budget, and interrupted cutting gives the batches of undisturbed cutting."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rec_sys.text.encoder import cut_batches

LENGTHS = st.lists(st.integers(2, 60), max_size=60)


def _order(lengths: np.ndarray) -> np.ndarray:
    return np.argsort(-lengths, kind="stable")


@given(LENGTHS, st.integers(1, 300))
def test_every_text_is_in_one_batch_within_the_budget(lengths: list[int], budget: int) -> None:
    counts = np.array(lengths, dtype=np.int32)
    batches = list(cut_batches(counts, _order(counts), budget))
    assert sorted(position for batch in batches for position in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or counts[batch].max() * len(batch) <= budget


@given(LENGTHS, st.integers(1, 300), st.data())
def test_cutting_what_is_left_after_whole_batches_gives_the_same_batches(
    lengths: list[int], budget: int, data: st.DataObject
) -> None:
    counts = np.array(lengths, dtype=np.int32)
    batches = [batch.tolist() for batch in cut_batches(counts, _order(counts), budget)]
    done = data.draw(st.integers(0, len(batches)))
    finished = {position for batch in batches[:done] for position in batch}
    left = np.array([position for position in _order(counts) if position not in finished], dtype=np.intp)
    assert [batch.tolist() for batch in cut_batches(counts, left, budget)] == batches[done:]


def test_a_batch_is_as_full_as_the_budget_allows() -> None:
    counts = np.full(10, 7, dtype=np.int32)
    assert [len(batch) for batch in cut_batches(counts, np.arange(10), 28)] == [4, 4, 2]
