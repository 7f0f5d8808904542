import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from rec_sys.contracts import MemoryTensor
from rec_sys.modules.memory import CoReviewMemory, count_by_gap, fit_memories
from rec_sys.scoring import sparse_tensors
from rec_sys.settings import MemorySettings

NUM_PRODUCTS = 12


def some_reviews(seed: int, num_users: int = 9) -> tuple[np.ndarray, np.ndarray]:
    """Users and products in time order, the users mixed."""
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 60))
    return random.integers(0, num_users, count), random.integers(0, NUM_PRODUCTS, count)


def fit_one(
    reviews: tuple[np.ndarray, np.ndarray], num_users: int, num_products: int, settings: MemorySettings
) -> CoReviewMemory:
    return fit_memories(*reviews, num_users, num_products, settings, (1.0,))[1.0]


def some_weights(count: int, seed: int) -> np.ndarray | None:
    """Of events; None, all say the same, of even seeds."""
    choices = np.array([0.1, 0.4, 1.0, 2.0], dtype=np.float32)
    return np.random.default_rng(seed).choice(choices, count) if seed % 2 else None


@given(seed=st.integers(0, 10_000))
def test_the_directed_counts_equal_the_sums_over_all_cuts(seed: int) -> None:
    past, future = 0.5, 0.3
    user, product = some_reviews(seed)
    weight = some_weights(len(user), seed)
    says = np.ones(len(user)) if weight is None else weight
    expected_history = np.zeros((NUM_PRODUCTS, NUM_PRODUCTS))
    expected_ahead = np.zeros_like(expected_history)
    for one in np.unique(user):
        sequence, own = product[user == one], says[user == one]
        for cut in range(1, len(sequence)):
            before, after = np.zeros(NUM_PRODUCTS), np.zeros(NUM_PRODUCTS)
            np.add.at(before, sequence[:cut], own[:cut] * past ** np.arange(cut - 1, -1, -1))
            np.add.at(after, sequence[cut:], own[cut:] * future ** np.arange(len(sequence) - cut))
            expected_history += np.outer(before, before)
            expected_ahead += np.outer(before, after)

    history, ahead = count_by_gap(user, product, NUM_PRODUCTS, past, future, weight)

    # Gaps whose weights have faded below 0.001 are left out.
    np.testing.assert_allclose(history.toarray(), expected_history, atol=0.03)
    np.testing.assert_allclose(ahead.toarray(), expected_ahead, atol=0.03)


@given(seed=st.integers(0, 10_000))
def test_with_every_product_as_candidate_the_symmetric_model_is_one_ridge_regression_a_product(seed: int) -> None:
    user, product = some_reviews(seed)
    settings = MemorySettings(candidates=NUM_PRODUCTS, neighbours=NUM_PRODUCTS, directed=0)

    weight = some_weights(len(user), seed)
    weights = fit_memories(user, product, 9, NUM_PRODUCTS, settings, (3.0,), weight)[3.0].matrix.toarray()

    reviewed = np.zeros((9, NUM_PRODUCTS))
    # Several events of one user and product say what the strongest of them says.
    np.maximum.at(reviewed, (user, product), 1 if weight is None else weight)
    gram = reviewed.T @ reviewed
    for target in range(NUM_PRODUCTS):
        others = [i for i in range(NUM_PRODUCTS) if i != target and gram[i, target] > 0]
        solved = np.zeros(NUM_PRODUCTS)
        if others:
            square = gram[np.ix_(others, others)] + 3.0 * np.eye(len(others))
            solved[others] = np.linalg.solve(square, gram[others, target])
        np.testing.assert_allclose(weights[:, target], solved, atol=1e-4)


def test_no_product_remembers_itself_in_the_symmetric_model() -> None:
    user, product = some_reviews(4)
    weights = fit_one((user, product), 9, NUM_PRODUCTS, MemorySettings(directed=0)).matrix

    assert weights.nnz > 0
    assert not weights.diagonal().any()


def test_the_directed_part_knows_which_product_came_first() -> None:
    # Everybody reviews 0, then 1.
    user, product = np.repeat(np.arange(30), 2), np.tile([0, 1], 30)
    weights = fit_one((user, product), 30, 2, MemorySettings(directed=1.0)).matrix.toarray()
    alike = fit_one((user, product), 30, 2, MemorySettings(directed=0.0)).matrix.toarray()

    assert weights[0, 1] > weights[1, 0] + 0.1
    assert alike[0, 1] == pytest.approx(alike[1, 0])


def test_only_the_strongest_neighbours_of_a_product_are_kept() -> None:
    user, product = some_reviews(11)
    whole = fit_one((user, product), 9, NUM_PRODUCTS, MemorySettings(neighbours=NUM_PRODUCTS)).matrix.tocsc()
    few = fit_one((user, product), 9, NUM_PRODUCTS, MemorySettings(neighbours=2)).matrix.tocsc()

    for column in range(NUM_PRODUCTS):
        strongest = np.sort(np.abs(whole[:, [column]].data))[::-1][:2]
        np.testing.assert_allclose(np.sort(np.abs(few[:, [column]].data))[::-1], strongest, rtol=1e-6)


def test_the_memory_scores_by_summing_rows_and_keeps_its_arrays() -> None:
    user, product = some_reviews(5)
    memory = fit_one((user, product), 9, NUM_PRODUCTS, MemorySettings())
    history = sparse.csr_matrix(np.eye(NUM_PRODUCTS, dtype=np.float32)[[3]] * 2)

    np.testing.assert_allclose(memory.score(history)[0], 2 * memory.matrix.toarray()[3], rtol=1e-6)
    tensors = sparse_tensors(memory.matrix)
    again = sparse.csr_matrix(
        (tensors[MemoryTensor.WEIGHTS], tensors[MemoryTensor.NEIGHBOURS], tensors[MemoryTensor.OFFSETS]),
        shape=memory.matrix.shape,
    )
    np.testing.assert_array_equal(again.toarray(), memory.matrix.toarray())


def test_several_strengths_at_once_are_those_one_by_one() -> None:
    random = np.random.default_rng(4)
    reviews = random.integers(0, 40, 500), random.integers(0, 25, 500)
    together = fit_memories(*reviews, 40, 25, MemorySettings(), (1.0, 30.0))
    for l2, memory in together.items():
        alone = fit_memories(*reviews, 40, 25, MemorySettings(), (l2,))[l2]
        np.testing.assert_array_equal(memory.matrix.toarray(), alone.matrix.toarray())
    assert not np.allclose(together[1.0].matrix.toarray(), together[30.0].matrix.toarray())
