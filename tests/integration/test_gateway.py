"""The service over a real recommender and a real index: odd requests, missing backends, and new versions meanwhile."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from starlette.testclient import TestClient

from rec_sys.bundle import Bundle
from rec_sys.contracts import HistoryColumn
from rec_sys.entry import compose_settings
from rec_sys.inference.contract import ProductsAnswer, RecommendationAnswer
from rec_sys.inference.recommender import Recommender
from rec_sys.serving.application import create_application
from rec_sys.serving.gateway import GatewaySettings
from rec_sys.settings import ServerIndex, TextSettings
from rec_sys.text.opening import identify_encoder
from rec_sys.vector_database.catalogue import read_catalogue
from rec_sys.vector_database.edge_index import EdgePublisher
from rec_sys.vector_database.server_publisher import ServerPublisher
from rec_sys.vector_database.server_version import connect
from tests.qdrant_over_http import qdrant_over_http
from tests.served_roads import share_text_models
from tests.serving_bundles import write_serving_bundle

JSON = {"Content-Type": "application/json"}
KNOWN = {"asin": "p3", "rating": 5, "text": "Warm and quiet.", "timestamp": "2025-02-01"}


@dataclass
class House:
    """What training has left: two bundles, and the index folder that is published to."""

    output_dir: Path
    first: Bundle
    second: Bundle

    def settings(self, *overrides: str) -> GatewaySettings:
        given = [f"output_dir={self.output_dir}", "inference.deadline_seconds=20", *overrides]
        return compose_settings(given, GatewaySettings, "gateway")

    def publisher(self, *overrides: str) -> EdgePublisher:
        index = self.settings("index.progress=false", "index.check_queries=8", *overrides).index
        assert index.backend == "edge"
        return EdgePublisher(index)

    def publish(self, bundle: Bundle, *overrides: str) -> None:
        self.publisher(*overrides).publish(read_catalogue(bundle))

    @contextmanager
    def served(self, *overrides: str) -> Iterator[TestClient]:
        settings = self.settings(*overrides)
        recommender = Recommender(
            index=settings.index,
            inference=settings.inference,
            output_dir=settings.output_dir,
            bundle=settings.bundle,
            store=settings.store,
        )
        with TestClient(create_application(settings.serving, recommender)) as client:
            yield client


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, text_cache_dir: Path) -> House:
    output_dir = tmp_path_factory.mktemp("house")
    share_text_models(output_dir, text_cache_dir)
    text = TextSettings(device="cpu", num_threads=1)
    encoder = {"text": text, "text_encoder": identify_encoder(text)}
    first = write_serving_bundle(output_dir / "bundles" / "first", **encoder)
    second = write_serving_bundle(output_dir / "bundles" / "second", seed=1, **encoder)
    house = House(output_dir, first, second)
    house.publish(house.first)
    return house


@pytest.fixture(scope="module")
def client(house: House) -> Iterator[TestClient]:
    tokens = '[{name:shop,token:shop-secret},{name:old,token:old-secret,expires:"2026-01-01T00:00:00Z"}]'
    with house.served(f"serving.tokens={tokens}") as client:
        client.headers["Authorization"] = "Bearer shop-secret"
        yield client


def post(client: TestClient, **body: Any) -> RecommendationAnswer:
    response = client.post("/v1/recommendations", json=body)
    assert response.status_code == 200, response.text
    return RecommendationAnswer.model_validate_json(response.content)


# ---- requests that are odd, and answered ----


def test_reviews_are_answered_with_products_reasons_and_versions(client: TestClient, house: House) -> None:
    answer = post(client, reviews=[KNOWN, {"asin": "p10", "rating": 1}], limit=7)
    assert [product.rank for product in answer.products] == list(range(1, 8))
    assert {"p3", "p10"}.isdisjoint(product.asin for product in answer.products)
    assert {product.source for product in answer.products} <= {"graph", "memory"}
    assert {reason.asin for product in answer.products for reason in product.reasons} == {"p3", "p10"}
    assert (answer.basis, answer.reviews_used, answer.fallback) == ("reviews", 2, None)
    assert answer.versions.bundle == house.first.identity
    assert answer.versions.towers == "in_process"


def test_no_reviews_are_answered_with_what_somebody_unknown_gets(client: TestClient) -> None:
    answer = post(client, reviews=[])
    assert (answer.basis, answer.reviews_used, len(answer.products)) == ("no_reviews", 0, 10)


def test_reviews_of_unknown_products_are_named_and_do_no_harm(client: TestClient) -> None:
    alone = post(client, reviews=[{"asin": "B0NOWHERE"}])
    assert alone.basis == "no_known_product"
    assert [ignored.field for ignored in alone.ignored] == ["reviews[0]"]
    assert alone.products

    beside = post(client, reviews=[KNOWN, {"asin": "B0NOWHERE"}])
    assert beside.basis == "reviews"
    assert [ignored.asin for ignored in beside.ignored] == ["B0NOWHERE"]


def test_filters_pages_and_diversity_reach_the_index(client: TestClient) -> None:
    limits = {"max_price": 60, "categories_any": ["Kind 1"]}
    found = post(client, reviews=[KNOWN], filter=limits, limit=100).products
    assert found
    assert all(product.price is not None and product.price <= 60 for product in found)
    assert all("Kind 1" in product.categories for product in found)
    pages = [post(client, reviews=[KNOWN], limit=5, offset=offset).products for offset in (0, 5)]
    assert [product.asin for page in pages for product in page] == [
        product.asin for product in post(client, reviews=[KNOWN], limit=10).products
    ]
    assert post(client, reviews=[KNOWN], diversity=0.9).products != post(client, reviews=[KNOWN]).products


def test_a_known_user_is_answered_from_the_bundle(client: TestClient, house: House) -> None:
    response = client.get("/v1/users/user 3/recommendations", params={"limit": 4})
    answer = RecommendationAnswer.model_validate_json(response.content)
    known = house.first.histories().filter(pl.col(HistoryColumn.USER_ID) == "user 3").height
    assert (answer.known_user, answer.reviews_used, len(answer.products)) == (True, min(6, known), 4)
    assert {"text", "tower", "index", "ranker", "rest", "total"} == {
        part.partition(";")[0] for part in response.headers["Server-Timing"].split(", ")
    }


@pytest.mark.parametrize(
    ("address", "sources"),
    [
        ("/v1/products/p3/similar", {"graph"}),
        ("/v1/products/p3/similar?by=text", {"text"}),
        ("/v1/products/search?q=a%20quiet%20amplifier", {"text"}),
    ],
)
def test_products_and_words_are_answered(address: str, sources: set[str], client: TestClient) -> None:
    answer = ProductsAnswer.model_validate_json(client.get(address).content)
    assert {product.source for product in answer.products} == sources
    assert "p3" not in {product.asin for product in answer.products} or "search" in address


@pytest.mark.parametrize("address", ["users/user 2/recommendations", "products/p1/similar", "products/search?q=quiet"])
def test_a_filter_that_no_product_meets_is_answered_with_a_hint(address: str, client: TestClient) -> None:
    response = client.get(f"/v1/{address}{'&' if '?' in address else '?'}brands=No such brand&categories_any=Nowhere")
    assert response.status_code == 200, response.text
    assert response.json()["products"] == []
    passes, brand, category = response.json()["hints"]
    assert passes.startswith("no product passes the filter")
    assert brand.startswith("no product of the bundle has the brand 'No such brand'")
    assert category.startswith("no product of the bundle has the category 'Nowhere'")


def test_models_carry_the_identity_of_the_bundle(client: TestClient, house: House) -> None:
    cards = {card["name"]: card for card in client.get("/v1/models").json()["models"]}
    assert cards["user_tower"]["identity"] == cards["product_index"]["identity"] == house.first.identity


# ---- requests that are refused ----

POST = "/v1/recommendations"
REFUSED: dict[str, tuple[str, Any, int, str, str]] = {
    "an unknown product": ("/v1/products/B0NOWHERE/similar", None, 404, "", "B0NOWHERE"),
    "an unknown user": ("/v1/users/nobody/recommendations", None, 404, "", "nobody"),
    "an unknown model": ("/v1/models/oracle", None, 404, "", "oracle"),
    "10,000 reviews": (POST, {"reviews": [{"asin": "p3"}] * 10_000}, 422, "reviews", "10,000"),
    "a text of 1 MB": (POST, {"reviews": [KNOWN | {"text": "x" * 1_000_000}]}, 422, "reviews[0].text", "1,000,000"),
    "a body of 2 MB": (POST, {"reviews": [KNOWN | {"text": "x" * 2_000_000}]}, 413, "", "1,048,576 bytes"),
    "stars of NaN": (POST, '{"reviews": [{"asin": "p3", "rating": NaN}]}', 422, "reviews[0].rating", "finite"),
    "stars of 7": (POST, {"reviews": [KNOWN | {"rating": 7}]}, 422, "reviews[0].rating", "it is 7"),
    "words of blanks": ("/v1/products/search?q=%20%20", None, 422, "q", "characters"),
    "a page beyond the diversified": (POST, {"diversity": 0.5, "offset": 500}, 422, "", "diversi"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_request_that_cannot_be_answered_is_refused_in_words(case: str, client: TestClient) -> None:
    address, body, status, field, said = REFUSED[case]
    if body is None:
        response = client.get(address)
    else:
        text = body if isinstance(body, str) else json.dumps(body)
        response = client.post(address, content=text, headers=JSON)
    problem = response.json()
    assert response.status_code == status, problem
    assert (problem["field"] or "").startswith(field)
    assert said in problem["error"] + problem["remedy"]
    assert len(response.content) < 2_000


def test_an_expired_token_is_told_so(client: TestClient) -> None:
    response = client.post("/v1/recommendations", json={}, headers={"Authorization": "Bearer old-secret"})
    assert response.status_code == 401
    assert response.json()["error"] == "the token expired at 2026-01-01T00:00:00+00:00"


# ---- parts that are missing, and versions that change ----


def test_without_an_index_nothing_is_ready_until_one_is_published(house: House, tmp_path: Path) -> None:
    elsewhere = f"index.folder={tmp_path / 'index'}"
    with house.served(elsewhere) as client:
        refused = client.post("/v1/recommendations", json={"reviews": [KNOWN]})
        health = client.get("/health/ready")

        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) >= 1
        assert "create_vectorbase" in refused.json()["remedy"]
        assert health.status_code == 503
        assert "index" in {part["part"] for part in health.json()["parts"] if part["needed"] and not part["ready"]}
        assert client.get("/health/live").status_code == 200

        house.publish(house.first, elsewhere)
        assert client.get("/health/ready").status_code == 200
        assert post(client, reviews=[KNOWN]).products


def test_triton_that_is_not_there_is_named_and_something_may_stand_in(house: House) -> None:
    away = ("inference=triton", "inference.triton_url=127.0.0.1:9", "inference.deadline_seconds=0.5")
    with house.served(*away) as client:
        refused = client.post("/v1/recommendations", json={"reviews": [KNOWN]})
        assert refused.status_code == 503
        assert "127.0.0.1:9" in refused.json()["error"] + refused.json()["where"]
        assert refused.headers["Retry-After"] == "2"
        triton = [part for part in client.get("/health/ready").json()["parts"] if part["part"] == "triton"]
        assert [(part["ready"], part["needed"]) for part in triton] == [(False, True)]
        # The index alone answers this.
        assert client.get("/v1/products/p3/similar").status_code == 200
    for fallback in ("in_process", "popular"):
        with house.served(*away, f"inference.fallback={fallback}") as client:
            answer = post(client, reviews=[KNOWN])
            assert answer.fallback == fallback
            assert answer.fallback_reason
            assert f'gateway_fallbacks_total{{fallback="{fallback}"}} 1.0' in client.get("/metrics").text


def test_a_qdrant_server_that_goes_away_is_named_until_it_is_back(house: House) -> None:
    with qdrant_over_http() as wire:
        server = ("index=server", f"index.url={wire.url}", "index.timeout=2", "index.check_queries=8")
        index = house.settings(*server, "index.progress=false").index
        assert isinstance(index, ServerIndex)
        ServerPublisher(index, connect(index)).publish(read_catalogue(house.first))
        with house.served(*server) as client:
            before = post(client, reviews=[KNOWN])
            wire.refuse = lambda request: 503
            refused, health = client.post("/v1/recommendations", json={"reviews": [KNOWN]}), client.get("/health/ready")
            assert refused.status_code == 503
            assert refused.headers["Retry-After"] == "2"
            assert wire.url in refused.json()["where"]
            assert health.status_code == 503
            assert [part["ready"] for part in health.json()["parts"] if part["part"] == "index"] == [False]

            wire.refuse = lambda request: None
            assert client.get("/health/ready").status_code == 200
            assert post(client, reviews=[KNOWN]).products == before.products


def test_a_new_version_is_served_while_others_ask_and_can_be_rolled_back(house: House, tmp_path: Path) -> None:
    elsewhere = f"index.folder={tmp_path / 'index'}"
    house.publish(house.first, elsewhere)
    answers: list[httpx.Response] = []
    done = threading.Event()
    with house.served(elsewhere) as client:

        def ask() -> None:
            while not done.is_set():
                answers.append(client.post("/v1/recommendations", json={"reviews": [KNOWN], "limit": 3}))

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            before = post(client, reviews=[KNOWN], limit=3)
            house.publish(house.second, elsewhere)
            between = post(client, reviews=[KNOWN], limit=3)
            house.publisher(elsewhere).rollback()
            after = post(client, reviews=[KNOWN], limit=3)
        finally:
            done.set()
            asking.join()

    assert [before.versions.bundle, between.versions.bundle, after.versions.bundle] == [
        house.first.identity,
        house.second.identity,
        house.first.identity,
    ]
    assert before.products == after.products != between.products
    assert len(answers) > 3
    whole = {
        bundle.versions.bundle: (bundle.versions.index, [(one.asin, one.score) for one in bundle.products])
        for bundle in (before, between)
    }
    for response in answers:
        assert response.status_code == 200, response.text
        answer = RecommendationAnswer.model_validate_json(response.content)
        index, products = whole[answer.versions.bundle]
        assert answer.versions.index == index
        assert [one.asin for one in answer.products] == [asin for asin, _ in products]
        assert [one.score for one in answer.products] == pytest.approx([score for _, score in products], abs=1e-4)
