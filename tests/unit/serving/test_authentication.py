"""Who is let in, who is not, and what they are told."""

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from starlette.testclient import TestClient

from rec_sys.serving.application import create_application
from rec_sys.serving.authentication import BearerAuth
from rec_sys.serving.problems import Refusal
from rec_sys.serving.token_rates import TokenRates
from rec_sys.serving.worker_memory import WorkerMemory
from rec_sys.settings import ServingSettings
from tests.scripted_recommender import ScriptedRecommender
from tests.unit.serving.conftest import Start

NOW = datetime(2026, 6, 1, tzinfo=UTC)
TOKENS = [
    {"name": "shop", "token": "shop-secret"},
    {"name": "past", "token": "past-secret", "expires": "2026-05-31T23:59:59Z"},
    {"name": "soon", "token": "soon-secret", "expires": "2026-06-01T00:00:01Z"},
    {"name": "now", "token": "now--secret", "expires": "2026-06-01T00:00:00Z"},
]


def gatekeeper(**settings: Any) -> BearerAuth:
    return BearerAuth(ServingSettings.model_validate(settings), now=lambda: NOW)


def test_without_tokens_everybody_is_let_in() -> None:
    assert gatekeeper().admit(None).name is None
    assert gatekeeper(token="").admit("whatever").name is None


def test_a_bearer_is_known_by_the_name_of_the_token() -> None:
    keeper = gatekeeper(token="first-secret", tokens=TOKENS)
    assert [keeper.admit(f"{name}-secret").name for name in ("first", "shop", "soon")] == ["token", "shop", "soon"]


@pytest.mark.parametrize(
    ("token", "said"),
    [
        (None, "a token is needed"),
        ("", "not known"),
        ("shop-secre", "not known"),
        ("shop-secret ", "not known"),
        ("shöp-secret", "not known"),
        ("past-secret", "expired at 2026-05-31T23:59:59+00:00"),
        ("now--secret", "expired at 2026-06-01"),
    ],
)
def test_others_are_refused_and_told_why(token: str | None, said: str) -> None:
    with pytest.raises(Refusal) as refused:
        gatekeeper(tokens=TOKENS).admit(token)
    assert refused.value.status_code == 401
    assert said in refused.value.error
    assert "secret" not in refused.value.error + refused.value.remedy


