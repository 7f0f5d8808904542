"""The users that the report shows: short and long histories, and the rank of what they reviewed next."""

import numpy as np
import polars as pl
import pytest

from rec_sys.evaluation.ranks import NO_PRODUCT
from rec_sys.experiments.report.users import _recommended
from rec_sys.experiments.report.view import Model

NAMES = [f"product {number}" for number in range(9)]


@pytest.mark.parametrize(
    ("targets", "hits", "deeper"),
    [
        ({3}, [False, True, False, False, False], None),
        ({8}, [False] * 5, 6),
        ({3, 8}, [False, True, False, False, False], None),
        ({7}, [False] * 5, None),
    ],
)
def test_a_list_marks_what_was_reviewed_next_or_says_its_rank(
    targets: set[int], hits: list[bool], deeper: int | None
) -> None:
    answers = pl.DataFrame({"top_products": np.array([[1, 3, 2, 0, 4, 8, NO_PRODUCT]])})
    shown = _recommended(Model("ease", (), {}, {}, "#000000", answers), 0, targets, NAMES)
    assert [title for title, _ in shown.products] == [NAMES[product] for product in (1, 3, 2, 0, 4)]
    assert [is_hit for _, is_hit in shown.products] == hits
    assert shown.deeper == deeper
