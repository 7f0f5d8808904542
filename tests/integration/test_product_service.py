"""Products that are written while the service runs: found, recommended, changed and gone from the next answer on."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from rec_sys.inference.backends import Backends
from rec_sys.inference.contract import ServingUnavailable
from tests.live_shops import TOKENS, Shop, reads_texts, wait_until
from tests.serving_bundles import write_serving_bundle

BANJO = {
    "title": "Five-String Banjo, Maple Resonator",
    "brand": "Holloway",
    "categories": ["Folk", "Banjos"],
    "price": 329.5,
    "description": "<p>A bright banjo for bluegrass.</p>",
}


def put(client: TestClient, asin: str, **facts: Any) -> dict[str, Any]:
    response = client.put(f"/v1/products/{quote(asin, safe='')}", json=facts)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def products(client: TestClient, address: str, **params: Any) -> list[dict[str, Any]]:
    response = client.get(address, params=params)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["products"]
    return found


def search(client: TestClient, words: str, **params: Any) -> list[str]:
    return [product["asin"] for product in products(client, "/v1/products/search", q=words, **params)]


def recommended(client: TestClient, user_id: str = "user 3", **params: Any) -> list[str]:
    found = products(client, f"/v1/users/{user_id}/recommendations", limit=100, **params)
    return [product["asin"] for product in found]


LIST = "sku,name,maker,price,category\nbanjo/6,Tenor Banjo,Hol,\u20ac 12.50,Folk|Banjos\np3,,,9.99,\n,Nothing,,1,\n"


def take_list(client: TestClient, content: str) -> str:
    """Brings a list of products in by the page; what the page says then."""
    files = {"file": ("list.csv", content.encode())}
    address = client.post("/shop/import", data={"kind": "products"}, files=files).url
    wait_until(lambda: "Take it in" in client.get(address).text)
    client.post(address, data={"do": "take"})
    wait_until(lambda: "The next answers know them" in client.get(address).text)
    return client.get(address).text


def test_a_look_at_a_file_says_what_taking_it_in_would_set_aside(client: TestClient) -> None:
    lines = ("sku,name,price", "lang/1,Flügelhorn,-3", f"lang/2,{500 * 'Flügel '},4", "lang/3,Cello,5")
    files = {"file": ("Käufe 1.csv", "\n".join(lines).encode("cp1252"))}
    address = client.post("/shop/import", data={"kind": "products"}, files=files).url
    wait_until(lambda: "the file is not UTF-8" in client.get(address).text)
    page = client.get(address).text
    assert "Käufe 1.csv, line 2" in page
    assert "file-" not in page.partition("</section>")[0].partition('id="file"')[2].replace('id="file-part"', "")
    assert 'name="encoding" autocomplete="off" value="cp1252"' in page
    client.post(address, data={"do": "look", "encoding": "cp1252"})
    wait_until(lambda: "Take it in" in client.get(address).text)
    for stage, aside in (("can be taken", "would be set aside"), ("taken", "set aside")):
        page = client.get(address).text
        assert f"3 records: 2 products {stage}, 1 {aside}." in page
        assert "title takes a text of length at most 2,000" in page
        assert "1 prices that cannot be read" in page
        client.post(address, data={"do": "take"})
        wait_until(lambda: "The next answers know them" in client.get(address).text)
    assert client.get("/shop", params={"find": "lang/"}).text.count("<q") == 1
    assert "Flügelhorn" in client.get("/shop", params={"find": "lang/"}).text


def test_a_list_of_products_adds_what_is_new_and_changes_only_what_it_says(client: TestClient) -> None:
    [before] = products(client, "/v1/products/trending", only="p3")
    assert "2 products taken, 1 of them new, 1 changed." in (said := take_list(client, LIST))
    assert "product id is missing" in said
    [after] = products(client, "/v1/products/trending", only="p3")
    assert {name for name in before if name != "score" and before[name] != after[name]} == {"price"}
    assert after["price"] == pytest.approx(9.99)
    assert search(client, "a banjo")[0] == "banjo/6"
    assert "2 products taken, 0 of them new, 0 changed." in take_list(client, LIST)
    assert client.delete("/v1/products/banjo%2F6").status_code == 204
    assert "1 product taken, 1 of them new, 0 changed." in (
        said := take_list(client, "sku,price\nbanjo/6,4\nbanjo/6,5\n")
    )
    assert "2 records: 1 product taken, 1 set aside." in said
    assert client.get("/v1/products/trending", params={"only": "banjo/6"}).json()["products"][0]["price"] == 5
    assert client.delete("/v1/products/banjo%2F6").status_code == 204


def test_a_product_that_nobody_has_reviewed_is_found_and_recommended_at_once(client: TestClient) -> None:
    before = recommended(client)
    taken = put(client, "banjo/5", **BANJO)
    assert (taken["asin"], taken["trained"], taken["searchable"]) == ("banjo/5", False, True)
    [found, *_] = products(client, "/v1/products/search", q="a banjo for bluegrass")
    assert (found["asin"], found["title"], found["brand"]) == ("banjo/5", BANJO["title"], "Holloway")
    assert (found["categories"], found["price"], found["review_count"]) == (["Folk", "Banjos"], 329.5, 0)
    assert sorted(recommended(client)) == sorted([*before, "banjo/5"])
    assert recommended(client, brands="Holloway") == ["banjo/5"]
    assert "banjo/5" not in recommended(client, max_price=300)
    similar = products(client, "/v1/products/banjo%2F5/similar", by="graph")
    assert len(similar) == 10
    assert client.delete("/v1/products/banjo%2F5").status_code == 204
    assert recommended(client) == before


def test_a_model_number_finds_a_product_that_came_today_and_its_next_title(client: TestClient) -> None:
    put(client, "mic", title="Holloway HX-57 Dynamic Microphone")
    assert search(client, "HX57", limit=1) == search(client, "a stand for the hx-57", limit=1) == ["mic"]
    client.patch("/v1/products/mic", json={"title": "Holloway HX-58 Dynamic Microphone"})
    assert search(client, "hx58", limit=1) == ["mic"]
    client.patch("/v1/products/p3", json={"title": "Strings 9-42"})  # one that the bundle knows by another title
    assert search(client, "9-42", limit=1) == ["p3"]
    client.patch("/v1/products/mic", json={"in_stock": False})
    assert "mic" not in search(client, "hx58", limit=100)


def test_first_reviews_of_a_new_product_count_in_where_it_stands(client: TestClient) -> None:
    put(client, "ukulele", title="Ukulele")
    scores = []
    for number in range(3):
        [found] = products(client, "/v1/products/search", q="Ukulele", limit=1)
        assert found["review_count"] == number
        asked = {"user_id": "user 3", "limit": 100, "reviews": []}
        answer = client.post("/v1/recommendations", json=asked).json()["products"]
        scores.append(next(p["score"] for p in answer if p["asin"] == "ukulele"))
        review = {
            "user_id": f"user {number + 20}",
            "asin": "ukulele",
            "rating": 4,
            "text": f"Cheerful, {number} times.",
        }
        assert client.post("/v1/reviews", json=review).status_code == 201
    assert len(set(scores)) == 3
    [found] = products(client, "/v1/products/search", q="Ukulele", limit=1)
    assert found["rating_mean"] == 4
    # Its author is not recommended it, and forgets take it back.
    assert "ukulele" not in recommended(client, "user 20")
    assert client.delete("/v1/users/user 20").status_code == 200
    wait_until(lambda: products(client, "/v1/products/search", q="Ukulele", limit=1)[0]["review_count"] == 2)
    assert client.delete("/v1/products/ukulele").status_code == 204


def test_another_price_and_what_cannot_be_had_count_from_the_next_answer_on(client: TestClient) -> None:
    before = products(client, "/v1/users/user 5/recommendations", limit=5)
    first, second = before[0]["asin"], before[1]["asin"]
    assert client.patch(f"/v1/products/{first}", json={"price": 1.25}).json()["trained"]
    [changed, *others] = products(client, "/v1/users/user 5/recommendations", limit=5)
    assert changed == before[0] | {"price": 1.25}
    assert others == before[1:]
    assert client.patch(f"/v1/products/{second}", json={"in_stock": False}).status_code == 200
    assert second not in recommended(client, "user 5")
    assert second in recommended(client, "user 5", out_of_stock=True)
    for asin, change in ((first, {"price": before[0]["price"]}), (second, {"in_stock": True})):
        assert client.patch(f"/v1/products/{asin}", json=change).status_code == 200
    assert products(client, "/v1/users/user 5/recommendations", limit=5) == before


def test_what_is_taken_away_comes_back_when_it_is_put_again(client: TestClient) -> None:
    assert client.delete("/v1/products/p8").status_code == 204
    assert "p8" not in recommended(client, "user 1", include_seen=True)
    assert client.get("/v1/products/p8/similar").status_code == 404
    assert client.delete("/v1/products/p8").status_code == 404
    refused = client.patch("/v1/products/p8", json={"price": 2})
    assert (refused.status_code, refused.json()["where"]) == (404, "asin")
    put(client, "p8", title="Back again")
    assert "p8" in recommended(client, "user 1", include_seen=True)
    assert products(client, "/v1/products/search", q="Back again", limit=1)[0]["asin"] == "p8"


def test_changes_survive_and_are_seen_next_door_and_over_the_next_bundle(shop: Shop, url: str) -> None:
    quick = "store.poll_seconds=0.05"
    with shop.served(url, quick) as one, shop.served(url, quick) as other:
        put(one, "banjo", **BANJO)
        assert one.patch("/v1/products/p4", json={"in_stock": False}).status_code == 200
        wait_until(lambda: search(other, "banjo", limit=1) == ["banjo"])
        wait_until(lambda: "p4" not in recommended(other))
    second = write_serving_bundle(shop.output_dir / "bundles" / "two", seed=1, **reads_texts())
    with shop.served(url, quick) as later:
        wait_until(lambda: search(later, "banjo", limit=1) == ["banjo"])
        score = products(later, "/v1/users/user 3/recommendations", brands="Holloway")[0]["score"]
        try:
            shop.publish(second)
            wait_until(lambda: later.get("/v1/models/product_index").json()["identity"] == second.identity)
            recommended(later)  # finds out that another bundle is served
            wait_until(lambda: search(later, "banjo", limit=1) == ["banjo"])
            assert "p4" not in recommended(later)
            assert products(later, "/v1/users/user 3/recommendations", brands="Holloway")[0]["score"] != score
        finally:
            shop.publish(shop.bundle)


def test_what_is_gone_stays_gone_where_nothing_can_be_read(
    shop: Shop, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise ServingUnavailable("Triton is away", component="triton", where="t", remedy="start it", retry_after=1)

    with shop.served(url, "store.poll_seconds=0.05") as client:
        assert client.delete("/v1/products/p2").status_code == 204
        assert client.patch("/v1/products/p4", json={"in_stock": False}).status_code == 200
        put(client, "banjo", **BANJO)
    with monkeypatch.context() as patched:
        patched.setattr(Backends, "embed", away)
        settings = (url, "store.poll_seconds=0.05")
        with shop.served(*settings, ready=False) as later:
            wait_until(lambda: not {"p2", "p4"} & set(recommended(later, include_seen=True)))
            assert "banjo" not in recommended(later)
            assert not put(later, "organ", title="Organ")["searchable"]
    with shop.served(url) as again:
        wait_until(lambda: {"banjo", "organ"} <= set(recommended(again)))


def test_what_cannot_be_meant_is_refused_by_its_field(client: TestClient) -> None:
    for facts, field in (
        ({"price": -1}, "price"),
        ({"title": "\ud800"}, "title"),
        ({"colour": "red"}, "colour"),
        ({"categories": [""]}, "categories[0]"),
    ):
        refused = client.put(
            "/v1/products/new", content=json.dumps(facts), headers={"Content-Type": "application/json"}
        )
        assert (refused.status_code, refused.json()["field"]) == (422, field), refused.text
    assert client.patch("/v1/products/p3", json={}).status_code == 422
    assert client.patch("/v1/products/nowhere", json={"price": 2}).status_code == 404


def test_who_may_only_read_says_nothing_of_products(shop: Shop, url: str) -> None:
    with shop.served(url, f"serving.tokens={TOKENS}") as client:
        reader, writer = ({"Authorization": f"Bearer {name}-secret"} for name in ("read", "write"))
        for call in (client.put, client.patch):
            assert call("/v1/products/p3", json={"price": 3}, headers=reader).status_code == 403
        assert client.delete("/v1/products/p3", headers=reader).status_code == 403
        assert client.patch("/v1/products/p3", json={"price": 3}, headers=writer).status_code == 200


def test_popularity_answers_without_what_is_gone(shop: Shop, url: str) -> None:
    with shop.served(url, "inference.empty_history=popular") as client:
        best = [p["asin"] for p in client.post("/v1/recommendations", json={"limit": 3}).json()["products"]]
        assert client.delete(f"/v1/products/{best[0]}").status_code == 204
        assert client.patch(f"/v1/products/{best[1]}", json={"in_stock": False}).status_code == 200
        now = [p["asin"] for p in client.post("/v1/recommendations", json={"limit": 3}).json()["products"]]
        assert now[0] == best[2]
        asked = {"limit": 1, "filter": {"out_of_stock": True}}
        assert client.post("/v1/recommendations", json=asked).json()["products"][0]["asin"] == best[1]


def test_a_product_of_which_nothing_is_known_stands_last_for_somebody_of_whom_nothing_is(client: TestClient) -> None:
    put(client, "nothing-said")
    put(client, "a-price", price=9.5)
    asked = {"limit": 100}
    found = [p["asin"] for p in client.post("/v1/recommendations", json=asked).json()["products"]]
    assert set(found[-2:]) == {"nothing-said", "a-price"}
    elsewhere = asked | {"reviews": [{"asin": "elsewhere", "rating": 5}]}
    again = [p["asin"] for p in client.post("/v1/recommendations", json=elsewhere).json()["products"]]
    assert again[:-2] == found[:-2]


def test_a_review_without_words_of_a_product_that_came_later_is_read_by_what_is_said_of_the_product(
    client: TestClient,
) -> None:
    def answered(asin: str, **more: Any) -> dict[str, Any]:
        asked = {"reviews": [{"asin": asin, "rating": 5} | more], "limit": 5}
        found: dict[str, Any] = client.post("/v1/recommendations", json=asked).json()
        return found

    put(client, "banjo-7", **BANJO)
    put(client, "nothing-said-7")
    found = answered("banjo-7")
    assert (found["basis"], found["reviews_used"], found["ignored"]) == ("reviews", 1, [])
    assert "banjo-7" not in [product["asin"] for product in found["products"]]
    [reason] = found["products"][0]["reasons"]
    assert (reason["title"], reason["snippet"], reason["rating"]) == (BANJO["title"], None, 5)
    by_its_words = answered("banjo-7", text="Five-String Banjo, Maple Resonator. Holloway. Folk, Banjos")
    assert [one["score"] for one in by_its_words["products"]] == [one["score"] for one in found["products"]]
    [ignored] = answered("nothing-said-7")["ignored"]
    assert ignored["reason"] == "the product came after this model, and there is no text to go by"
    [ignored] = answered("elsewhere")["ignored"]
    assert ignored["reason"] == "the product is not in the catalogue, and there is no text to go by"
    suggested = client.get("/suggestions", params={"find": "five-str maple"}, headers={"Accept": "text/html"}).text
    assert "Five-String Banjo, Maple Resonator" in suggested
