"""What a request may say of its answer: which model, what is to stand higher, how many of a brand, for whom."""

from collections import Counter
from typing import Any

import pytest
from starlette.testclient import TestClient

USER = "user 3"
EVERYTHING = 60  # products


def ask(client: TestClient, **request: Any) -> dict[str, Any]:
    response = client.post("/v1/recommendations", json={"user_id": USER, "limit": EVERYTHING, **request})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def asins(answer: dict[str, Any]) -> list[str]:
    return [product["asin"] for product in answer["products"]]


def test_graph_and_memory_are_the_parts_of_the_score(client: TestClient) -> None:
    whole, graph, memory = (ask(client, model=name) for name in ("hybrid", "graph", "memory"))
    assert [answer["model"] for answer in (whole, graph, memory)] == ["hybrid", "graph", "memory"]
    parts = {product["asin"]: product["score"] for product in graph["products"]}
    assert all(product["memory_score"] == 0 for product in graph["products"])
    known = {product["asin"]: product["score"] for product in memory["products"] if product["source"] == "memory"}
    assert known
    for product in whole["products"]:
        expected = parts[product["asin"]] + known.get(product["asin"], 0)
        assert product["score"] == pytest.approx(expected, abs=1e-3)
    assert {product["source"] for product in graph["products"]} == {"graph"}


def test_what_the_memory_does_not_know_is_filled_up_with_what_is_popular(client: TestClient) -> None:
    everything = ask(client, model="memory")
    sources = [product["source"] for product in everything["products"]]
    num_known = sources.count("memory")
    assert 0 < num_known < len(sources)
    assert sources == ["memory"] * num_known + ["popular"] * (len(sources) - num_known)
    assert [product["rank"] for product in everything["products"]] == list(range(1, len(sources) + 1))
    assert len(set(asins(everything))) == len(sources) == len(ask(client)["products"])
    for offset in (0, num_known - 2, num_known, num_known + 3):
        page = ask(client, model="memory", limit=5, offset=offset)
        for one, same in zip(page["products"], everything["products"][offset : offset + 5], strict=True):
            # Which of equals comes first is the index's own choice.
            assert [one[name] for name in ("rank", "score", "source")] == [
                same[name] for name in ("rank", "score", "source")
            ]


def test_popular_is_the_same_for_everyone_but_for_what_they_have(client: TestClient) -> None:
    own, other = ask(client, model="popular"), ask(client, model="popular", user_id="user 4")
    assert {product["source"] for product in own["products"]} == {"popular"}
    shared = set(asins(own)) & set(asins(other))
    assert [asin for asin in asins(own) if asin in shared] == [asin for asin in asins(other) if asin in shared]


def test_a_model_that_is_not_there_is_404_with_those_that_are(client: TestClient) -> None:
    refused = client.get(f"/v1/users/{USER}/recommendations", params={"model": "oracle"})
    assert (refused.status_code, refused.json()["where"]) == (404, "model")
    assert "hybrid, graph, memory, popular" in refused.json()["remedy"]
    found = client.get(f"/v1/users/{USER}/recommendations", params={"model": "graph", "limit": 3})
    assert found.json()["products"] == ask(client, model="graph", limit=3)["products"]


def test_whoever_is_unknown_gets_what_is_popular_where_the_request_wants_it(client: TestClient) -> None:
    address = "/v1/users/nobody/recommendations"
    assert client.get(address).status_code == 404
    answer = client.get(address, params={"unknown": "popular", "limit": 4}).json()
    assert (answer["basis"], answer["known_user"], answer["reviews_used"]) == ("unknown_user", False, 0)
    assert {product["source"] for product in answer["products"]} == {"popular"}
    assert ask(client, unknown="popular", limit=4)["basis"] == "reviews"


def test_more_like_this_and_less_like_that_move_products_and_are_named(client: TestClient) -> None:
    plain = ask(client)
    liked, disliked = asins(plain)[-1], asins(plain)[0]
    drawn = ask(client, like=[liked], unlike=[disliked])
    assert asins(drawn) != [asin for asin in asins(plain) if asin not in (liked, disliked)]
    assert set(asins(drawn)) == set(asins(plain)) - {liked, disliked}
    for product in drawn["products"]:
        named = {tuple(rule.split()[:2]) for rule in product["rules"]}
        assert named
        assert named <= {("like", liked), ("unlike", disliked)}
    # Somebody of whom nothing is known is answered by what they like: as the products most like it.
    for request in ({"user_id": None}, {"user_id": "nobody", "unknown": "popular"}):
        own = ask(client, like=[liked], limit=5, model="graph", **request)
        assert own["basis"] == "no_reviews"
        similar = client.get(f"/v1/products/{liked}/similar", params={"limit": 5}).json()
        assert asins(own) == asins(similar)
    moved = client.get(f"/v1/products/{liked}/similar", params={"limit": 5, "unlike": [disliked, asins(similar)[0]]})
    assert asins(similar)[0] not in asins(moved.json())
    assert moved.json()["products"][0]["rules"]
    found = client.get("/v1/products/search", params={"q": "warm", "like": liked, "limit": 3}).json()
    assert all(product["rules"][0].startswith(f"like {liked} ") for product in found["products"])


