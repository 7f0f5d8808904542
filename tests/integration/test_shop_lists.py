"""What is trending and what is new, by what is written and, before anything is, by what the bundle knows."""

from typing import Any

from starlette.testclient import TestClient

from tests.live_shops import Shop, wait_until


def listed(client: TestClient, name: str, **params: Any) -> list[dict[str, Any]]:
    response = client.get(f"/v1/products/{name}", params={"limit": 100, **params})
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["products"]
    return found


def asins(client: TestClient, name: str, **params: Any) -> list[str]:
    return [product["asin"] for product in listed(client, name, **params)]


def happened(client: TestClient, *events: tuple[str, str]) -> None:
    sent = [{"event": event, "request_id": f"r{place}", "asin": asin} for place, (event, asin) in enumerate(events)]
    assert client.post("/v1/events", json={"events": sent}).status_code == 201


def test_what_is_trending_and_new_follows_what_is_written(shop: Shop, url: str) -> None:
    with shop.served(url) as client:
        before, newest = listed(client, "trending"), asins(client, "new")
        assert sorted(newest) == sorted(product["asin"] for product in before)
        assert {product["source"] for product in before} == {"popular"}
        with shop.served("store=none") as other:  # it answers where nothing can be written
            assert [product["asin"] for product in before] == asins(other, "trending")
        last, behind, third = (product["asin"] for product in before[-1:-4:-1])

        happened(client, *[("order", behind)] * 60, *[("click", last)] * 130, *[("impression", third)] * 500)
        trending = listed(client, "trending", window="day")
        assert [(product["asin"], product["source"]) for product in trending[:2]] == [
            (behind, "trending"),
            (last, "trending"),
        ]
        assert {product["source"] for product in trending[2:]} == {"popular"}
        # A review counts as much as an order; where its writer is forgotten it does not.
        reviews = [{"user_id": "ada", "asin": third, "rating": 5, "text": f"Good {number}."} for number in range(50)]
        client.post("/v1/reviews", json={"reviews": reviews})
        assert asins(client, "trending", limit=3) == [behind, third, last]
        client.delete("/v1/users/ada")
        assert asins(client, "trending", limit=2) == [behind, last]

        facts = {"title": "Banjo", "brand": "Holloway", "categories": ["Folk"], "price": 329.5}
        client.put("/v1/products/banjo", json=facts)
        client.put("/v1/products/banjo-2", json=facts | {"price": 12.5})
        assert set(asins(client, "new", limit=2, window="day")) == {"banjo", "banjo-2"}
        happened(client, *[("order", "banjo")] * 30)
        assert asins(client, "new", limit=2, window="day") == ["banjo", "banjo-2"]
        assert asins(client, "trending", limit=3) == [behind, last, "banjo"]
        for name in ("trending", "new"):
            assert asins(client, name, categories_any="Folk", max_price=20) == ["banjo-2"]
            assert asins(client, name)[3:7] == asins(client, name, offset=3, limit=4)
        # What cannot be had, or is not there, is in neither.
        client.patch("/v1/products/banjo", json={"in_stock": False})
        client.delete(f"/v1/products/{last}")
        for name in ("trending", "new"):
            assert not {"banjo", last} & set(asins(client, name))
            assert "banjo" in asins(client, name, out_of_stock=True)
        popular = client.get("/v1/users/user 3/recommendations", params={"model": "popular", "limit": 100}).json()
        assert "banjo-2" in [product["asin"] for product in popular["products"]]
        kept = asins(client, "trending"), asins(client, "new")
    with shop.served(url) as client:  # another gateway, or this one tomorrow, says the same
        wait_until(lambda: (asins(client, "trending"), asins(client, "new")) == kept)
        refused = client.get("/v1/products/trending", params={"window": "year"})
        assert (refused.status_code, refused.json()["field"]) == (422, "window")
