"""Reviews that are written while the service runs: kept, seen by the next answer here and by the one next door."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from rec_sys.contracts import LONGEST_ID
from rec_sys.inference.contract import RecommendationAnswer
from rec_sys.inference.recommender import Recommender
from rec_sys.serving.application import create_application
from rec_sys.store.store import prove_store
from tests.live_shops import TOKENS, Shop, wait_until
from tests.postgresql_servers import hung, new_database, postgresql_server


@pytest.fixture
def user(request: pytest.FixtureRequest) -> str:
    """Somebody who has written nothing yet."""
    return f"new {hash(request.node.nodeid)}"


def ask(client: TestClient, user_id: str, **params: Any) -> RecommendationAnswer:
    response = client.get(f"/v1/users/{user_id}/recommendations", params=params)
    assert response.status_code == 200, response.text
    return RecommendationAnswer.model_validate_json(response.content)


def write(client: TestClient, user_id: str, asin: Any = "p3", **review: Any) -> str:
    response = client.post("/v1/reviews", json={"user_id": user_id, "asin": asin, **review})
    assert response.status_code == 201, response.text
    [taken] = response.json()["reviews"]
    return str(taken["review_id"])


def test_the_next_answer_gives_a_written_review_as_a_reason(client: TestClient, user: str) -> None:
    assert client.get(f"/v1/users/{user}/recommendations").status_code == 404
    write(client, user, rating=5, title="Warm", text="Quiet & clear.")
    answer = ask(client, user)
    assert (answer.known_user, answer.basis, answer.reviews_used) == (True, "reviews", 1)
    assert "p3" not in {product.asin for product in answer.products}
    reasons = {(reason.asin, reason.snippet) for product in answer.products for reason in product.reasons}
    assert reasons == {("p3", "Warm. Quiet & clear.")}
    # As if it had been sent with the question.
    [listed] = client.get(f"/v1/users/{user}/reviews").json()["reviews"]
    review = {name: listed[name] for name in ("asin", "rating", "title", "text", "timestamp")}
    sent = client.post("/v1/recommendations", json={"reviews": [review]})
    assert [(p["asin"], pytest.approx(p["score"])) for p in sent.json()["products"]] == [
        (product.asin, product.score) for product in answer.products
    ]


def test_a_known_user_gets_another_answer_after_each_review(client: TestClient) -> None:
    before = ask(client, "user 3")
    first = write(client, "user 3", asin="p7", rating=1)
    after = ask(client, "user 3")
    assert after.reviews_used == before.reviews_used + 1
    assert [product.score for product in after.products] != [product.score for product in before.products]
    second = write(client, "user 3", asin="p9", rating=5)
    assert ask(client, "user 3").reviews_used == before.reviews_used + 2
    for review_id in (first, second):
        assert client.delete(f"/v1/users/user 3/reviews/{review_id}").status_code == 204
        assert client.delete(f"/v1/users/user 3/reviews/{review_id}").status_code == 404
    assert ask(client, "user 3").products == before.products


def test_a_review_counts_once_however_often_it_is_sent(client: TestClient, user: str) -> None:
    review = {"user_id": user, "asin": "p3", "rating": 4, "text": "Loud."}
    answers = [client.post("/v1/reviews", json=review).json() for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    once = ask(client, user)
    assert once.reviews_used == 1
    again = client.post(
        "/v1/recommendations", json={"user_id": user, "reviews": [{"asin": "p3", "rating": 4, "text": "Loud."}] * 60}
    )
    assert again.json()["reviews_used"] == 1
    assert [product["score"] for product in again.json()["products"]] == [product.score for product in once.products]


def test_a_request_with_a_key_is_taken_once(client: TestClient, user: str) -> None:
    key = {"Idempotency-Key": "order 17"}
    first = client.post("/v1/reviews", json={"user_id": user, "asin": "p3"}, headers=key)
    assert client.post("/v1/reviews", json={"user_id": user, "asin": "p3"}, headers=key).json() == first.json()
    other = client.post("/v1/reviews", json={"user_id": user, "asin": "p4"}, headers=key)
    assert (other.status_code, other.json()["where"]) == (422, "header Idempotency-Key")
    assert client.get(f"/v1/users/{user}/reviews").json()["total"] == 1


def test_several_reviews_are_taken_together_or_not_at_all(client: TestClient) -> None:
    good = [{"user_id": f"one of many {number}", "asin": "p1", "rating": 3} for number in range(1_000)]
    refused = client.post("/v1/reviews", json={"reviews": [*good[:2], {"user_id": "u3", "asin": "p1", "rating": 9}]})
    assert (refused.status_code, refused.json()["field"]) == (422, "reviews[2].rating")
    assert client.get("/v1/users/one of many 1/reviews").status_code == 404
    taken = client.post("/v1/reviews", json={"reviews": good}).json()["reviews"]
    first = taken[0]["sequence"]
    assert [review["sequence"] for review in taken] == list(range(first, first + 1_000))
    assert client.post("/v1/reviews", json={"reviews": [*good, good[0]]}).status_code == 422


@pytest.mark.parametrize(
    ("review", "field", "said"),
    [
        ({"rating": 7}, "reviews[0].rating", "outside the scale"),
        ({"timestamp": 1_600_000_000}, "reviews[0].timestamp", "1600000000000"),
        ({"text": "x" * 20_001}, "reviews[0].text", "20,000 are the most"),
        ({"text": "\ud800"}, "reviews[0].text", ""),
        ({"user_id": " "}, "reviews[0].user_id", "more than blanks"),
        ({"asin": "x" * (LONGEST_ID + 1)}, "reviews[0].asin", f"{LONGEST_ID} characters at most"),
        ({"stars": 5}, "reviews[0].stars", ""),
    ],
)
def test_what_training_would_not_take_is_refused_with_its_field(
    client: TestClient, review: dict[str, Any], field: str, said: str, user: str
) -> None:
    body = {"user_id": user, "asin": "p3", **review}
    response = client.post("/v1/reviews", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["field"]) == (422, field), response.text
    assert said in response.json()["error"]
    assert client.get(f"/v1/users/{user}/reviews").status_code == 404


def test_texts_lose_their_markup_as_in_training(client: TestClient, user: str) -> None:
    write(client, user, title="<b>Warm</b>", text="A &amp; B<br/>twice  over")
    [review] = client.get(f"/v1/users/{user}/reviews").json()["reviews"]
    assert (review["title"], review["text"]) == ("Warm", "A & B twice over")
    plain = client.post("/v1/recommendations", json={"reviews": [{"asin": "p3", "text": "A & B twice over"}]}).json()
    untidy = [{"asin": "p3", "text": "<i>A &amp; B</i><br>twice over"}]
    marked = client.post("/v1/recommendations", json={"reviews": untidy})
    assert marked.json()["products"] == plain["products"]


@pytest.mark.parametrize("user_id", ["a/b", "a b", "a%2Fb", "reviews/x", "ü/💥?#", "x" * LONGEST_ID])
def test_whatever_training_takes_as_an_id_can_be_asked_for(client: TestClient, user_id: str) -> None:
    write(client, f" {user_id} ", asin=12345, text="A product that nobody knows.")
    write(client, user_id, asin="p3")
    place = f"/v1/users/{quote(user_id, safe='')}"
    listed = client.get(f"{place}/reviews").json()
    assert (listed["user_id"], [review["asin"] for review in listed["reviews"]]) == (user_id, ["p3", "12345"])
    assert client.get(f"{place}/recommendations").json()["reviews_used"] == 2
    assert client.delete(f"{place}/reviews/{listed['reviews'][0]['review_id']}").status_code == 204
    assert client.delete(place).json() == {"written": 1, "trained": 0}


def test_a_users_reviews_are_listed_in_pages_the_latest_first(client: TestClient) -> None:
    trained = client.get("/v1/users/user 4/reviews").json()
    assert {review["source"] for review in trained["reviews"]} == {"trained"}
    times = [review["timestamp"] for review in trained["reviews"]]
    assert times == sorted(times, reverse=True)
    for asin in ("p1", "p2"):
        write(client, "user 4", asin=asin)
    listed = client.get("/v1/users/user 4/reviews").json()
    assert listed["total"] == trained["total"] + 2
    assert [review["asin"] for review in listed["reviews"][:2]] == ["p2", "p1"]
    pages = [
        client.get("/v1/users/user 4/reviews", params={"limit": 1, "offset": offset}).json()["reviews"]
        for offset in range(listed["total"] + 1)
    ]
    assert [review for page in pages for review in page] == listed["reviews"]


def test_a_forgotten_user_is_unknown_and_may_begin_anew(client: TestClient) -> None:
    write(client, "user 5", asin="p1", text="Unmistakable words.")
    trained = client.get("/v1/users/user 5/reviews").json()["total"] - 1
    assert client.delete("/v1/users/user 5").json() == {"written": 1, "trained": trained}
    for address in ("recommendations", "reviews"):
        assert client.get(f"/v1/users/user 5/{address}").status_code == 404
    assert client.delete("/v1/users/user 5").status_code == 404
    write(client, "user 5", asin="p2")
    assert ask(client, "user 5").reviews_used == 1
    assert client.get("/v1/users/user 5/reviews").json()["total"] == 1


def test_two_gateways_on_one_store_see_what_the_other_takes(shop: Shop, url: str, user: str) -> None:
    with shop.served(url) as one, shop.served(url) as other:
        review_id = write(one, user, asin="p3")
        wait_until(lambda: other.get(f"/v1/users/{user}/recommendations").status_code == 200)
        assert other.delete(f"/v1/users/{user}/reviews/{review_id}").status_code == 204
        wait_until(lambda: one.get(f"/v1/users/{user}/recommendations").status_code == 404)
        assert one.delete("/v1/users/user 6").status_code == 200
        wait_until(lambda: other.get("/v1/users/user 6/recommendations").status_code == 404)
    with shop.served(url) as later:
        assert later.get("/v1/users/user 6/recommendations").status_code == 404


def test_many_who_write_at_once_are_all_kept(client: TestClient) -> None:
    with ThreadPoolExecutor(8) as threads:
        ids = list(threads.map(lambda number: write(client, f"writer {number}", asin="p1"), range(64)))
    assert len(set(ids)) == 64
    assert all(ask(client, f"writer {number}").reviews_used == 1 for number in range(64))


def test_who_may_only_read_writes_nothing(shop: Shop, url: str, user: str) -> None:
    with shop.served(url, f"serving.tokens={TOKENS}") as client:
        reader, writer = ({"Authorization": f"Bearer {name}-secret"} for name in ("read", "write"))
        body = {"user_id": user, "asin": "p3"}
        assert client.post("/v1/reviews", json=body).status_code == 401
        refused = client.post("/v1/reviews", json=body, headers=reader)
        assert refused.status_code == 403
        assert refused.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="write"'
        assert client.delete("/v1/users/user 3", headers=reader).status_code == 403
        assert client.delete("/v1/users/user 3/reviews/x", headers=reader).status_code == 403
        assert client.get("/v1/users/user 3/reviews", headers=reader).status_code == 200
        assert client.post("/v1/reviews", json=body, headers=writer).status_code == 201


def test_a_store_that_is_away_is_named_and_answers_go_on_without_it(shop: Shop, tmp_path: Path, user: str) -> None:
    folder = tmp_path / "later"
    url = f"store.url=sqlite:///{folder / 'store.db'}"
    settings = shop.settings(url, "store.poll_seconds=0.05")
    prove_store(settings.store, settings.output_dir)  # it may come later
    recommender = Recommender(settings.index, settings.inference, settings.output_dir, None, settings.store)
    with TestClient(create_application(settings.serving, recommender)) as client:
        health = client.get("/health/ready")
        assert health.status_code == 503
        assert [part["part"] for part in health.json()["parts"] if not part["ready"]] == ["store"]
        assert client.post("/v1/recommendations", json={"reviews": [{"asin": "p3"}]}).status_code == 200
        # Nobody knows whether they are forgotten.
        assert client.get("/v1/users/user 3/recommendations").status_code == 503
        written = client.post("/v1/reviews", json={"user_id": user, "asin": "p3"})
        assert (written.status_code, written.headers["Retry-After"]) == (503, "2")
        folder.mkdir()
        wait_until(lambda: client.get("/health/ready").status_code == 200)
        write(client, user)
        assert ask(client, user).reviews_used == 1


def test_a_store_that_hangs_holds_up_nobody_who_only_asks(shop: Shop, user: str) -> None:
    with postgresql_server() as server:
        if "host=/" not in server:
            pytest.skip("only a server of our own is brought to a standstill")
        url = f"store.url='{new_database(server)}'"
        with shop.served(url, "store.timeout_seconds=0.5", "store.poll_seconds=0.05") as client:
            write(client, user)
            with hung(server):
                began = time.monotonic()
                for number in range(8):  # more than may be under way at once
                    written = client.post("/v1/reviews", json={"user_id": user, "asin": f"p{number + 10}"})
                    assert (written.status_code, written.headers["Retry-After"]) == (503, "2")
                    assert ask(client, user).reviews_used == 1
                ready = client.get("/health/ready")
                assert ready.status_code == 200
                [store] = [part for part in ready.json()["parts"] if part["part"] == "store"]
                assert (store["ready"], store["needed"]) == (False, False)
                assert time.monotonic() - began < 30
            wait_until(lambda: client.post("/v1/reviews", json={"user_id": user, "asin": "p20"}).status_code == 201)
            wait_until(lambda: "p20" in _listed(client, user))
            listed = _listed(client, user)
            assert len(listed) == len(set(listed))  # what was refused may be there, but once


def _listed(client: TestClient, user: str) -> list[str]:
    return [review["asin"] for review in client.get(f"/v1/users/{user}/reviews").json()["reviews"]]


def test_without_a_store_nothing_can_be_written(shop: Shop, user: str) -> None:
    with shop.served("store=none") as client:
        assert client.post("/v1/reviews", json={"user_id": user, "asin": "p3"}).status_code == 404
        assert client.get("/v1/users/user 3/recommendations").status_code == 200
