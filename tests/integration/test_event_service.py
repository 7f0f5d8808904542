"""What becomes of answers, sent to a gateway: kept once, whoever else reads the log."""

import pytest
from starlette.testclient import TestClient

from rec_sys.store.store import Store
from tests.live_shops import TOKENS, Shop


def answered(client: TestClient, user_id: str = "user 3") -> tuple[str, list[str]]:
    """The request id of an answer, and its products."""
    answer = client.get(f"/v1/users/{user_id}/recommendations")
    return answer.headers["X-Request-ID"], [product["asin"] for product in answer.json()["products"]]


def test_an_event_is_kept_once_and_survives_the_gateway(shop: Shop, url: str) -> None:
    with shop.served(url) as client:
        request_id, products = answered(client)
        seen = [{"event": "impression", "request_id": request_id, "asin": asin} for asin in products]
        sent = {"events": [*seen, {"event": "click", "request_id": request_id, "asin": products[0]}]}
        taken = client.post("/v1/events", json=sent)
        assert (taken.status_code, len(taken.json()["events"])) == (201, len(products) + 1)
        assert client.post("/v1/events", json=sent).json() == taken.json()
        [click] = client.post("/v1/events", json=sent["events"][-1]).json()["events"]
        assert click == taken.json()["events"][-1]
        key = {"Idempotency-Key": "day 1"}
        keyed = [client.post("/v1/events", json=sent["events"][0], headers=key).json() for _ in range(2)]
        assert keyed[0] == keyed[1] == {"events": taken.json()["events"][:1]}
        assert client.post("/v1/events", json=sent["events"][1], headers=key).status_code == 422
        shown = client.get("/metrics").text
        assert 'gateway_click_through{model="hybrid"' in shown
    settings = shop.settings(url).store
    with Store(settings, shop.output_dir) as store:
        kept = [change.event for change in store.changes_since(0)]
    assert [(event.event, event.asin) for event in kept if event is not None] == [
        (event["event"], event["asin"]) for event in sent["events"]
    ]
    # Who reads the log next, events and all, answers as before.
    with shop.served(url) as client:
        assert answered(client)[1] == products


@pytest.mark.parametrize(("secret", "status"), [("read-secret", 403), ("write-secret", 201)])
def test_an_event_takes_a_token_that_may_write(shop: Shop, url: str, secret: str, status: int) -> None:
    event = {"event": "click", "request_id": "r", "asin": "p1"}
    with shop.served(url, f"serving.tokens={TOKENS}", ready=False) as client:
        assert (
            client.post("/v1/events", json=event, headers={"Authorization": f"Bearer {secret}"}).status_code == status
        )