def test_the_service_asks_for_a_token_but_not_of_probes(start: Start) -> None:
    client = start(tokens=[{"name": "old", "token": "old-secret", "expires": str(NOW - timedelta(days=9999))}])

    missing = client.get("/v1/models")
    expired = client.get("/v1/models", headers={"Authorization": "Bearer old-secret"})
    other_scheme = client.get("/v1/models", headers={"Authorization": "Basic old-secret"})

    assert (missing.status_code, missing.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert expired.status_code == 401
    assert "expired" in expired.json()["error"]
    assert "expired" in expired.headers["WWW-Authenticate"]
    assert other_scheme.json()["error"] == "a token is needed"
    assert [client.get(path).status_code for path in ("/health/live", "/health/ready", "/metrics")] == [200] * 3


def test_every_address_that_answers_products_or_models_is_guarded(start: Start) -> None:
    client = start(token="the-secret")
    paths = client.get("/openapi.json").json()["paths"]
    calls = [(method, path) for path, methods in paths.items() if path.startswith("/v1/") for method in methods]
    assert len(calls) == 16
    for method, path in calls:
        assert client.request(method, path, json={}).status_code == 401, path
        headers = {"Authorization": "Bearer the-secret"}
        assert client.request(method, path, json={}, headers=headers).status_code != 401, path


def test_a_route_is_guarded_by_itself_behind_a_prefix(recommender: ScriptedRecommender) -> None:
    application = create_application(ServingSettings.model_validate({"token": "the-secret"}), recommender)
    with TestClient(application, root_path="/shop") as client:
        for path in ("/shop/v1/models", "/v1/models"):
            assert client.get(path).status_code == 401
            assert client.get(path, headers={"Authorization": "Bearer the-secret"}).status_code != 401


@pytest.mark.parametrize("token", ["", "Bearer another-secret"])
def test_the_token_comes_first_whatever_is_asked(start: Start, token: str) -> None:
    client = start(token="the-secret", max_body_bytes=1_000)
    headers = {"Authorization": token} if token else {}
    json, large = headers | {"Content-Type": "application/json"}, "x" * 5_000
    asked = [
        *(client.post("/v1/recommendations", content=body, headers=json) for body in ("{", '{"limit": 0}', large)),
        *(client.get(f"/v1/{path}", headers=headers) for path in ("products/search", "recommendations", "no/such")),
        client.get(f"/v1/users/{'u' * 300}/recommendations?limit=0", headers=headers),
        client.delete("/v1/models", headers=headers),
    ]
    assert [response.status_code for response in asked] == [401] * len(asked)
    for response in asked:
        assert response.json().keys() >= {"error", "where", "remedy", "request_id"}
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
        assert response.json()["request_id"] == response.headers["X-Request-ID"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"token": "short"}, "8 characters"),
        ({"tokens": [{"name": "a", "token": "short"}]}, "at least 8"),
        ({"tokens": [{"name": "a", "token": "long-enough", "expires": "2026-05-31T23:59:59"}]}, "timezone"),
        ({"tokens": [{"name": "a", "token": "long-enough"}, {"name": "a", "token": "long-enough-2"}]}, "different"),
    ],
)
def test_tokens_that_cannot_be_meant_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ServingSettings.model_validate(settings)


def test_no_token_stands_in_what_is_printed_of_the_settings() -> None:
    assert "secret" not in repr(ServingSettings.model_validate({"token": "first-secret", "tokens": TOKENS}))


def test_a_token_may_ask_so_often_and_no_more_while_others_still_may(start: Start) -> None:
    tokens = [{"name": name, "token": f"{name}-secret"} for name in ("busy", "calm")]
    client = start(tokens=tokens, token_rate=3)
    busy, calm = ({"Authorization": f"Bearer {name}-secret"} for name in ("busy", "calm"))
    asked = [client.get("/v1/models", headers=busy) for _ in range(10)]
    assert [response.status_code for response in asked[:3]] == [200] * 3
    assert asked[-1].status_code == 429
    assert asked[-1].headers["Retry-After"] == "1"
    assert client.get("/v1/models", headers=calm).status_code == 200
    assert client.get("/v1/models").status_code == 401
    assert client.get("/health/live", headers=busy).status_code == 200


@pytest.mark.parametrize(("a_second", "at_once"), [(3.0, 3), (0.5, 1)])
def test_a_rate_is_kept_over_time(a_second: float, at_once: int) -> None:
    now = 100.0
    rates = TokenRates(a_second, ["shop"], clock=lambda: now)

    def take(times: int) -> None:
        for _ in range(times):
            rates.take("shop")
        with pytest.raises(Refusal, match="requests a second") as refused:
            rates.take("shop")
        assert (refused.value.headers or {})["Retry-After"] == str(math.ceil(1 / a_second))

    take(at_once)
    now += 1 / a_second
    take(1)
    now += 1_000
    take(at_once)


def test_workers_count_together(tmp_path: Path) -> None:
    first, second = (TokenRates(2, ["till", "shop"], WorkerMemory(tmp_path, at, 2), lambda: 100.0) for at in (0, 1))
    for rates in (first, second):
        rates.take("shop")
    for rates in (first, second):
        with pytest.raises(Refusal, match="requests a second"):
            rates.take("shop")
        rates.take("till")


def test_without_a_rate_or_a_token_nobody_is_counted() -> None:
    for rates, bearer in ((TokenRates(None), "shop"), (TokenRates(1), None)):
        for _ in range(100):
            rates.take(bearer)
