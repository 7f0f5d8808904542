"""Encoders of other widths from training to an answer: embedded, trained with, indexed, exported, served by Triton."""

import asyncio
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from rec_sys.bundle import Bundle
from rec_sys.contracts import ServedModel
from rec_sys.entry import compose_settings
from rec_sys.inference.contract import Page, ProductsAnswer, RecommendationRequest, Review
from rec_sys.inference.health_messages import ModelCard
from rec_sys.inference.recommender import Recommender
from rec_sys.modules.publication import publish_bundle
from rec_sys.serving.application import create_application
from rec_sys.serving.gateway import GatewaySettings
from rec_sys.settings import EdgeIndex, ExportSettings, InferenceSettings, TritonSettings
from rec_sys.vector_database.catalogue import read_catalogue
from rec_sys.vector_database.edge_index import EdgePublisher
from tests.tiny_transformers import TINY_DIM, TINY_TOKENS, write_tiny_transformer
from tests.training_runs import train_here, write_table
from tests.triton_servers import needs_core
from triton_utils.model_config import CONFIG_FILE, read_config
from triton_utils.server import TritonServer

REVIEWS = (Review(asin="p1", text="Bright strings, great tone."), Review(asin="p5", text="It broke.", rating=1))
STATIC_DIM = 12
WORDS = ("strings", "guitar", "cable", "amp", "pick", "sound", "tone", "bright", "dull", "broke")


@dataclass
class Road:
    """A trained bundle, its index, and the models for Triton."""

    folder: Path
    bundle: Bundle
    published: tuple[str, ...]

    @property
    def triton(self) -> TritonSettings:
        ports = {"grpc_port": 0, "http_port": 0, "metrics_port": 0}
        return TritonSettings.model_validate({"model_repository": self.folder / "models", "poll_seconds": 0, **ports})

    def ask(self, **inference: Any) -> tuple[ProductsAnswer, ModelCard]:
        index = EdgeIndex(backend="edge", folder=self.folder / "index")

        async def asked() -> tuple[ProductsAnswer, ModelCard]:
            async with Recommender(index, InferenceSettings(**inference), self.folder) as recommender:
                found = await recommender.recommend(RecommendationRequest(reviews=REVIEWS, limit=5))
                assert found.reviews_used == 2
                [card] = [card for card in await recommender.models() if card.name == ServedModel.TEXT_ENCODER]
                assert await recommender.search("great tone", Page())
                return found, card

        return asyncio.run(asked())


def walk(folder: Path, caplog: pytest.LogCaptureFixture, *text: str) -> Road:
    """Trains with an encoder, and publishes what comes out to an index and to Triton's repository."""
    data = [choice for choice in write_table(folder) if not choice.startswith("text")]
    table = folder / "reviews.csv"  # whose texts are numbers, which the model's words do not tell apart
    table.write_text(re.sub(r"text (\d+)", _in_words, table.read_text()))
    run = train_here(caplog, folder, *data, *text, "text.num_threads=1", "text.device=cpu", towers=True)
    index = EdgeIndex(backend="edge", folder=folder / "index", check_queries=4, progress=False)
    EdgePublisher(index).publish(read_catalogue(run.bundle))
    road = Road(folder, run.bundle, ())
    export = ExportSettings(lengths=(8,), token_lengths=(8,), check="onnxruntime")
    with caplog.at_level(logging.INFO, "rec_sys"):
        published = publish_bundle(run.bundle, export, road.triton, folder / "text")
    return Road(folder, run.bundle, tuple(one.name for one in published))


def _in_words(found: re.Match[str]) -> str:
    return " ".join(WORDS[int(digit)] for digit in found[1])


@needs_core
def test_a_transformer_of_another_width_is_served_by_triton_as_it_was_trained(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = write_tiny_transformer(tmp_path / "tiny")
    road = walk(tmp_path, caplog, "text=sentence_transformer", f"text.model={model}")
    assert road.bundle.manifest.text_dim == TINY_DIM
    assert road.published == (ServedModel.USER_TOWER, ServedModel.PRODUCT_TOWER, ServedModel.TEXT_ENCODER)
    config = read_config(road.folder / "models" / ServedModel.TEXT_ENCODER / CONFIG_FILE)
    assert list(config.output[0].dims) == [TINY_DIM]
    here, own = road.ask()
    assert own.details == {
        "encoder": "sentence_transformer",
        "model": str(model),
        "precision": "fp32",
        "dim": TINY_DIM,
        "max_tokens": TINY_TOKENS,
        "device": "cpu",
    }
    with TritonServer(road.triton) as server:
        there, served = road.ask(runtime="triton", triton_url=server.endpoints.grpc, deadline_seconds=60)
    assert (own.runtime, served.runtime, served.details) == ("in_process", "triton", own.details)
    assert [product.asin for product in there.products] == [product.asin for product in here.products]
    scores = [[product.score for product in answer.products] for answer in (here, there)]
    assert scores[1] == pytest.approx(scores[0], abs=1e-3)


@needs_core
def test_an_encoder_that_triton_cannot_run_is_run_by_whoever_serves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = write_tiny_transformer(tmp_path / "tiny")
    road = walk(tmp_path, caplog, "text=static", f"text.model={model}", f"text.static_dim={STATIC_DIM}")
    assert road.bundle.manifest.text_dim == STATIC_DIM
    assert road.published == (ServedModel.USER_TOWER, ServedModel.PRODUCT_TOWER)
    assert "Triton does not get it, and the gateway embeds in its own process" in caplog.text
    with TritonServer(road.triton) as server:
        found, card = road.ask(runtime="triton", triton_url=server.endpoints.grpc, deadline_seconds=60)
    assert (card.runtime, card.details["encoder"], card.details["dim"]) == ("in_process", "static", STATIC_DIM)
    assert found.fallback is None


@needs_core
def test_a_bundle_of_the_memory_alone_with_word_vectors_answers_over_http_as_it_was_trained(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    road = walk(tmp_path, caplog, "experiment=fast", f"text.static_dim={STATIC_DIM}")
    assert road.published == (ServedModel.USER_TOWER, ServedModel.PRODUCT_TOWER)
    assert road.bundle.settings()["model"]["tower"] == "none"
    asked = {"reviews": [review.model_dump(exclude_none=True) for review in REVIEWS], "limit": 5}
    answers = []
    with TritonServer(road.triton) as server:
        through = "inference=triton", f"inference.triton_url={server.endpoints.grpc}", "inference.deadline_seconds=60"
        for inference in ((), through):
            given = f"output_dir={tmp_path}", f"index.folder={tmp_path / 'index'}", *inference
            settings = compose_settings(list(given), GatewaySettings, "gateway")
            recommender = Recommender(settings.index, settings.inference, tmp_path)
            with TestClient(create_application(settings.serving, recommender)) as client:
                response = client.post("/v1/recommendations", json=asked)
                assert response.status_code == 200, response.text
                answers.append(response.json())
                alike = client.get("/v1/products/p1/similar")
                assert alike.status_code == 200, alike.text
                kinds = [int(product["asin"][1:]) % 3 for product in alike.json()["products"]]
                assert kinds[:5].count(1) >= 3  # the kind that is reviewed together with it
    here, there = answers
    assert there["fallback"] is None
    assert [one["source"] for one in here["products"]] == ["memory"] * 5
    assert [one["asin"] for one in there["products"]] == [one["asin"] for one in here["products"]]
    assert here["reviews_used"] == 2
