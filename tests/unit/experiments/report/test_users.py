"""The users that the report shows: short and long histories, and the rank of what they reviewed next."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from rec_sys.evaluation.ranks import NO_PRODUCT
from rec_sys.experiments.report.users import _recommended, product_names, user_cards
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


class Films:
    """What the cards read of a prepared data set."""

    def products(self) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "asin": ["1", "2"],
                "title": ["Solaris", None],
                "categories": [["film", "drama", "science fiction"], []],
                "review_count": [1200, 3],
            }
        )

    def scan_reviews(self) -> pl.LazyFrame:
        return pl.LazyFrame({"user_id": ["ann", "bob", "cid"]})


def test_a_product_is_named_with_genres_and_how_often_it_was_seen() -> None:
    assert product_names(Films()) == ["Solaris · drama, science fiction · 1200 reviews", "2 · 3 reviews"]  # type: ignore[arg-type]


def test_users_who_are_given_come_first_and_who_is_not_asked_for_is_said(caplog: pytest.LogCaptureFixture) -> None:
    one, none = np.array([0, 1, 2, 3], dtype=np.int64), np.array([0, 1, 0], dtype=np.int32)
    queries = SimpleNamespace(
        user_index=np.arange(3, dtype=np.int32),
        history_offsets=one,
        history_products=none,
        target_offsets=one,
        target_products=none,
    )
    data: Any = SimpleNamespace(dataset=Films(), split=SimpleNamespace(test=queries))
    answers = pl.DataFrame({"top_products": np.array([[1], [0], [1]])})
    models = [Model("popular", (), {}, {}, "#000000", answers)]
    cards = user_cards(models, data, 0, 0, ["cid", "eve", "ann"])
    assert [card.user_id for card in cards] == ["cid", "ann"]
    assert cards[0].history == ["Solaris · drama, science fiction · 1200 reviews"]
    assert cards[0].lists[0].products == [("2 · 3 reviews", False)]
    assert "does not ask for eve" in caplog.text
