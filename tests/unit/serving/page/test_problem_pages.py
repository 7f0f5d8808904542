"""Errors before a view: pages for those who ask for pages, JSON for programs, whoever has met them."""

import pytest
from starlette.testclient import TestClient

from tests.scripted_recommender import ScriptedRecommender
from tests.unit.serving.conftest import Start

BROWSER = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}


@pytest.mark.parametrize(
    ("method", "address", "status", "words"),
    [
        ("GET", "/nowhere?x=<script>", 404, "there is nothing at this address"),
        ("DELETE", "/map", 405, "DELETE is not understood here"),
        ("POST", "/", 413, "the body is larger than 1,000 bytes"),
        ("GET", "/page-files/nothing.css", 404, "there is nothing at this address"),
    ],
)
def test_a_browser_gets_a_page_and_a_program_json(
    method: str, address: str, status: int, words: str, start: Start
) -> None:
    client = start(max_body_bytes=1_000)
    body = "x" * 2_000 if status == 413 else None
    shown = client.request(method, address, content=body, headers=BROWSER)
    assert (shown.status_code, shown.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert words in shown.text
    assert shown.headers["X-Request-ID"] in shown.text
    assert shown.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert int(shown.headers["Content-Length"]) == len(shown.content)
    said = client.request(method, address, content=body)
    assert (said.status_code, said.headers["Content-Type"]) == (status, "application/problem+json")
    assert words in said.json()["error"]


def test_the_addresses_of_programs_answer_json_whoever_asks(client: TestClient) -> None:
    for address in ("/v1/nowhere", "/v1/users/nobody/recommendations"):
        assert client.get(address, headers=BROWSER).json()["status"] == 404


def test_a_failure_is_a_page_with_the_requests_id(start: Start, recommender: ScriptedRecommender) -> None:
    client = start()
    recommender.failure = RuntimeError("of ours")
    shown = client.get("/", headers=BROWSER)
    assert (shown.status_code, shown.headers["Content-Type"]) == (500, "text/html; charset=utf-8")
    assert shown.headers["X-Request-ID"] in shown.text
    assert "of ours" not in shown.text
