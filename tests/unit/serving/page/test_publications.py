"""What stands behind the model at the page: shown to all who may read, decided by who may administrate alone."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from rec_sys.inference.contract import ServingUnavailable
from rec_sys.serving.application import create_application
from rec_sys.settings import Address, ServingSettings, TrackingSettings
from tests.scripted_recommender import ScriptedRecommender
from tests.unit.serving.conftest import Start
from tests.unit.serving.page.test_sessions import TOKENS, sign_in

ADMIN: dict[str, Any] = {"name": "chief", "token": "admin-secret", "scopes": ["read", "admin"]}


@pytest.fixture
def service(start: Start) -> TestClient:
    client = start(tokens=[*TOKENS, ADMIN])
    client.follow_redirects = False
    return client


def test_only_an_administrator_goes_back(service: TestClient, recommender: ScriptedRecommender) -> None:
    assert service.post("/models/rollback", data={"version": "v1"}).headers["Location"] == "/sign-in"
    for token in ("read-secret", "write-secret"):
        sign_in(service, token)
        shown = service.get("/models").text
        assert ("b1" in shown, "0.2500" in shown, "/models/rollback" in shown) == (True, True, False)
        assert service.get("/models/rollback?version=v1").status_code == 403
        assert service.post("/models/rollback", data={"version": "v1"}).status_code == 403
    assert recommender.publications.went_back == []
    sign_in(service, "admin-secret")
    assert service.get("/models").text.count("/models/rollback?version=v1") == 1
    question = service.get("/models/rollback?version=v1").text
    assert ('action="/models/rollback"' in question, "b0, version v1" in question) == (True, True)
    assert service.post("/models/rollback", data={"version": "v1"}).headers["Location"] == "/models?said=went-back"
    assert "answers from the next question on" in service.get("/models?said=went-back").text
    assert service.get("/models/rollback?version=v2").status_code == 404  # it is live
    assert service.get("/models/rollback?version=v9").status_code == 404
    assert recommender.publications.went_back == ["v1"]


def test_the_gate_of_a_refresh_is_shown_with_its_error(client: TestClient) -> None:
    shown = client.get("/models").text
    assert "0.3100" in shown
    assert "+0.0100 ± 0.0100" in shown


def test_of_a_runs_files_those_that_are_shown_can_be_opened_and_nothing_else(client: TestClient) -> None:
    assert "/models/pictures/curves.png" in client.get("/models").text
    picture = client.get("/models/pictures/curves.png")
    assert (picture.status_code, picture.headers["Content-Type"]) == (200, "image/png")
    report = client.get("/models/reports/sample-x")
    # Its script is one that nobody here has written: it runs, and reaches nothing.
    assert report.headers["Content-Security-Policy"].startswith("sandbox allow-scripts; default-src 'none'")
    for name in ("other.png", "..%2F..%2Fpyproject.toml", "%2Fetc%2Fpasswd", "manifest.json"):
        assert client.get(f"/models/pictures/{name}").status_code == 404
        assert client.get(f"/models/reports/{name}").status_code == 404


def test_where_the_folders_are_elsewhere_the_page_says_so(client: TestClient, recommender: ScriptedRecommender) -> None:
    recommender.publications.failure = ServingUnavailable(
        "the index is away", component="index", where="x", remedy="start it", retry_after=1
    )
    shown = client.get("/models")
    assert shown.status_code == 200
    assert "the index is away" in shown.text
    assert "They cannot be looked at from here" in shown.text


@pytest.mark.parametrize(
    ("uri", "link"),
    [("http://ann:secret@runs.example:5000/?token=x", "http://runs.example:5000/"), ("sqlite:///runs.db", None)],
)
def test_mlflow_is_linked_to_without_its_password(uri: str, link: str | None, recommender: ScriptedRecommender) -> None:
    tracking = TrackingSettings(uri=Address(uri))
    application = create_application(ServingSettings(), recommender, tracking=tracking)  # type: ignore[arg-type]
    with TestClient(application) as client:
        shown = client.get("/models").text
    elsewhere = tracking.model_copy(update={"page_uri": Address("http://127.0.0.1:5000")})
    application = create_application(ServingSettings(), recommender, tracking=elsewhere)  # type: ignore[arg-type]
    with TestClient(application) as client:
        assert 'href="http://127.0.0.1:5000"' in client.get("/models").text
    assert (f'href="{link}"' in shown) == (link is not None)
    assert "secret" not in shown
