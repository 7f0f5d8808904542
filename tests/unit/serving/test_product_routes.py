"""Questions arrive at the recommender as they were asked, and answers leave as it gave them."""

from typing import get_args

import pytest
from starlette.testclient import TestClient

from rec_sys.inference.contract import (
    Excerpt,
    Filter,
    Page,
    ProductsAnswer,
    RecommendationAnswer,
    RecommendationRequest,
    Review,
)
from rec_sys.serving.questions import PageQuestion, UserQuestion
from tests.scripted_recommender import PRODUCT, TIMES, VERSIONS, ScriptedRecommender


def test_reviews_in_the_body_reach_the_recommender(client: TestClient, recommender: ScriptedRecommender) -> None:
    review = {"asin": "p1", "rating": 4, "text": "fine", "title": "ok", "timestamp": "2026-03-01T00:00:00Z"}
    body = {"reviews": [review, {"asin": "p7"}], "limit": 3, "filter": {"max_price": 9}, "diversity": 0.5}

    response = client.post("/v1/recommendations", json=body)

    assert recommender.asked == [
        RecommendationRequest(
            reviews=(
                Review(asin="p1", rating=4, text="fine", title="ok", timestamp=1_772_323_200_000),
                Review(asin="p7"),
            ),
            limit=3,
            filter=Filter(max_price=9),
            diversity=0.5,
        )
    ]
    answer = RecommendationAnswer.model_validate_json(response.content)
    assert answer.products == (PRODUCT,)
    assert answer.versions == VERSIONS
    assert [ignored.field for ignored in answer.ignored] == ["reviews[1]"]


def test_a_user_in_the_address_reaches_the_recommender(client: TestClient, recommender: ScriptedRecommender) -> None:
    address = "/v1/users/u1/recommendations?limit=2&offset=4&brands=A&brands=B&not_seen=p9&include_seen=true"
    response = client.get(f"{address}&explain=false&min_rating=4")
    assert recommender.asked == [
        RecommendationRequest(
            user_id="u1",
            limit=2,
            offset=4,
            filter=Filter(brands=("A", "B"), not_seen=("p9",), min_rating=4),
            include_seen=True,
            explain=False,
        )
    ]
    assert RecommendationAnswer.model_validate_json(response.content).known_user


def test_an_id_with_odd_characters_arrives_as_it_is(client: TestClient, recommender: ScriptedRecommender) -> None:
    client.get("/v1/users/%C3%A4%20%26%3F%25/recommendations")
    [asked] = recommender.asked
    assert isinstance(asked, RecommendationRequest)
    assert asked.user_id == "ä &?%"


@pytest.mark.parametrize(("given", "by"), [("", "graph"), ("&by=text", "text")])
def test_a_product_in_the_address_reaches_the_recommender(
    given: str, by: str, client: TestClient, recommender: ScriptedRecommender
) -> None:
    response = client.get(f"/v1/products/p1/similar?limit=7&categories_any=Strings{given}")
    assert recommender.asked == [("p1", Page(limit=7, filter=Filter(categories_any=("Strings",))), by)]
    assert ProductsAnswer.model_validate_json(response.content).products == (PRODUCT,)


def test_words_reach_the_recommender(client: TestClient, recommender: ScriptedRecommender) -> None:
    response = client.get("/v1/products/search", params={"q": "a quiet amp & strings", "max_price": 30})
    assert recommender.asked == [("a quiet amp & strings", Page(filter=Filter(max_price=30)))]
    assert response.json()["products"][0]["asin"] == "p2"


def test_the_times_of_the_steps_stand_in_the_header(client: TestClient) -> None:
    timing = client.post("/v1/recommendations", json={}).headers["Server-Timing"]
    steps = [f"{step};dur={getattr(TIMES, step):.3f}" for step in ("text", "tower", "index", "ranker", "rest")]
    assert timing.startswith(", ".join([*steps, "total;dur="]))
    assert "Server-Timing" not in client.get("/v1/models").headers


def test_models_are_listed_and_found_by_name(client: TestClient) -> None:
    listed = client.get("/v1/models").json()["models"]
    assert [model["name"] for model in listed] == ["user_tower"]
    assert client.get("/v1/models/user_tower").json() == listed[0]


def test_the_address_takes_what_the_body_takes_within_the_same_bounds() -> None:
    flat = PageQuestion.model_fields
    for name in Excerpt.model_fields:
        ours, theirs = flat[name], Page.model_fields[name]
        assert (ours.default, ours.metadata, ours.annotation) == (theirs.default, theirs.metadata, theirs.annotation)
    assert flat.keys() == Excerpt.model_fields.keys() | Filter.model_fields.keys()
    assert UserQuestion.model_fields.keys() - flat.keys() == (
        RecommendationRequest.model_fields.keys() - Page.model_fields.keys() - {"user_id", "reviews", "boost"}
    )
    assert all(get_args(field.annotation) or field.annotation for field in flat.values())


def test_the_recommender_is_closed_with_the_service(recommender: ScriptedRecommender) -> None:
    from rec_sys.serving.application import create_application
    from rec_sys.settings import ServingSettings

    with TestClient(create_application(ServingSettings(), recommender)):
        assert not recommender.closed
    assert recommender.closed
