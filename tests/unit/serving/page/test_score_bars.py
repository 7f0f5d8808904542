"""The parts of a bar are the score, whatever their signs."""

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rec_sys.serving.page.score_bars import WIDTH, score_bars
from tests.scripted_recommender import PRODUCT

VALUES = st.floats(-20, 20, allow_nan=False)


@example([(5e-324, 0.0, 0.0)])  # whose scale would be infinite
@given(st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=1, max_size=5))
def test_parts_sum_to_the_score_and_share_one_scale(products: list[tuple[float, float, float]]) -> None:
    scored = [
        replace(PRODUCT, score=score, memory_score=memory, ranker_score=ranker) for score, memory, ranker in products
    ]
    bars = score_bars(scored)
    for product, bar in zip(scored, bars, strict=True):
        assert bar is not None
        assert sum(part.value for part in bar.parts) == pytest.approx(product.score, abs=1e-9)
        for part in bar.parts:
            assert part.start >= -0.05
            assert part.start + part.width <= WIDTH + 0.05
            assert part.start + part.width <= bar.zero + 0.05 if part.value < 0 else part.start >= bar.zero - 0.05
    assert len({bar.zero for bar in bars if bar is not None}) == 1


def test_what_has_no_parts_has_no_bar_and_the_others_are_said_in_words() -> None:
    popular = replace(PRODUCT, source="popular")
    none, bar = score_bars([popular, PRODUCT])
    assert none is None
    assert bar is not None
    assert bar.words == "Score: graph attention +2.25, co-review memory +1.00, ranker +0.00"
