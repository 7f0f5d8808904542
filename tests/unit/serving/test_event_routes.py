"""What becomes of answers, counted by what spoke for their products."""

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from rec_sys.inference.contract import ProductsAnswer
from rec_sys.serving.recent_answers import ANSWERED_BY, SOURCES, UNKNOWN, RecentAnswers
from rec_sys.serving.worker_memory import WorkerMemory
from tests.scripted_recommender import PRODUCT, TIMES, VERSIONS


def counted(client: TestClient) -> dict[tuple[str, ...], float]:
    """What /metrics says of events: by name, event, source and model."""
    names = {"gateway_events_total", "gateway_click_through", "gateway_conversion"}
    return {
        (sample.name, *(sample.labels[name] for name in ("event", "source", "model") if name in sample.labels)): (
            sample.value
        )
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
        if sample.name in names
    }


def test_events_are_counted_by_the_source_and_the_model_of_the_answer_that_they_name(client: TestClient) -> None:
    asked = {
        "hybrid": client.get("/v1/users/u1/recommendations"),
        "search": client.get("/v1/products/search?q=strings"),
    }
    ids = {model: answer.headers["X-Request-ID"] for model, answer in asked.items()}
    events = [
        *({"event": "impression", "request_id": ids["hybrid"], "asin": asin} for asin in ("p2", "p3")),
        {"event": "impression", "request_id": ids["search"], "asin": "p2"},
        {"event": "click", "request_id": ids["hybrid"], "asin": "p2"},
        {"event": "click", "request_id": "long-ago", "asin": "p2"},
        {"event": "order", "request_id": ids["hybrid"], "asin": "p2", "timestamp": 1},
        {"event": "order", "request_id": ids["hybrid"], "asin": "p2", "timestamp": 2},
    ]
    for _ in range(2):  # what is sent again counts once
        assert client.post("/v1/events", json={"events": events}).status_code == 201
    name = "gateway_events_total"
    assert counted(client) == {
        (name, "impression", "graph", "hybrid"): 1,
        (name, "impression", "graph", "search"): 1,
        (name, "impression", UNKNOWN, "hybrid"): 1,  # it was not in that answer
        (name, "click", "graph", "hybrid"): 1,
        (name, "click", UNKNOWN, UNKNOWN): 1,
        (name, "order", "graph", "hybrid"): 2,
        ("gateway_click_through", "graph", "hybrid"): 1,
        ("gateway_click_through", "graph", "search"): 0,
        ("gateway_click_through", UNKNOWN, "hybrid"): 0,
        ("gateway_conversion", "graph", "hybrid"): 2,
        ("gateway_conversion", UNKNOWN, UNKNOWN): 0,
    }
    assert {labels[-2:] for labels in counted(client)} <= {(one, by) for one in SOURCES for by in ANSWERED_BY}


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ({"event": "view"}, "events[0].event"),
        ({"request_id": "two words"}, "events[0].request_id"),
        ({"asin": ""}, "events[0].asin"),
        ({"user_id": "ada"}, "events[0].user_id"),
    ],
)
def test_what_is_no_event_is_refused(client: TestClient, event: dict[str, str], field: str) -> None:
    sent = {"event": "click", "request_id": "r", "asin": "p1", **event}
    refused = client.post("/v1/events", json=sent)
    assert (refused.status_code, refused.json()["field"]) == (422, field)
    assert client.post("/v1/events", json={"events": []}).status_code == 422


def test_only_the_newest_answers_are_kept() -> None:
    recent = RecentAnswers(kept=2)
    answer = ProductsAnswer(products=(PRODUCT,), versions=VERSIONS, times=TIMES)
    for request_id in ("a", "b", "c"):
        recent.keep(request_id, answer, "similar")
    assert [recent.of(request_id, "p2") for request_id in ("a", "b", "c")] == [
        (UNKNOWN, UNKNOWN),
        *[("graph", "similar")] * 2,
    ]
    recent.keep("c", answer.model_copy(update={"products": ()}), "search")
    assert recent.of("c", "p2") == (UNKNOWN, "search")  # an id that is used again names the last answer


def test_an_answer_of_one_worker_is_known_to_the_others_and_to_who_comes_after_it(tmp_path: Path) -> None:
    answer = ProductsAnswer(products=(PRODUCT,), versions=VERSIONS, times=TIMES)
    RecentAnswers(WorkerMemory(tmp_path, 1, 2)).keep("a", answer, "search")
    RecentAnswers(WorkerMemory(tmp_path, 1, 2)).keep("b", answer, "similar")
    recent = RecentAnswers(WorkerMemory(tmp_path, 0, 2))
    assert [recent.of(request_id, "p2") for request_id in ("a", "b", "c")] == [
        *(("graph", "search"), ("graph", "similar"), (UNKNOWN, UNKNOWN))
    ]
