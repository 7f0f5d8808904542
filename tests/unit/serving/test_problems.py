"""Every error has one body: what, where, which field, what to do, and the request's id."""

import json
import re
from typing import Any

import pytest
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from rec_sys.contracts import InputError
from rec_sys.inference.contract import RequestError, ServingUnavailable
from rec_sys.inference.health_messages import Health
from tests.scripted_recommender import ScriptedRecommender
from tests.unit.serving.conftest import Start

# How pydantic, Python's parsers and the framework begin what they say.
PYDANTIC = re.compile(
    r"Input|should|Field required|Extra inputs|Invalid|Value error|JSON decode|Expecting|Unterminated"
)
JSON = {"Content-Type": "application/json"}


def problem_of(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem.keys() == {"status", "error", "where", "field", "remedy", "request_id", "faults"}
    assert problem["status"] == status
    assert problem["request_id"] == response.headers["X-Request-ID"]
    assert all(problem[key] for key in ("error", "where", "remedy"))
    return problem


FAULTY_BODIES = {
    "no rating": ('{"reviews": [{"asin": "p1"}, {"asin": "p1", "rating": "fine"}]}', "reviews[1].rating"),
    "not a number": ('{"reviews": [{"asin": "p1", "rating": NaN}]}', "reviews[0].rating"),
    "infinite": ('{"reviews": [{"asin": "p1", "rating": Infinity}]}', "reviews[0].rating"),
    "no product": ('{"reviews": [{"rating": 3}]}', "reviews[0].asin"),
    "an empty product": ('{"reviews": [{"asin": ""}]}', "reviews[0].asin"),
    "a misspelt field": ('{"reviews": [{"asin": "p1", "raiting": 3}]}', "reviews[0].raiting"),
    "a misspelt filter": ('{"filter": {"max_prize": 3}}', "filter.max_prize"),
    "prices the wrong way round": ('{"filter": {"min_price": 5, "max_price": 3}}', "filter"),
    "no date": ('{"reviews": [{"asin": "p1", "timestamp": "yesterday"}]}', "reviews[0].timestamp"),
    "too long a page": ('{"limit": 101}', "limit"),
    "a list": ("[]", "body"),
    "broken JSON": ('{"reviews": [', "body"),
    "no JSON": ("reviews", "body"),
    "nothing": ("", "body"),
    "half a character": (b'{"reviews": [{"asin": "p\xff"}]}', "body"),
    "half a character, escaped": (r'{"reviews": [{"asin": "\ud800"}]}', "reviews[0].asin"),
    "a field of half a character": (r'{"\ud800": 1}', "body"),
    "nothing but brackets": ("[" * 100_000, "body"),
    "an endless number": ('{"reviews": [{"asin": "p1", "timestamp": 1' + "0" * 5_000 + "}]}", "body"),
    "a time beyond all": ('{"reviews": [{"asin": "p1", "timestamp": 100000000000000000000}]}', "reviews[0].timestamp"),
}


@pytest.mark.parametrize("case", FAULTY_BODIES)
def test_a_body_that_cannot_be_meant_is_answered_with_the_field(
    case: str, client: TestClient, recommender: ScriptedRecommender
) -> None:
    body, field = FAULTY_BODIES[case]
    problem = problem_of(client.post("/v1/recommendations", content=body, headers=JSON), 422)
    assert problem["field"] == field
    assert recommender.asked == []
    assert not PYDANTIC.search(problem["error"] + problem["remedy"])
    assert "another value" not in problem["error"]


def test_a_filter_beside_the_reviews_is_told_its_place(client: TestClient) -> None:
    body = {"reviews": [{"asin": "p1"}], "max_price": 9}
    problem = problem_of(client.post("/v1/recommendations", json=body), 422)
    assert problem["field"] == "max_price"
    assert problem["remedy"] == 'put it into the field filter: {"filter": {"max_price": ...}}'


def test_several_faults_are_all_named(client: TestClient) -> None:
    body = {"limit": 0, "reviews": [{"asin": "p1", "rating": "fine"}]}
    problem = problem_of(client.post("/v1/recommendations", json=body), 422)
    assert {fault["field"] for fault in problem["faults"]} == {"limit", "reviews[0].rating"}


def test_many_faults_do_not_make_a_long_answer(client: TestClient) -> None:
    response = client.post("/v1/recommendations", json={"reviews": [{"asin": "x" * 300, "rating": "x"}] * 900})
    assert len(problem_of(response, 422)["faults"]) == 10
    assert len(response.content) < 3_000


def test_a_body_that_is_not_said_to_be_json_is_answered_with_the_header_to_send(client: TestClient) -> None:
    problem = problem_of(
        client.post("/v1/recommendations", content="{}", headers={"Content-Type": "application/x-www-form-urlencoded"}),
        422,
    )
    assert "Content-Type: application/json" in problem["remedy"]


@pytest.mark.parametrize(
    ("address", "field"),
    [
        ("/v1/users/u1/recommendations?limit=0", "limit"),
        ("/v1/users/u1/recommendations?limit=many", "limit"),
        ("/v1/users/u1/recommendations?limti=3", "limti"),
        ("/v1/users/u1/recommendations?min_rating=nan", "min_rating"),
        (f"/v1/users/{'u' * 600}/recommendations", "user_id"),
        ("/v1/products/p1/similar?by=colour", "by"),
        ("/v1/products/search", "q"),
        ("/v1/products/search?q=", "q"),
        (f"/v1/products/search?q={'x' * 1001}", "q"),
    ],
)
def test_an_address_that_cannot_be_meant_is_answered_with_the_field(
    address: str, field: str, client: TestClient
) -> None:
    problem = problem_of(client.get(address), 422)
    assert problem["field"] == field
    assert not PYDANTIC.search(problem["error"])
    assert "another value" not in problem["error"]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("/v1/users/nobody/recommendations", "there is no user nobody"),
        ("/v1/products/p9/similar", "there is no product p9"),
        ("/v1/models/oracle", "there is no model oracle"),
        ("/v2/anything", "nothing at this address"),
    ],
)
def test_what_does_not_exist_is_answered_with_404(address: str, said: str, client: TestClient) -> None:
    assert said in problem_of(client.get(address), 404)["error"]