def test_examples_that_cannot_be_meant_are_refused(client: TestClient) -> None:
    def refused(**request: Any) -> tuple[int, str]:
        response = client.post("/v1/recommendations", json={"user_id": USER, **request})
        return response.status_code, response.json()["error"]

    assert refused(like=["B-UNKNOWN"]) == (404, "there is no product B-UNKNOWN")
    status, error = refused(like=["p1", "p2"], unlike=["p2"])
    assert (status, "p2 is both" in error) == (422, True)
    assert refused(like=["p1"], model="popular") == (422, "the model popular compares no products")
    unknown = client.get("/v1/products/search", params={"q": "warm", "unlike": "B-UNKNOWN"})
    assert (unknown.status_code, unknown.json()["error"]) == (404, "there is no product B-UNKNOWN")


def test_a_boost_moves_what_it_names_and_is_named(client: TestClient) -> None:
    plain = ask(client)
    last = plain["products"][-1]
    boosted = ask(client, boost=[{"asin": last["asin"], "by": 100}], limit=5)
    assert asins(boosted) == [last["asin"], *asins(plain)[:4]]
    assert boosted["products"][0]["rules"] == [f"boost asin {last['asin']} +100"]
    assert boosted["products"][0]["score"] == pytest.approx(last["score"] + 100, abs=1e-3)
    assert [product["rules"] for product in boosted["products"][1:]] == [[]] * 4
    brand = last["brand"]
    lowered = ask(client, boost=[{"brand": brand, "by": -100}])
    brands = [product["brand"] for product in lowered["products"]]
    assert brands[-1] == brand
    assert brand not in brands[: len(brands) - brands.count(brand)]
    category = last["categories"][-1]
    raised = ask(client, boost=[{"category": category, "by": 50}])
    first = [category in product["categories"] for product in raised["products"]]
    assert first == sorted(first, reverse=True)
    assert raised["products"][0]["rules"] == [f"boost category {category} +50"]


def test_of_a_brand_there_are_only_so_many(client: TestClient) -> None:
    plain = ask(client)
    few = ask(client, max_per_brand=2)
    counts = Counter(product["brand"] for product in few["products"])
    counts.pop(None, None)
    assert max(counts.values()) == 2
    assert asins(few) == [asin for asin in asins(plain) if asin in set(asins(few))]
    first_moved = next(place for place, product in enumerate(few["products"]) if product["rules"])
    assert asins(few)[:first_moved] == asins(plain)[:first_moved]
    assert few["products"][first_moved]["rules"] == ["max_per_brand 2"]
    page = ask(client, max_per_brand=2, limit=3, offset=2)
    assert asins(page) == asins(few)[2:5]
    assert [product["rank"] for product in page["products"]] == [3, 4, 5]


MODELS = ("hybrid", "graph", "memory", "popular")


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"diversity": 0.5},
        {"boost": [{"asin": "p9", "by": 50}]},
        {"max_per_brand": 1},
        {"boost": [{"asin": "p9", "by": 50}], "max_per_brand": 1},
        {"filter": {"only": [f"p{number}" for number in range(20)]}},
        {"user_id": None},
        {"user_id": "nobody", "unknown": "popular"},
    ],
)
def test_nobody_gets_fewer_products_than_there_are_and_what_fills_up_is_named(
    client: TestClient, model: str, rules: dict[str, Any]
) -> None:
    whole = ask(client, model=model, **rules)
    # All that the rules allow, of a brand no more than they say.
    allowed = (
        ask(client, model="graph", user_id=rules.get("user_id", USER), filter=rules.get("filter", {}))
        if (rules.get("user_id", USER) != "nobody")
        else ask(client, model="popular", user_id=None)
    )
    brands = Counter(product["brand"] for product in allowed["products"])
    most = rules.get("max_per_brand", EVERYTHING)
    assert len(whole["products"]) == sum(
        count if brand is None else min(count, most) for brand, count in brands.items()
    )
    assert len(set(asins(whole))) == len(whole["products"])
    assert [product["rank"] for product in whole["products"]] == list(range(1, len(whole["products"]) + 1))
    if model == "memory" and "user_id" not in rules:
        sources = [product["source"] for product in whole["products"] if not product["rules"]]
        assert sources == sorted(sources)  # memory, then popular
        assert "popular" in sources or "max_per_brand" in rules
    if model == "popular":
        assert {product["source"] for product in whole["products"]} == {"popular"}
        if "boost" in rules and "p9" in asins(allowed):
            assert asins(whole)[0] == "p9"
    if "diversity" not in rules and model != "memory":  # which of its equals comes first is the index's own choice
        pages = [
            product
            for start in range(0, 60, 7)
            for product in asins(ask(client, **{"model": model, **rules, "limit": 7, "offset": start}))
        ]
        assert sorted(pages) == sorted(asins(whole))


def test_only_some_products_may_be_asked_for(client: TestClient) -> None:
    plain = asins(ask(client))
    assert asins(ask(client, filter={"only": [plain[7], plain[3], "nowhere"]})) == [plain[3], plain[7]]
    assert asins(ask(client, model="popular", filter={"only": [plain[7]]})) == [plain[7]]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"boost": [{"by": 2}]}, "boost[0]"),
        ({"boost": [{"brand": "a", "asin": "b", "by": 2}]}, "boost[0]"),
        ({"boost": [{"brand": "a", "by": 1_000}]}, "boost[0].by"),
        ({"max_per_brand": 0}, "max_per_brand"),
        ({"max_per_brand": 2, "diversity": 0.5}, "diversity"),
        ({"max_per_brand": 2, "offset": 990}, "offset"),
        ({"unknown": "perhaps"}, "unknown"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_field(client: TestClient, request_: dict[str, Any], field: str) -> None:
    refused = client.post("/v1/recommendations", json={"user_id": USER, "limit": 20, **request_})
    assert (refused.status_code, refused.json()["field"]) == (422, field), refused.text
