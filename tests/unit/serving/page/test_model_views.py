"""Drawings and tables of the views say what they are made from."""

from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from rec_sys.inference.contract import ProductsAnswer, StepTimes
from rec_sys.serving.metrics import STEPS, GatewayMetrics
from rec_sys.serving.page.neighbour_drawing import draw
from rec_sys.serving.page.step_latency import requests_answered, step_latencies
from tests.scripted_recommender import PRODUCT, TIMES, VERSIONS, ScriptedRecommender


def test_the_nearest_has_the_thickest_line_and_long_titles_are_cut() -> None:
    near = replace(PRODUCT, score=0.8, title="A guitar whose name goes on and on and on and on")
    far = replace(PRODUCT, score=0.2, title=None)
    drawing = draw([near, far], [far])
    first, second, alone = drawing.neighbours
    assert first.thickness == 4 * second.thickness
    assert first.y < second.y
    assert (first.kind, alone.kind, alone.y) == ("graph", "memory", drawing.height / 2)
    assert first.label.endswith("…")
    assert second.label == PRODUCT.asin
    assert draw([], []).neighbours == ()


def test_steps_are_read_off_the_histograms() -> None:
    metrics = GatewayMetrics()
    answer = ProductsAnswer(products=(), versions=VERSIONS, times=TIMES)
    for _ in range(99):
        metrics.count_answer(answer)
    slow = StepTimes(text=60_000)
    metrics.count_answer(answer.model_copy(update={"times": slow}))
    found = {one.step: one for one in step_latencies(metrics)}
    assert tuple(found) == STEPS
    assert found["tower"].count == 100
    assert found["tower"].mean == pytest.approx(0.99 * TIMES.tower)
    assert found["tower"].most == 2.0
    assert found["text"].most == 1.0  # one slow answer of a hundred does not move it
    metrics.requests.labels("GET", "/", "200").inc(3)
    metrics.requests.labels("GET", "/", "404").inc()
    assert requests_answered(metrics) == {"2xx": 3, "4xx": 1}
    assert [one.most for one in step_latencies(GatewayMetrics())] == [None] * len(STEPS)


def test_a_part_that_is_away_is_told(client: TestClient, recommender: ScriptedRecommender) -> None:
    assert "Answers can be given" in client.get("/models").text
    [part] = recommender.health_now.parts
    away = part.model_copy(update={"ready": False, "detail": "the disk is gone"})
    recommender.health_now = recommender.health_now.model_copy(update={"ready": False, "parts": (away,)})
    shown = client.get("/models")
    assert shown.status_code == 503
    assert "Answers cannot be given now" in shown.text
    assert "the disk is gone" in shown.text


def test_whoever_is_unknown_is_told_beside_the_form(client: TestClient) -> None:
    for view in ("/compare", "/understand"):
        assert client.get(view).status_code == 200
    shown = client.get("/compare?user_id=nobody")
    assert shown.status_code == 404
    assert "there is no user nobody" in shown.text
    assert 'value="nobody"' in shown.text
