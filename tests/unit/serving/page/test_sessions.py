"""The page shows nothing but the sign-in to whoever has no token, and no other site can use a browser's session."""

import html
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from starlette.testclient import TestClient

from rec_sys.serving.page.sessions import COOKIE
from tests.scripted_recommender import KNOWN_USER, PRODUCT, ScriptedRecommender
from tests.unit.serving.conftest import Start

TOKENS = [
    {"name": "reader", "token": "read-secret"},
    {"name": "writer", "token": "write-secret", "scopes": ["read", "write"]},
]
VIEWS = ["/", f"/?user_id={KNOWN_USER}", "/suggestions?find=guitar", "/compare?user_id=u1", "/understand?user_id=u1"]
VIEWS += ["/product?asin=p1", "/map", "/models"]
FAULTY = ["/compare?user_id=nobody", "/product", "/?user_id=" + "x" * 2000]
REVIEW = {"user_id": KNOWN_USER, "new_asin": "p1", "new_stars": "5", "new_text": "Lovely", "do": "add"}


@pytest.fixture
def guarded(start: Start) -> TestClient:
    client = start(tokens=TOKENS)
    client.follow_redirects = False
    return client


def sign_in(client: TestClient, token: str) -> None:
    response = client.post("/sign-in", data={"token": token})
    assert (response.status_code, response.headers["Location"]) == (303, "/")


@pytest.mark.parametrize("view", VIEWS)
def test_without_a_token_there_is_only_the_sign_in(
    view: str, guarded: TestClient, recommender: ScriptedRecommender
) -> None:
    response = guarded.get(view)
    assert (response.status_code, response.text) == (303, "")
    assert response.headers["Location"] == ("/sign-in" if view == "/" else f"/sign-in?{urlencode({'next': view})}")
    assert guarded.post("/", data=REVIEW).headers["Location"] == "/sign-in"
    assert recommender.asked == []
    shown = guarded.get("/sign-in").text
    assert 'name="token"' in shown
    assert "<nav" not in shown


@pytest.mark.parametrize("asked", ["/shop?find=capo&skip=25", "/?user_id=%C3%A4", "/docs"])
def test_who_has_signed_in_lands_where_they_were_going(asked: str, guarded: TestClient) -> None:
    for token, status in {"guessed-secret": 401, "\tread-secret \r\n": 303}.items():
        shown = guarded.get("/sign-in", params={"next": asked}).text
        assert f'name="next" value="{html.escape(asked)}"' in shown
        response = guarded.post("/sign-in", data={"token": token, "next": asked})
        assert response.status_code == status
    assert response.headers["Location"] == asked
    assert guarded.get(asked).status_code in (200, 404)


@pytest.mark.parametrize(
    "asked",
    [
        *("//elsewhere.example", "/\\elsewhere.example", "/\t/elsewhere.example", "https://elsewhere.example", "shop"),
        *("", "javascript:alert(1)", "\n//elsewhere.example", "/" + "x" * 3000),
    ],
)
def test_a_sign_in_leads_nowhere_else(asked: str, guarded: TestClient, client: TestClient) -> None:
    assert 'name="next" value="/"' in guarded.get("/sign-in", params={"next": asked}).text
    response = guarded.post("/sign-in", data={"token": "read-secret", "next": asked})
    assert response.headers["Location"] == "/"
    assert client.get("/sign-in", params={"next": asked}, follow_redirects=False).headers["Location"] == "/"


def test_a_token_that_is_not_known_is_refused_where_it_was_given(guarded: TestClient) -> None:
    response = guarded.post("/sign-in", data={"token": "guessed-secret"})
    assert response.status_code == 401
    assert "the token is not known" in response.text
    assert "guessed-secret" not in response.text
    assert COOKIE not in guarded.cookies


