"""Every request has an id, a line in the log and a place in the metrics; too many at once are turned away."""

import asyncio
import re
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from rec_sys.inference.contract import RecommendationAnswer, RecommendationRequest
from rec_sys.inference.health_messages import ComponentHealth, Health
from rec_sys.serving.application import create_application
from rec_sys.settings import ServingSettings
from tests.scripted_recommender import ScriptedRecommender
from tests.unit.serving.conftest import Start

BODY = {"reviews": [{"asin": "p1"}, {"asin": "p9"}]}


def samples(client: TestClient) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_a_request_without_an_id_gets_one(client: TestClient) -> None:
    ids = {client.get("/health/live").headers["X-Request-ID"] for _ in range(3)}
    assert len(ids) == 3
    assert all(re.fullmatch(r"[0-9a-f]{32}", given) for given in ids)


@pytest.mark.parametrize(
    ("given", "kept"), [("order-17.b_2", True), ("x" * 128, True), ("x" * 129, False), ("a b", False), ("a\tb", False)]
)
def test_a_clients_own_id_is_kept_where_it_is_short_and_plain(given: str, kept: bool, client: TestClient) -> None:
    answered = client.get("/health/live", headers={"X-Request-ID": given}).headers["X-Request-ID"]
    assert (answered == given) is kept


def test_the_log_has_a_line_for_a_request_and_none_for_a_probe(start: Start) -> None:
    client = start(tokens=[{"name": "shop", "token": "shop-secret"}])
    headers = {"Authorization": "Bearer shop-secret", "X-Request-ID": "mine"}
    with capture_logs() as events:
        client.post("/v1/recommendations", json=BODY, headers=headers)
        client.get("/health/live")
    [event] = [event for event in events if event["log_level"] != "debug"]
    assert event["milliseconds"] > 0
    shown = {key: event[key] for key in ("event", "method", "path", "status", "bearer", "request_id")}
    assert shown == {
        "event": "request",
        "method": "POST",
        "path": "/v1/recommendations",
        "status": 200,
        "bearer": "shop",
        "request_id": "mine",
    }
    assert "shop-secret" not in str(events)


def test_requests_are_counted_by_route_and_not_by_address(client: TestClient) -> None:
    for user in ("u1", "u1", "nobody", "someone"):
        client.get(f"/v1/users/{user}/recommendations")
    client.get("/v7/whatever")
    found = samples(client)
    route = ("route", "/v1/users/{user_id}/recommendations")
    assert found["gateway_requests_total", (("method", "GET"), route, ("status", "200"))] == 2
    assert found["gateway_requests_total", (("method", "GET"), route, ("status", "404"))] == 2
    assert found["gateway_requests_total", (("method", "GET"), ("route", "other"), ("status", "404"))] == 1
    assert found["gateway_request_seconds_count", (("method", "GET"), route)] == 4


def test_no_label_of_the_metrics_is_chosen_by_a_client(client: TestClient) -> None:
    def ask_oddly(number: int) -> None:
        client.request(f"METHOD{number}", f"/v1/models/{number}")
        client.request(f"METHOD{number}", f"/nowhere/{number}")
        client.get(f"/v1/models/m{number}", headers={"X-Request-ID": f"id{number}"})
        client.get(f"/v1/users/u{number}/recommendations?brands=b{number}")
        client.get(f"/v1/products/p{number}/similar?by=b{number}")
        client.post("/v1/recommendations", json={"reviews": [{"asin": f"p{number}"}], f"field{number}": 1})

    ask_oddly(10)
    samples(client)  # is a request, too
    before = samples(client).keys()
    for number in range(11, 30):
        ask_oddly(number)
    assert samples(client).keys() == before
    assert {dict(labels).get("method") for _, labels in before} == {None, "GET", "POST", "other"}


def test_answers_are_measured_step_by_step_and_counted(client: TestClient, recommender: ScriptedRecommender) -> None:
    client.post("/v1/recommendations", json=BODY)
    recommender.fallback = "popular"
    client.post("/v1/recommendations", json=BODY)
    client.get("/v1/products/search?q=amp")
    found = samples(client)
    sums = {
        step: found["gateway_step_seconds_sum", (("step", step),)]
        for step in ("text", "tower", "index", "ranker", "rest")
    }
    assert sums == pytest.approx({"text": 0.003, "tower": 0.006, "index": 0.0015, "ranker": 0.0, "rest": 0.00075})
    assert found["gateway_step_seconds_count", (("step", "index"),)] == 3
    assert found["gateway_products_total", (("source", "graph"),)] == 3
    assert found["gateway_fallbacks_total", (("fallback", "popular"),)] == 2
    assert found["gateway_ignored_reviews_total", ()] == 2
    assert found["gateway_serving_info", (("bundle", "b0"), ("index", "v1"), ("towers", "triton/3"))] == 1


def test_health_is_told_and_measured(client: TestClient, recommender: ScriptedRecommender) -> None:
    assert client.get("/health/ready").status_code == 200
    assert samples(client)["gateway_part_ready", (("part", "index"),)] == 1

    away = ComponentHealth(part="index", ready=False, needed=True, detail="the index is empty")
    recommender.health_now = Health(ready=False, parts=(away,))
    response = client.get("/health/ready")

    assert response.status_code == 503
    assert response.headers["Retry-After"] == "1"
    assert response.json()["parts"][0]["detail"] == "the index is empty"
    assert samples(client)["gateway_part_ready", (("part", "index"),)] == 0
    assert client.get("/health/live").json() == {"live": True}


class Waiting(ScriptedRecommender):
    """Answers when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self.started = asyncio.Semaphore(0)

    async def recommend(self, request: RecommendationRequest) -> RecommendationAnswer:
        self.started.release()
        await self.go.wait()
        return await super().recommend(request)


def test_requests_beyond_those_that_fit_are_turned_away_and_probes_are_not() -> None:
    async def ask() -> tuple[list[Any], Any, Any]:
        recommender = Waiting()
        application = create_application(
            ServingSettings.model_validate({"max_in_progress": 2, "retry_after_seconds": 3}), recommender
        )
        async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://gateway") as client:
            under_way = [asyncio.create_task(client.post("/v1/recommendations", json=BODY)) for _ in range(2)]
            for _ in under_way:
                await recommender.started.acquire()
            refused, probe = await client.get("/v1/models"), await client.get("/health/live")
            recommender.go.set()
            answers = [await task for task in under_way]
            answers.append(await client.get("/v1/models"))
            return answers, refused, probe

    answers, refused, probe = asyncio.run(ask())
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert (refused.status_code, refused.headers["Retry-After"], probe.status_code) == (503, "3", 200)
    assert refused.json()["request_id"] == refused.headers["X-Request-ID"]