def test_a_model_that_may_only_be_away_is_answered_with_503(
    client: TestClient, recommender: ScriptedRecommender
) -> None:
    recommender.health_now = Health(ready=False, parts=())
    response = client.get("/v1/models/text_encoder")
    assert "away" in problem_of(response, 503)["error"]
    assert response.headers["Retry-After"] == "1"
    assert client.get("/v1/models/user_tower").status_code == 200


def test_another_method_is_answered_with_the_one_to_use(client: TestClient) -> None:
    response = client.get("/v1/recommendations")
    assert problem_of(response, 405)["remedy"] == "use POST"
    assert response.headers["Allow"] == "POST"


def test_what_the_recommender_refuses_is_answered_with_its_field(
    client: TestClient, recommender: ScriptedRecommender
) -> None:
    recommender.failure = RequestError("1,001 reviews", field="reviews", remedy="send 1,000 at most")
    problem = problem_of(client.post("/v1/recommendations", json={}), 422)
    assert (problem["field"], problem["error"], problem["remedy"]) == (
        "reviews",
        "1,001 reviews",
        "send 1,000 at most",
    )


@pytest.mark.parametrize(("seconds", "header"), [(2.0, "2"), (0.0, "1"), (0.4, "1"), (7.6, "8")])
def test_a_part_that_is_away_is_answered_with_503_and_when_to_come_again(
    seconds: float, header: str, client: TestClient, recommender: ScriptedRecommender
) -> None:
    recommender.failure = ServingUnavailable(
        "Triton is away", component="triton", where="127.0.0.1:8001", remedy="start it", retry_after=seconds
    )
    response = client.post("/v1/recommendations", json={})
    assert problem_of(response, 503)["error"] == "Triton is away"
    assert response.headers["Retry-After"] == header


class Panic(BaseException):
    """As libraries written in Rust raise it."""


@pytest.mark.parametrize(
    "failure",
    [
        RuntimeError("secret-detail"),
        Panic("secret-detail"),
        InputError("key secret-detail is refused", where="secret-detail", remedy="x"),
    ],
)
def test_a_defect_is_logged_and_not_told(
    failure: BaseException, client: TestClient, recommender: ScriptedRecommender
) -> None:
    recommender.failure = failure
    with capture_logs() as events:
        response = client.post("/v1/recommendations", json={})
    problem_of(response, 500)
    assert "secret-detail" not in response.text
    [event] = [event for event in events if event["log_level"] == "error"]
    assert "secret-detail" in str(event) or not isinstance(failure, InputError)
    assert event["event"] in ("failed", "misconfigured")


def test_a_defect_does_not_end_the_service(client: TestClient, recommender: ScriptedRecommender) -> None:
    recommender.failure = RuntimeError("once")
    with capture_logs():
        assert client.post("/v1/recommendations", json={}).status_code == 500
    recommender.failure = None
    assert client.post("/v1/recommendations", json={}).status_code == 200


def test_a_body_beyond_the_limit_is_refused_whether_announced_or_not(
    start: Start, recommender: ScriptedRecommender
) -> None:
    client = start(max_body_bytes=1_000)
    within = json.dumps({"reviews": [{"asin": "p1", "text": "x" * 900}]})
    assert len(within) <= 1_000
    beyond = within.replace("xxx", "x" * 80)

    assert client.post("/v1/recommendations", content=within, headers=JSON).status_code == 200
    announced = client.post("/v1/recommendations", content=beyond, headers=JSON)
    parts = (part.encode() for part in (beyond[:500], beyond[500:]))
    streamed = client.post("/v1/recommendations", content=parts, headers=JSON)

    assert "content-length" not in streamed.request.headers
    for response in (announced, streamed):
        assert "1,000 bytes" in problem_of(response, 413)["error"]
    assert len(recommender.asked) == 1
