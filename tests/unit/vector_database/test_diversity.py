"""The rule of marginal relevance, against a version that is too plain to be wrong."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rec_sys.vector_database.diversity import order_diversely


def unit_vectors(random: np.random.Generator, count: int) -> np.ndarray:
    vectors = random.normal(size=(count, 3)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@given(seed=st.integers(0, 2**31), count=st.integers(0, 12), limit=st.integers(0, 15), strength=st.floats(0, 1))
def test_each_product_is_the_best_of_those_left_given_those_chosen(
    seed: int, count: int, limit: int, strength: float
) -> None:
    random = np.random.default_rng(seed)
    vectors, relevance = unit_vectors(random, count), random.normal(size=count).astype(np.float32)
    order = order_diversely(relevance, vectors, strength, limit)
    assert len(order) == len(set(order)) == min(count, limit)
    for place, row in enumerate(order):
        left = [other for other in range(count) if other not in order[:place]]
        worth = {
            other: (1 - strength) * relevance[other]
            - strength * max(float(vectors[other] @ vectors[earlier]) for earlier in order[:place])
            if place
            else relevance[other]
            for other in left
        }
        assert worth[row] >= max(worth.values()) - 1e-5


def test_without_strength_the_order_is_the_relevance() -> None:
    random = np.random.default_rng(0)
    relevance = random.normal(size=20).astype(np.float32)
    assert order_diversely(relevance, unit_vectors(random, 20), 0, 20) == np.argsort(-relevance).tolist()


def test_a_product_like_the_first_gives_way_to_another() -> None:
    vectors = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0]], dtype=np.float32)
    relevance = np.array([0.9, 0.8, 0.5], dtype=np.float32)
    assert order_diversely(relevance, vectors, 0.5, 3) == [0, 2, 1]
