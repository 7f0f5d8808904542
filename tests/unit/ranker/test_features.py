"""Features of candidates: what each says, and that none of them reads what came after the question."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from rec_sys.contracts import MILLISECONDS_A_DAY, ProductColumn
from rec_sys.ranker.facts import PastReviews, ProductFacts, UserFacts
from rec_sys.ranker.features import FEATURES, AskedUsers, Candidates, describe_candidates, feature_names

DAY = MILLISECONDS_A_DAY
NAN = float("nan")
NUM_PRODUCTS = 4
PRODUCTS = pl.DataFrame(
    {
        ProductColumn.PRICE: [10.0, 20.0, None, 10.0],
        ProductColumn.BRAND: ["a", "b", None, "a"],
        ProductColumn.CATEGORIES: [["x", "y"], ["x"], [], ["y", "x"]],
    }
)
TEXT = np.array([[2, 0], [0, 1], [0, 0], [1, 1]], dtype=np.float32)
FACTS = ProductFacts.of_table(PRODUCTS, TEXT)
# Of products 0, 1, 0, 3 and 1, on the days 0, 10, 50, 98 and 100.
PAST = {
    "product": np.array([0, 1, 0, 3, 1]),
    "timestamp": np.array([0, 10, 50, 98, 100]) * DAY,
    "rating": np.array([4, NAN, 2, 5, 3], dtype=np.float32),
    "reviewer": np.array([[20, 1], [30, 0], [NAN, 1], [50, NAN], [40, 1]], dtype=np.float32),
}
FACTS_OF_USERS = ("age", "club")
NAMES = feature_names(FACTS_OF_USERS)
USERS = AskedUsers(
    offsets=np.array([0, 2, 2]),  # the second has no reviews
    product=np.array([3, 0]),
    timestamp=np.array([98, 0]) * DAY,
    weight=np.array([1, 3], dtype=np.float32),
    before=np.array([5, 2]),
    known=np.array([[26, NAN], [33, 1]], dtype=np.float32),
)
CANDIDATES = Candidates(
    row=np.array([0, 0, 0, 0, 1, 1]),
    product=np.array([0, 1, 2, NUM_PRODUCTS, 1, 0]),
    score=np.array([5, 5, 2, 1, 3, 2], dtype=np.float32),
    memory=np.array([1, 4, 2, 0, 0, 0], dtype=np.float32),
)


def past(**changes: np.ndarray | None) -> PastReviews:
    columns = PAST | changes
    return PastReviews(columns["product"], columns["timestamp"], columns["rating"], NUM_PRODUCTS, columns["reviewer"])


def described(reviews: PastReviews, users: AskedUsers = USERS) -> dict[str, np.ndarray]:
    features = describe_candidates(CANDIDATES, users, reviews, FACTS)
    assert features.dtype == np.float32
    return dict(zip(NAMES, features.T, strict=True))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tower_score", [4, 1, 0, 1, 3, 2]),
        ("score_below_best", [0, 0, 3, 4, 0, 1]),
        ("score_rank", [1, 1, 3, 4, 1, 2]),
        ("memory_rank", [3, 1, 2, 4, 1, 1]),
        ("history_length", [2, 2, 2, 2, 0, 0]),
        ("days_since_user", [2, 2, 2, 2, NAN, NAN]),
        ("review_count", np.log1p([2, 2, 0, 0, 1, 1])),
        ("share_7_days", [0, 500, 0, 0, 1000, 0]),
        ("share_90_days", [250, 500, 0, 0, 500, 500]),
        ("trend", [0.5, 1, NAN, NAN, 1, 1]),
        ("days_since_first", [100, 90, NAN, NAN, 0, 10]),
        ("days_since_last", [50, 0, NAN, NAN, 0, 10]),
        ("rating_mean", [3, 3, NAN, NAN, NAN, 4]),
        ("price", np.log1p([10, 20, NAN, NAN, 20, 10])),
        ("price_above_usual", [0, np.log(21 / 11), NAN, NAN, NAN, NAN]),
        ("brand_match", [1, 0, 0, 0, 0, 0]),
        ("category_match", [1, 0.5**0.5, 0, 0, 0, 0]),
        ("newest_category_match", [1, 0.5**0.5, 0, 0, 0, 0]),
        ("newest_text_match", [0.5**0.5, 0.5**0.5, NAN, NAN, NAN, NAN]),
        ("times_reviewed", [1, 0, 0, 0, 0, 0]),
        ("weight_reviewed", [3, 0, 0, 0, 0, 0]),
        ("days_since_reviewed", [100, NAN, NAN, NAN, NAN, NAN]),
        ("user_age", [26, 26, 26, 26, 33, 33]),
        ("user_club", [NAN, NAN, NAN, NAN, 1, 1]),
        # Of product 0 one reviewer's age is unknown, of product 1 two are known or one was there, of others none.
        ("age_from_reviewers", [6, 9, NAN, NAN, 3, 13]),
        ("club_from_reviewers", [NAN, NAN, NAN, NAN, 1, 0]),
    ],
)
def test_a_feature_says_what_is_known(name: str, expected: list[float]) -> None:
    np.testing.assert_allclose(described(past())[name], expected, rtol=1e-5, atol=1e-6)


def test_reviews_after_the_question_move_nothing() -> None:
    users = replace(USERS, before=np.array([3, 2]))
    before = described(past(), users)
    later = described(
        past(
            product=np.array([0, 1, 0, 2, 2]),
            rating=np.array([4, NAN, 2, 1, 1], dtype=np.float32),
            reviewer=np.append(PAST["reviewer"][:3], [[99, 9], [NAN, 0]], axis=0).astype(np.float32),
        ),
        users,
    )
    for name in NAMES:
        np.testing.assert_array_equal(before[name], later[name], err_msg=name)


def test_without_times_nothing_is_said_of_them() -> None:
    found = described(past(timestamp=None))
    silent = {name for name in NAMES if np.isnan(found[name]).all()}
    assert silent == {name for name in NAMES if "days" in name or name == "trend"}


def test_without_any_review_candidates_are_described() -> None:
    nothing = past(
        product=np.zeros(0, dtype=np.int64),
        timestamp=np.zeros(0, dtype=np.int64),
        rating=np.zeros(0, np.float32),
        reviewer=np.zeros((0, 2), np.float32),
    )
    found = described(nothing, replace(USERS, before=np.array([0, 0])))
    assert not found["review_count"].any()
    assert np.isnan(found["rating_mean"]).all()
    assert np.isnan(found["age_from_reviewers"]).all()


def test_where_nothing_is_known_of_users_the_features_are_those_of_before() -> None:
    users = replace(USERS, known=np.empty((2, 0), dtype=np.float32))
    features = describe_candidates(CANDIDATES, users, past(reviewer=np.empty((5, 0), dtype=np.float32)), FACTS)
    np.testing.assert_array_equal(features, np.stack([described(past())[name] for name in FEATURES], axis=1))
    assert feature_names(()) == FEATURES


def test_facts_of_users_stand_in_their_order_and_the_last_is_nobody() -> None:
    table = pl.DataFrame({"user_id": ["c", "a"], "age": pl.Series([30, None], dtype=pl.Float32)})
    facts = UserFacts.of_table(table, ["a", "b", "c"])
    assert (facts.names, facts.values.dtype) == (("age",), np.float32)
    np.testing.assert_array_equal(facts.values, [[NAN], [NAN], [30], [NAN]])
    assert UserFacts.of_table(None, ["a", "b"]).values.shape == (3, 0)
