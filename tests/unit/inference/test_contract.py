"""Requests are read strictly, and what is wrong is named by its field."""

from typing import Any

import pytest

from rec_sys.inference.contract import Filter, Page, RecommendationRequest, RequestError, Review
from rec_sys.inference.request_parsing import parse

REVIEW = {"asin": "p1"}
HALF = "half of a pair: \ud83d"
REVIEW_TEXTS = [name for name, field in Review.model_fields.items() if field.annotation in (str, str | None)]
FILTER_TEXTS = [name for name, field in Filter.model_fields.items() if field.annotation == tuple[str, ...]]


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"reviews": [REVIEW, {"asin": "p2", "rating": float("nan")}]}, "reviews[1].rating"),
        ({"reviews": [{"asin": "p2", "rating": float("inf")}]}, "reviews[0].rating"),
        ({"reviews": [{"asin": "p2", "rating": "many"}]}, "reviews[0].rating"),
        ({"reviews": [{"asin": ""}]}, "reviews[0].asin"),
        ({"reviews": [{"text": "no product"}]}, "reviews[0].asin"),
        ({"reviews": [{"asin": "p1", "stars": 5}]}, "reviews[0].stars"),
        ({"reviews": [{"asin": "p1", "timestamp": -1}]}, "reviews[0].timestamp"),
        ({"reviews": [{"asin": "p1", "timestamp": 10**15}]}, "reviews[0].timestamp"),
        ({"reviews": [{"asin": "p1", "timestamp": "yesterday"}]}, "reviews[0].timestamp"),
        ({"reviews": {"asin": "p1"}}, "reviews"),
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"offset": -1}, "offset"),
        ({"diversity": 1.5}, "diversity"),
        ({"filter": {"min_rating": 9}}, "filter.min_rating"),
        ({"filter": {"min_price": 5, "max_price": 4}}, "filter"),
        ({"filter": {"max_price": float("inf")}}, "filter.max_price"),
        ({"user": "u1"}, "user"),
        ({"user_id": HALF}, "user_id"),
        *(({"reviews": [REVIEW | {field: HALF}]}, f"reviews[0].{field}") for field in REVIEW_TEXTS),
        *(({"filter": {field: ["a", HALF]}}, f"filter.{field}[1]") for field in FILTER_TEXTS),
        ({HALF: 1}, "the request"),
        ({"reviews": [REVIEW | {HALF: 1}]}, "reviews[0]"),
        ([], "the request"),
    ],
)
def test_what_cannot_be_meant_is_named_by_its_field(content: Any, field: str) -> None:
    with pytest.raises(RequestError) as refused:
        parse(RecommendationRequest, content)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        ({"max_price": 5}, 'put it into the field filter: {"filter": {"max_price": ...}}'),
        ({"filter": {"max_prize": 5}}, "leave it out, or spell it as /docs does"),
        ({"diversity": 7}, "change it; it is 7"),
    ],
)
def test_the_remedy_fits_the_fault(content: Any, remedy: str) -> None:
    with pytest.raises(RequestError) as refused:
        parse(RecommendationRequest, content)
    assert refused.value.remedy == remedy


def test_times_may_be_milliseconds_or_dates() -> None:
    moments = [0, 1_600_000_000_000, "2020-09-13T12:26:40Z", "2020-09-13T12:26:40", "2020-09-13T14:26:40+02:00", None]
    found = [Review.model_validate({"asin": "p", "timestamp": moment}).timestamp for moment in moments]
    assert found == [0, *[1_600_000_000_000] * 4, None]


@pytest.mark.parametrize(
    ("given", "unit"),
    [(1_662_606_814, "seconds"), (1_662_606_814_000_000, "microseconds"), (1_662_606_814_000_000_000, "nanoseconds")],
)
def test_a_time_in_another_unit_is_refused_with_the_one_meant(given: int, unit: str) -> None:
    with pytest.raises(
        RequestError, match=f"looks like {unit}: in milliseconds 2022-09-08 is 1662606814000"
    ) as refused:
        parse(RecommendationRequest, {"reviews": [{"asin": "p", "timestamp": given}]})
    assert refused.value.field == "reviews[0].timestamp"


def test_ids_may_be_numbers_and_times_digits() -> None:
    request = parse(RecommendationRequest, {"user_id": 7, "reviews": [{"asin": 12, "timestamp": "1600000000000"}]})
    assert (request.user_id, request.reviews[0]) == ("7", Review(asin="12", timestamp=1_600_000_000_000))


def test_all_fields_that_a_review_does_not_have_are_told_at_once() -> None:
    amazon = {"asin": "p", "overall": 5.0, "reviewText": "ok", "reviewerID": "A1", "unixReviewTime": 1_600_000_000}
    with pytest.raises(RequestError) as refused:
        parse(RecommendationRequest, {"reviews": [amazon]})
    assert refused.value.remedy == (
        "rename overall to rating, rename reviewText to text, rename unixReviewTime to timestamp, "
        "leave out or rename reviewerID; a review has asin, text, title, rating, timestamp, weight, event"
    )


@pytest.mark.parametrize("given", [10**400, float("inf"), float("nan"), -(10**400)])
def test_a_number_that_is_no_time_at_all_is_refused(given: float) -> None:
    with pytest.raises(RequestError):
        parse(RecommendationRequest, {"reviews": [{"asin": "p", "timestamp": given}]})


def test_a_filter_leaves_out_what_was_seen_too() -> None:
    limits = Filter(not_seen=("a", "b"), brands=("x",), min_rating=3).for_index(("b", "c"))
    assert set(limits.not_seen) == {"a", "b", "c"}
    assert (limits.brands, limits.min_rating, limits.max_price) == (("x",), 3, None)


def test_a_request_is_a_page_with_usual_values() -> None:
    assert parse(RecommendationRequest, {}) == RecommendationRequest()
    assert (Page().limit, Page().offset, Page().diversity) == (10, 0, 0)