def test_a_session_is_a_cookie_that_scripts_and_other_sites_cannot_use(guarded: TestClient) -> None:
    response = guarded.post("/sign-in", data={"token": "read-secret"})
    cookie = response.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert "read-secret" not in cookie
    assert guarded.get("/").status_code == 200
    # The API knows no cookie, so that no other site's request can be one of this session.
    assert guarded.get("/v1/models").status_code == 401
    stolen = guarded.cookies[COOKIE]
    assert guarded.post("/sign-out").headers["Location"] == "/sign-in"
    assert guarded.get("/", headers={"Cookie": f"{COOKIE}={stolen}"}).status_code == 303


def test_a_session_ends_with_its_token(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    client = start(tokens=[{"name": "soon", "token": "soon-secret", "expires": soon.isoformat()}])
    client.follow_redirects = False
    sign_in(client, "soon-secret")
    assert client.get("/").status_code == 200
    monkeypatch.setattr("rec_sys.serving.authentication.datetime", _Later)
    assert client.get("/").status_code == 303


class _Later(datetime):
    @classmethod
    def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
        return datetime.now(UTC) + timedelta(hours=2)


def test_a_read_token_keeps_no_review_and_removes_none(
    guarded: TestClient, recommender: ScriptedRecommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = []

    async def take(new: object, key: str | None = None) -> None:
        kept.append(new)

    monkeypatch.setattr(recommender.records, "take", take)
    sign_in(guarded, "read-secret")
    assert "counts on this page alone" in guarded.post("/", data=REVIEW).text
    assert kept == []
    refused = guarded.post("/", data={"user_id": KNOWN_USER, "do": "take-back:r1"})
    assert refused.status_code == 403
    assert "the token of reader may not write" in refused.text
    sign_in(guarded, "write-secret")
    assert guarded.post("/", data=REVIEW).headers["Location"] == f"/?user_id={KNOWN_USER}"
    assert len(kept) == 1
    assert guarded.post("/", data={"user_id": KNOWN_USER, "do": "take-back:r1"}).status_code == 303


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://elsewhere.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_a_form_of_another_site_is_refused(headers: dict[str, str], client: TestClient) -> None:
    refused = client.post("/", data=REVIEW, headers=headers)
    assert refused.status_code == 403
    assert "another site sent this form" in refused.text
    own = {"Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"}
    assert client.post("/", data={"find": "guitar"}, headers=own).status_code == 200


def test_a_session_asks_no_more_often_than_its_token(start: Start) -> None:
    client = start(tokens=TOKENS, token_rate=2)
    sign_in_once = client.post("/sign-in", data={"token": "read-secret"}, follow_redirects=False)
    assert sign_in_once.status_code == 303
    assert [client.get("/suggestions?find=g").status_code for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize(
    "address",
    [*VIEWS, *FAULTY, "/sign-in"],
)
def test_every_page_may_load_nothing_from_elsewhere(address: str, start: Start) -> None:
    client = start(tokens=TOKENS)
    client.post("/sign-in", data={"token": "read-secret"})
    headers = client.get(address).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "img-src", "connect-src", "form-action")} == {"'self'"}
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")


def test_what_people_write_is_escaped_and_a_fault_is_said_where_it_belongs(
    client: TestClient, recommender: ScriptedRecommender
) -> None:
    attack = "\"'><script>hacked()</script>"
    shown = client.post("/", data={"asin": attack, "stars": "5", "text": attack, "find": attack, "skip": attack}).text
    assert "<script>hacked" not in shown
    assert shown.count("&lt;script&gt;hacked") >= 5
    wrong = client.post("/", data={**REVIEW, "user_id": "", "new_stars": "many"})
    assert wrong.status_code == 422
    assert wrong.text.index("A review") < wrong.text.index("rating takes a number") < wrong.text.index("Products")
    assert PRODUCT.title is not None
    assert PRODUCT.title in wrong.text  # the products stay
    assert "no product is chosen" in client.post("/", data={"do": "add"}).text
