"""What validation chooses for short histories: a weight of its own where that pays beyond the error, else none."""

import numpy as np
from scipy import sparse

from rec_sys.data.queries import Queries, truncate_histories
from rec_sys.modules.hybrid_score import MemoryTerm
from rec_sys.modules.memory import CoReviewMemory
from rec_sys.scoring import ScoreFormula, ShortHistory
from rec_sys.settings import ShortHistorySettings
from rec_sys.train.short_histories import choose_short_histories

NUM_PRODUCTS, NUM_QUERIES = 40, 300
NOISE = np.random.default_rng(0).normal(size=(NUM_QUERIES, NUM_PRODUCTS)).astype(np.float32)
POPULAR = np.linspace(1, 0, NUM_PRODUCTS, dtype=np.float32)
SETTINGS = ShortHistorySettings(lengths=3, memory=(0.5,), popularity=(8.0,))
# Each product leads to the next one.
NEXT = CoReviewMemory(sparse.csr_matrix(np.roll(np.eye(NUM_PRODUCTS, dtype=np.float32), 1, axis=1)))


def queries_of(targets: np.ndarray, histories: list[list[int]]) -> Queries:
    number = np.arange(len(targets))
    offsets = np.append(0, np.cumsum([len(history) for history in histories]))
    return Queries(
        user_index=number.astype(np.int32),
        bound=np.full(len(targets), offsets[-1]),
        target_offsets=np.arange(len(targets) + 1),
        target_products=targets.astype(np.int32),
        target_edges=np.full(len(targets), offsets[-1]),
        history_offsets=offsets,
        history_products=np.concatenate(histories).astype(np.int32),
        num_cold=0,
        history_edges=np.arange(offsets[-1]),
    )


def choose(targets: np.ndarray, histories: list[list[int]], weight: float = 8.0) -> MemoryTerm:
    term = MemoryTerm(NEXT, ScoreFormula(temperature=1, memory_weight=weight), 50)
    queries = queries_of(targets, histories)
    lengths: list[int] = []

    def towers_of(asked: Queries):  # type: ignore[no-untyped-def]
        lengths.extend(np.diff(asked.history_offsets).tolist())
        return lambda rows: NOISE[rows]

    chosen = choose_short_histories(towers_of, queries, term, POPULAR, SETTINGS, query_batch=128)
    assert set(lengths) == {1, 2}  # nobody has three
    return chosen


def test_short_histories_are_weighed_where_that_pays() -> None:
    targets = np.random.default_rng(1).integers(0, 4, NUM_QUERIES)
    found = choose(targets, [[30, 20]] * NUM_QUERIES)
    # The memory's answers, 31 and 21, come before what is popular unless they count half.
    assert found.formula.short == (ShortHistory(memory=0.5, popularity=8.0),) * 2
    np.testing.assert_array_equal(found.popularity, POPULAR)
    assert found.formula.memory_weight == 8.0


def test_nothing_changes_where_the_usual_weights_are_best() -> None:
    first = np.random.default_rng(3).integers(20, 36, NUM_QUERIES)
    found = choose(first + 1, [[int(one), 2] for one in first])
    assert found.formula.short == ()
    assert found.popularity is None


def test_histories_cut_short_keep_the_products_of_the_rest_from_competing() -> None:
    # Of two reviews the second follows from the first: the memory has counted that, and it is not what is asked.
    random = np.random.default_rng(2)
    first = random.integers(5, 30, NUM_QUERIES)
    histories = [[int(one), int(one) + 1] for one in first]
    queries = queries_of(first + 3, histories)
    assert truncate_histories(queries, 1).history_products.tolist() == first.tolist()
    found = choose(first + 3, histories)
    # Masked, the memory's answer to the first review costs nothing, so nothing is gained by halving it.
    assert all(short.memory == 1.0 for short in found.formula.short)
