"""The rule that chooses reasons, against the same rule written product by product."""

import numpy as np
import pytest

from rec_sys.inference.explanations import strongest_reviews


@pytest.mark.parametrize("limit", [1, 2, 50])
def test_each_product_is_explained_as_it_would_be_alone(limit: int) -> None:
    random = np.random.default_rng(limit)
    counts = np.array([3, 0, 7, 1, 5])
    by_memory = np.array([True, False, False, True, True])
    hit = np.repeat(np.arange(5), counts)
    attention = random.integers(1, 4, len(hit)).astype(np.float32)  # equals among them
    memory = random.integers(-1, 3, len(hit)).astype(np.float32)

    expected: list[int] = []
    for product in range(5):
        own = np.flatnonzero(hit == product)
        strength = memory if by_memory[product] else attention
        best = sorted(own.tolist(), key=lambda place: (-strength[place], place))[:limit]
        expected += [place for place in best if memory[place] > 0 or not by_memory[product]]
    assert strongest_reviews(hit, attention, memory, by_memory, limit).tolist() == expected


def test_without_products_there_is_nothing_to_explain() -> None:
    nothing = np.zeros(0)
    found = strongest_reviews(nothing.astype(np.int64), nothing.astype(np.float32), nothing, nothing.astype(bool), 3)
    assert len(found) == 0
