import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rec_sys.data.evidence import evidence_matrix


@given(seed=st.integers(0, 10_000), weighted=st.booleans())
def test_a_pair_says_what_its_strongest_review_says(seed: int, weighted: bool) -> None:
    random = np.random.default_rng(seed)
    count = int(random.integers(0, 40))
    user, product = random.integers(0, 5, count), random.integers(0, 4, count)
    weight = random.choice(np.array([0.1, 0.5, 1, 3], dtype=np.float32), count) if weighted else None
    expected = np.zeros((5, 4), dtype=np.float32)
    np.maximum.at(expected, (user, product), 1 if weight is None else weight)
    np.testing.assert_array_equal(evidence_matrix(user, product, weight, (5, 4)).toarray(), expected)
