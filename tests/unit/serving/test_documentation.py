"""The OpenAPI description tells of every address, every error and has an example that is answered."""

import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from rec_sys.serving.problems import Problem

ERRORS = {
    "POST /v1/recommendations": {401, 403, 404, 408, 413, 422, 429, 500, 503},
    "GET /v1/users/{user_id}/recommendations": {401, 403, 404, 414, 422, 429, 500, 503},
    "GET /v1/products/{asin}/similar": {401, 403, 404, 414, 422, 429, 500, 503},
    "GET /v1/products/search": {401, 403, 404, 414, 422, 429, 500, 503},
    "GET /v1/products/trending": {401, 403, 414, 422, 429, 500, 503},
    "GET /v1/products/new": {401, 403, 414, 422, 429, 500, 503},
    "GET /v1/models": {401, 403, 429, 500, 503},
    "GET /v1/models/{name}": {401, 403, 404, 422, 429, 500, 503},
    "POST /v1/reviews": {401, 403, 408, 413, 422, 429, 500, 503},
    "POST /v1/events": {401, 403, 408, 413, 422, 429, 500, 503},
    "GET /v1/users/{user_id}/reviews": {401, 403, 404, 422, 429, 500, 503},
    "DELETE /v1/users/{user_id}/reviews/{review_id}": {401, 403, 404, 408, 413, 422, 429, 500, 503},
    "DELETE /v1/users/{user_id}": {401, 403, 404, 408, 413, 422, 429, 500, 503},
    "PUT /v1/products/{asin}": {401, 403, 408, 413, 422, 429, 500, 503},
    "PATCH /v1/products/{asin}": {401, 403, 404, 408, 413, 422, 429, 500, 503},
    "DELETE /v1/products/{asin}": {401, 403, 404, 408, 413, 422, 429, 500, 503},
    "GET /health/live": set(),
    "GET /health/ready": {503},
    "GET /metrics": set(),
}


@pytest.fixture
def description(client: TestClient) -> dict[str, Any]:
    described: dict[str, Any] = client.get("/openapi.json").json()
    return described


def operations(description: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    }


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_a_page_of_documentation_loads_nothing_from_another_host(page: str, client: TestClient) -> None:
    response = client.get(page)
    assert response.status_code == 200
    files = re.findall(r"""(?:src|href)=["']([^"']+)""", response.text)
    assert files
    assert [file for file in files if not re.match(r"/[^/]", file)] == []
    assert {file: client.get(file).status_code for file in files} == dict.fromkeys(files, 200)


def test_every_address_and_every_error_is_described(description: dict[str, Any]) -> None:
    found = {
        name: {int(status) for status in operation["responses"] if not status.startswith("2")}
        for name, operation in operations(description).items()
    }
    assert found == ERRORS


def test_an_address_that_may_hold_a_list_may_be_too_long(description: dict[str, Any]) -> None:
    for operation in operations(description).values():
        kinds = [str(one["schema"]) for one in operation.get("parameters", ()) if one["in"] == "query"]
        assert any("array" in kind for kind in kinds) == ("414" in operation["responses"])


def test_every_error_is_a_problem_with_an_example_of_one(description: dict[str, Any]) -> None:
    for name, operation in operations(description).items():
        for status, response in operation["responses"].items():
            if status.startswith("2") or name == "GET /health/ready":
                continue
            [content] = response["content"].items()
            assert content[0] == "application/problem+json"
            assert Problem.model_validate(content[1]["example"]).status == int(status)
            assert content[1]["schema"] == {"$ref": "#/components/schemas/Problem"}
    assert description["components"]["schemas"]["Problem"]["properties"].keys() == Problem.model_fields.keys()


def test_every_reference_leads_somewhere(description: dict[str, Any]) -> None:
    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [found for value in node.values() for found in references(value)]
        return [found for value in node for found in references(value)] if isinstance(node, list) else []

    known = {f"#/components/schemas/{name}" for name in description["components"]["schemas"]}
    found = set(references(description))
    assert found
    assert found <= known


def test_the_order_of_reviews_and_the_place_of_filters_are_described(description: dict[str, Any]) -> None:
    operation = operations(description)["POST /v1/recommendations"]
    assert "newest last" in operation["description"]
    assert '{"filter": {"max_price": 50}}' in operation["description"]
    properties = description["components"]["schemas"]["RecommendationRequest"]["properties"]
    assert "the newest last" in properties["reviews"]["description"]
    assert "max_price" in description["components"]["schemas"]["Filter"]["properties"]


def test_the_examples_are_answered(description: dict[str, Any], client: TestClient) -> None:
    content = operations(description)["POST /v1/recommendations"]["requestBody"]["content"]["application/json"]
    assert len(content["examples"]) == 3
    for example in content["examples"].values():
        assert client.post("/v1/recommendations", json=example["value"]).status_code == 200
