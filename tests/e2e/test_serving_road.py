"""The whole road: the demo command makes and shows it; then its parts are asked, compared, killed and brought back."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import httpx
import numpy as np
import psutil
import pytest
import safetensors.numpy
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from rec_sys.bundle import Bundle, find_bundle
from rec_sys.contracts import (
    MILLISECONDS_A_DAY,
    BundleFile,
    HistoryColumn,
    InputError,
    MemoryTensor,
    ProductColumn,
    ProductVector,
    ServedModel,
    TowerFile,
    TowerTensor,
)
from rec_sys.entry import compose_settings
from rec_sys.inference.contract import Page, ProductsAnswer, RecommendationAnswer, RecommendationRequest
from rec_sys.inference.recommender import Recommender
from rec_sys.processes import overrides
from rec_sys.serving.commands import Command
from rec_sys.serving.gateway import GatewaySettings
from rec_sys.settings import EdgeIndex, ExportSettings, TritonSettings
from rec_sys.vector_database.catalogue import read_catalogue
from rec_sys.vector_database.edge_index import EdgePublisher
from tests.changed_bundles import note_anew
from tests.compose_files import CONTAINER
from tests.demo_runs import Demo
from tests.triton_servers import needs_core, until
from triton_utils.client import TritonClient
from triton_utils.model_config import tower_options
from triton_utils.ports import Ports, choose_ports
from triton_utils.repository import Candidate, ModelRepository

# Four commands import torch or its like one after the other, beside whatever else the machine does.
pytestmark = [needs_core, pytest.mark.timeout(1500)]
NEWEST = 1_700_000_000_000


class Road:
    """Triton and two gateways as processes: one that refuses where Triton is away, one that may stand in for it."""

    def __init__(self, output_dir: Path) -> None:
        self.output_dir = output_dir
        self.bundle: Bundle = find_bundle(None, output_dir)
        products = self.bundle.products()
        self.asins: list[str] = products[ProductColumn.ASIN].to_list()
        self.title: str = products[ProductColumn.TITLE][0]
        self.user_id: str = self.bundle.histories()[HistoryColumn.USER_ID][0]
        self.reviews = [
            {
                "asin": self.asins[3],
                "rating": 5.0,
                "timestamp": NEWEST,
                "text": "Warm and quiet, as before.",
            },
            {"asin": self.asins[6], "rating": 4.0, "timestamp": NEWEST - 20 * MILLISECONDS_A_DAY},
            {"asin": self.asins[1], "rating": 1.0, "timestamp": NEWEST - 90 * MILLISECONDS_A_DAY, "text": "It broke."},
        ]
        self.ports: Ports = choose_ports(TritonSettings(grpc_port=0, http_port=0, metrics_port=0))
        self.triton_url = f"127.0.0.1:{self.ports.grpc}"
        self.stack = ExitStack()
        self.triton = self.start_triton()
        self.gateways: dict[str, Command] = {}
        self.clients: dict[str, httpx.Client] = {}
        for fallback in ("none", "in_process"):
            settings = {
                "output_dir": output_dir,
                "inference.triton_url": self.triton_url,
                "inference.fallback": fallback,
                "inference.deadline_seconds": 20.0,
                "serving.port": 0,
            }
            self.gateways[fallback] = self.stack.enter_context(
                Command("rec_sys.serving.gateway", ["inference=triton", *overrides(settings)])
            )
        for fallback, gateway in self.gateways.items():
            url = gateway.wait_for(("gateway",), "listening")["gateway"]
            self.clients[fallback] = self.stack.enter_context(httpx.Client(base_url=url, timeout=600))

    def start_triton(self) -> Command:
        settings = {
            "triton.model_repository": self.output_dir / "models",
            "triton.restarts": 0,  # the tests start it again when they have seen what happens without it
            **{f"triton.{name}_port": getattr(self.ports, name) for name in ("grpc", "http", "metrics")},
        }
        command = self.stack.enter_context(Command("triton_utils.server", overrides(settings)))
        command.wait_for(("grpc",), "ready")
        return command

    def kill_triton(self) -> None:
        [server] = psutil.Process(self.triton.process.process_id).children()
        os.kill(server.pid, signal.SIGKILL)
        assert until(lambda: self.triton.process.exit_code is not None)

    def ask(self, fallback: str = "none", **others: Any) -> httpx.Response:
        return self.clients[fallback].post("/v1/recommendations", json={"reviews": self.reviews, "limit": 8} | others)

    def answer(self, fallback: str = "none", **others: Any) -> RecommendationAnswer:
        response = self.ask(fallback, **others)
        assert response.status_code == 200, response.text
        return RecommendationAnswer.model_validate_json(response.content)


@pytest.fixture(scope="module")
def road(demo: Demo) -> Iterator[Road]:
    road = Road(demo.served_dir)
    with road.stack:
        yield road


# ---- the demo ----


def test_the_demo_prints_three_curl_lines_and_then_ready(demo: Demo) -> None:
    assert len(demo.curl_lines) == 3
    assert demo.said[-4:] == [*demo.curl_lines, "ready"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_each_curl_line_is_answered_with_products(demo: Demo) -> None:
    known, sent, searched = demo.answers
    assert [len(answer["products"]) for answer in demo.answers] == [3, 3, 3]
    assert known["known_user"]
    assert known["products"][0]["reasons"]
    assert sent["reviews_used"] == 2
    assert {product["source"] for product in searched["products"]} == {"text"}
    assert {answer["versions"]["bundle"] for answer in demo.answers} == {find_bundle(None, demo.served_dir).identity}
    assert sent["versions"]["towers"].startswith("triton")


def test_a_signal_ends_the_demo_and_all_that_it_started(demo: Demo) -> None:
    assert demo.code == 128 + signal.SIGTERM
    assert len(demo.started) >= 5  # Triton's launcher, Triton, its helpers, the gateway
    assert demo.left == []
    assert demo.seconds < 30


# ---- the road ----


def assert_alike(found: ProductsAnswer, expected: ProductsAnswer) -> None:
    """The same products for the same reasons; sums may be rounded otherwise in the other runtime."""
    assert [product.asin for product in found.products] == [product.asin for product in expected.products]
    assert found.products
    for one, other in zip(found.products, expected.products, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-3)
        assert one.source == other.source
        assert [reason.asin for reason in one.reasons] == [reason.asin for reason in other.reasons]
        assert [reason.weight for reason in one.reasons] == pytest.approx(
            [reason.weight for reason in other.reasons], abs=1e-4
        )


def test_answers_over_http_and_triton_are_those_given_in_process(road: Road) -> None:
    settings = compose_settings([f"output_dir={json.dumps(str(road.output_dir))}"], GatewaySettings, "gateway")
    assert settings.inference.runtime == "in_process"

    sent_reviews = RecommendationRequest.model_validate({"reviews": road.reviews, "limit": 8})

    async def in_process() -> tuple[RecommendationAnswer, RecommendationAnswer, ProductsAnswer, ProductsAnswer]:
        async with Recommender(settings.index, settings.inference, settings.output_dir) as recommender:
            return (
                await recommender.recommend(sent_reviews),
                await recommender.recommend(RecommendationRequest(user_id=road.user_id, limit=8)),
                await recommender.similar(road.asins[3], Page(limit=8)),
                await recommender.search(road.title, Page(limit=8)),
            )

    sent, known, similar, searched = asyncio.run(in_process())
    client = road.clients["none"]
    assert_alike(road.answer(), sent)
    address = f"/v1/users/{road.user_id}/recommendations?limit=8"
    assert_alike(RecommendationAnswer.model_validate_json(client.get(address).content), known)
    assert_alike(
        ProductsAnswer.model_validate_json(client.get(f"/v1/products/{road.asins[3]}/similar?limit=8").content), similar
    )
    words = {"q": road.title, "limit": 8}
    found = ProductsAnswer.model_validate_json(client.get("/v1/products/search", params=words).content)
    assert_alike(found, searched)
    assert found.products[0].title == road.title


def tower_inputs(bundle: Bundle, rows: list[int], ratings: list[float], days: list[float]) -> dict[str, np.ndarray]:
    """What the user tower takes of reviews without text, newest first, from what the bundle holds."""
    padded = np.zeros((1, 8), dtype=np.float32)
    count = len(rows)
    inputs = {name: padded.copy() for name in (TowerTensor.HAS_TEXT, TowerTensor.RATING, TowerTensor.AGE)}
    inputs[TowerTensor.RATING][0, :count] = ratings
    inputs[TowerTensor.AGE][0, :count] = days
    inputs[TowerTensor.MASK] = (np.arange(8) < count).astype(np.float32)[None]
    inputs[TowerTensor.REVIEW_TEXT] = np.zeros((1, 8, bundle.manifest.text_dim), dtype=np.float32)
    inputs[TowerTensor.PRODUCT_INPUTS] = np.zeros((1, 8, bundle.manifest.dim), dtype=np.float32)
    inputs[TowerTensor.PRODUCT_INPUTS][0, :count] = bundle.product_vectors()[ProductVector.INPUT][rows]
    return inputs


def infer(client: Any, inputs: dict[str, np.ndarray], model: str = ServedModel.USER_TOWER) -> Any:
    types = {"f": "FP32", "d": "FP64", "l": "INT64"}
    tensors = [
        triton.InferInput(name, list(array.shape), types[array.dtype.char]).set_data_from_numpy(array)
        for name, array in inputs.items()
    ]
    return client.infer(model, tensors, client_timeout=100)


def test_a_user_vector_asked_of_triton_directly_ranks_as_the_gateway_does(road: Road) -> None:
    bundle, asins = road.bundle, road.asins
    rows = [asins.index(review["asin"]) for review in road.reviews]
    with triton.InferenceServerClient(road.triton_url) as client:
        result = infer(client, tower_inputs(bundle, rows, [5, 4, 1], [0, 20, 90]))
    [vector] = result.as_numpy(TowerTensor.USER_VECTOR)
    [weights] = result.as_numpy(TowerTensor.REVIEW_WEIGHTS)

    scores = bundle.product_vectors()[ProductVector.OUTPUT] @ vector / bundle.manifest.score.temperature
    memory = bundle.memory()
    assert memory is not None
    for place, row in enumerate(rows):
        entries = slice(*memory[MemoryTensor.OFFSETS][[row, row + 1]])
        share = bundle.manifest.score.memory_weight * bundle.manifest.score.recency**place
        scores[memory[MemoryTensor.NEIGHBOURS][entries]] += share * memory[MemoryTensor.WEIGHTS][entries]
    scores[rows] = -np.inf
    best = np.argsort(-scores)[:8]

    without_text = [{key: value for key, value in review.items() if key != "text"} for review in road.reviews]
    answer = road.answer(reviews=without_text)
    assert [product.asin for product in answer.products] == [asins[row] for row in best]
    assert [product.score for product in answer.products] == pytest.approx(scores[best].tolist(), abs=1e-3)
    told = {reason.asin: reason.weight for product in answer.products for reason in product.reasons}
    for place, review in enumerate(road.reviews):
        assert told.get(review["asin"], weights[place]) == pytest.approx(weights[place], abs=1e-4)


def test_what_does_not_fit_the_tower_is_refused_over_grpc_and_ends_nothing(road: Road) -> None:
    sound = tower_inputs(road.bundle, [0], [5], [0])
    rating = sound[TowerTensor.RATING]
    faults: dict[str, tuple[dict[str, np.ndarray], str]] = {
        "dtype": (sound | {TowerTensor.RATING: rating.astype(np.float64)}, "rating"),
        "shape": (sound | {TowerTensor.PRODUCT_INPUTS: np.zeros((1, 8, 3), dtype=np.float32)}, "product_inputs"),
        "missing": ({name: array for name, array in sound.items() if name != TowerTensor.MASK}, "mask|expected 6"),
        "unknown": (sound | {"colour": rating}, "colour|expected 6"),
    }
    with triton.InferenceServerClient(road.triton_url) as client:
        for inputs, said in faults.values():
            with pytest.raises(InferenceServerException, match=said) as refused:
                infer(client, inputs)
            assert "INVALID_ARGUMENT" in str(refused.value.status())
        with pytest.raises(InferenceServerException, match="oracle"):
            infer(client, sound, "oracle")
        vector = infer(client, sound).as_numpy(TowerTensor.USER_VECTOR)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-4)


def test_numbers_that_are_none_are_refused_by_our_client_and_spoil_only_their_own_answer_without_it(road: Road) -> None:
    sound = tower_inputs(road.bundle, [0], [5], [0])
    spoilt = sound | {TowerTensor.RATING: np.full((1, 8), np.nan, dtype=np.float32)}

    async def ask_ours() -> None:
        async with TritonClient(road.triton_url) as client:
            await client.infer(ServedModel.USER_TOWER, spoilt)

    with pytest.raises(InputError, match="nan") as refused:
        asyncio.run(ask_ours())
    assert "rating" in refused.value.where
    with triton.InferenceServerClient(road.triton_url) as client:
        assert np.isnan(infer(client, spoilt).as_numpy(TowerTensor.USER_VECTOR)).all()
        assert np.isfinite(infer(client, sound).as_numpy(TowerTensor.USER_VECTOR)).all()


def test_a_body_that_is_too_large_is_refused_and_not_cut_off(road: Road, tmp_path: Path) -> None:
    client, body = (
        road.clients["none"],
        json.dumps({"reviews": [{"asin": road.asins[3], "text": "x" * 3_000_000}]}).encode(),
    )
    headers = {"Content-Type": "application/json"}
    parts = (body[start : start + 65_536] for start in range(0, len(body), 65_536))
    for content in (body, parts):
        response = client.post("/v1/recommendations", content=content, headers=headers)
        assert (response.status_code, response.json()["where"]) == (413, "body")
    if shutil.which("curl"):  # which asks before it sends so much
        (tmp_path / "body.json").write_bytes(body)
        command = ["curl", "-s", f"{client.base_url}/v1/recommendations", "--data-binary", f"@{tmp_path / 'body.json'}"]
        done = subprocess.run([*command, "-H", "Content-Type: application/json"], capture_output=True, timeout=600)
        assert json.loads(done.stdout)["status"] == 413
    assert road.ask().status_code == 200


def test_both_tell_prometheus_what_the_dashboard_shows(road: Road) -> None:
    dashboard = (CONTAINER / "grafana" / "dashboards" / "rec_sys.json").read_text(encoding="utf-8")
    wanted = set(re.findall(r"\b(?:nv|gateway)_[a-z_]+", dashboard))
    assert len(wanted) > 15
    road.answer()
    road.clients["none"].get("/health/ready")
    with urlopen(f"http://127.0.0.1:{road.ports.metrics}/metrics") as response:
        told = response.read().decode()
    told += road.clients["none"].get("/metrics").text
    assert {name for name in wanted if f"\n{name}" not in told and f"# TYPE {name} " not in told} == set()


def another_bundle(bundle: Bundle) -> Bundle:
    """A later bundle beside the given one, whose product vectors have changed places."""
    folder = bundle.folder.with_name("later")
    shutil.copytree(bundle.folder, folder)
    vectors = bundle.product_vectors()
    vectors[ProductVector.OUTPUT] = np.ascontiguousarray(vectors[ProductVector.OUTPUT][::-1])
    (folder / BundleFile.PRODUCT_VECTORS).write_bytes(safetensors.numpy.save(vectors))
    note_anew(folder, created="2099-01-01T00:00:00+00:00")
    return Bundle(folder)


def test_another_bundle_is_published_and_rolled_back_while_many_ask(road: Road) -> None:
    later = another_bundle(road.bundle)
    settings = compose_settings(
        [*overrides({"output_dir": road.output_dir}), "index.progress=false"], GatewaySettings, "gateway"
    )
    assert isinstance(settings.index, EdgeIndex)
    publisher = EdgePublisher(settings.index)
    tower = later.tower(TowerFile.USER)
    options = tower_options(ExportSettings(), later.manifest.user_reviews)
    responses: list[httpx.Response] = []
    done = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=road.clients["none"].base_url, timeout=600) as client:
            while not done.is_set():
                responses.append(client.post("/v1/recommendations", json={"reviews": road.reviews, "limit": 5}))

    asking = [threading.Thread(target=ask) for _ in range(4)]
    for thread in asking:
        thread.start()
    try:
        first = road.answer(limit=5)
        # In the order of the README: first the towers, and when Triton serves them, the products.
        models = ModelRepository(road.output_dir / "models")
        published = models.publish(Candidate(ServedModel.USER_TOWER, tower, later.identity, options))
        with triton.InferenceServerClient(road.triton_url) as client:
            assert until(lambda: client.is_model_ready(ServedModel.USER_TOWER, str(published.version)), 200)
        publisher.publish(read_catalogue(later))
        second = road.answer(limit=5)
        publisher.rollback()
        third = road.answer(limit=5)
    finally:
        done.set()
        for thread in asking:
            thread.join()

    assert [answer.versions.bundle for answer in (first, second, third)] == [
        road.bundle.identity,
        later.identity,
        road.bundle.identity,
    ]
    assert first.versions.towers != second.versions.towers
    whole = {answer.versions.bundle: answer for answer in (first, second)}
    assert [one.asin for one in first.products] != [one.asin for one in second.products]
    assert len(responses) > 10
    for response in responses:
        assert response.status_code == 200, response.text
        answer = RecommendationAnswer.model_validate_json(response.content)
        expected = whole[answer.versions.bundle]
        assert answer.versions == expected.versions
        assert_alike(answer, expected)


def test_without_triton_one_gateway_refuses_and_the_other_stands_in_until_it_is_back(road: Road) -> None:
    before = road.answer()
    assert before.versions.towers.startswith("triton")
    assert [client.get("/health/ready").status_code for client in road.clients.values()] == [200, 200]
    road.kill_triton()

    refused, fallback = road.ask(), road.answer("in_process")
    health = road.clients["none"].get("/health/ready")

    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) >= 1
    problem = refused.json()
    assert "Triton" in problem["error"]
    assert problem["request_id"] == refused.headers["X-Request-ID"]
    assert health.status_code == 503
    assert [part["part"] for part in health.json()["parts"] if not part["ready"]] == ["triton"]
    assert road.clients["none"].get("/health/live").status_code == 200
    assert road.clients["none"].get(f"/v1/products/{road.asins[3]}/similar").status_code == 200
    assert (fallback.fallback, fallback.versions.towers) == ("in_process", "in_process")
    assert "Triton" in (fallback.fallback_reason or "")
    assert_alike(fallback, before)
    assert road.clients["in_process"].get("/health/ready").status_code == 200

    road.start_triton()
    assert until(lambda: road.ask().status_code == 200, 200)
    assert road.clients["none"].get("/health/ready").status_code == 200
    assert_alike(road.answer(), before)
    assert until(lambda: road.answer("in_process").fallback is None, 200)


def test_a_gateway_that_is_asked_to_end_ends_at_once(road: Road) -> None:
    gateway = road.gateways["in_process"]
    os.kill(gateway.process.process_id, signal.SIGTERM)
    assert until(lambda: gateway.process.exit_code is not None, 150)
    assert gateway.process.exit_code == 128 + signal.SIGTERM
    with pytest.raises(httpx.ConnectError):
        road.clients["in_process"].get("/health/live")
