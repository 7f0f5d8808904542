"""The recommender through the real Triton and with real texts: answers as in process, and what if it is away."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from rec_sys.bundle import Bundle
from rec_sys.contracts import ServedModel, TowerFile
from rec_sys.inference.contract import (
    Page,
    ProductsAnswer,
    RecommendationAnswer,
    RecommendationRequest,
    Review,
    ServingUnavailable,
    UnknownUserError,
)
from rec_sys.inference.recommender import Recommender
from rec_sys.settings import EdgeIndex, ExportSettings, InferenceSettings, TextSettings, TritonSettings
from rec_sys.text.encoder import TextEncoder
from rec_sys.text.opening import open_encoder
from rec_sys.vector_database.catalogue import read_catalogue
from rec_sys.vector_database.edge_index import EdgePublisher
from tests.product_indexes import quick_folder
from tests.serving_bundles import USER_REVIEWS, PlainReview, expected_answer, write_serving_bundle
from tests.triton_servers import needs_core
from triton_utils.model_config import text_options, tower_options
from triton_utils.repository import Candidate, ModelRepository
from triton_utils.server import TritonServer

Result = TypeVar("Result")
Question = Callable[[Recommender], Awaitable[Result]]

TEXT = TextSettings(num_threads=2, device="cpu")
EXPORT = ExportSettings(text_threads=2, lengths=(8,), token_lengths=(32, 256))
REVIEWS = (
    Review(asin="p1", title="Warm sound", text="The best strings that I have played.", rating=5),
    Review(asin="p2", text="Broke after a week, and nobody answered."),
    Review(asin="from elsewhere", text="A fine microphone for a small room.", rating=4),
    Review(asin="also from elsewhere", rating=4),
)


@dataclass
class Road:
    """Bundles, index and models in one folder, and the server."""

    folder: Path
    encoder: TextEncoder
    server: TritonServer
    repository: ModelRepository

    @property
    def edge(self) -> EdgeIndex:
        return EdgeIndex.model_validate(
            {"backend": "edge", "folder": self.folder / "index", "check_queries": 4, "progress": False}
        )

    def write_bundle(self, name: str, seed: int, **more: Any) -> Bundle:
        folder = self.folder / "bundles" / name
        return write_serving_bundle(folder, seed=seed, text=TEXT, text_encoder=self.encoder.encoder_id, **more)

    def publish_tower(self, bundle: Bundle) -> None:
        options = tower_options(EXPORT, USER_REVIEWS)
        self.repository.publish(
            Candidate(ServedModel.USER_TOWER, bundle.tower(TowerFile.USER), bundle.identity, options)
        )

    def publish(self, bundle: Bundle) -> None:
        """Serves a bundle's products."""
        EdgePublisher(self.edge).publish(read_catalogue(bundle))

    def recommender(self, **inference: Any) -> Recommender:
        return Recommender(self.edge, InferenceSettings(**inference), self.folder)

    def through_triton(self) -> dict[str, Any]:
        return {"runtime": "triton", "triton_url": self.server.endpoints.grpc, "deadline_seconds": 20}

    def ask(self, question: Question[Result], **inference: Any) -> Result:
        async def asked() -> Result:
            async with self.recommender(**inference) as recommender:
                return await question(recommender)

        return asyncio.run(asked())


@pytest.fixture(scope="module")
def road(text_cache_dir: Path) -> Iterator[Road]:
    with quick_folder() as folder:
        (folder / "text").symlink_to(text_cache_dir)
        encoder = open_encoder(TEXT, text_cache_dir)
        repository = ModelRepository(folder / "models")
        settings = {"model_repository": repository.folder, "poll_seconds": 1, "log_path": folder / "triton.log"}
        ports = {"grpc_port": 0, "http_port": 0, "metrics_port": 0}
        server = TritonServer(TritonSettings.model_validate(settings | ports))
        found = Road(folder, encoder, server, repository)
        first = found.write_bundle("first", 0)
        found.publish_tower(first)
        found.publish(first)
        repository.publish(
            Candidate(ServedModel.TEXT_ENCODER, encoder.export(), encoder.encoder_id, text_options(EXPORT, 256))
        )
        yield found


@pytest.fixture(scope="module")
def served(road: Road) -> Iterator[Road]:
    with road.server:
        yield road


def assert_equal(one: ProductsAnswer, other: ProductsAnswer) -> None:
    assert [product.asin for product in one.products] == [product.asin for product in other.products]
    for first, second in zip(one.products, other.products, strict=True):
        assert first.score == pytest.approx(second.score, abs=1e-3)
        assert first.source == second.source
        assert [reason.asin for reason in first.reasons] == [reason.asin for reason in second.reasons]
        weights = [[reason.weight for reason in product.reasons] for product in (first, second)]
        assert np.allclose(*weights, atol=1e-4)


def test_texts_that_are_sent_are_read_and_what_cannot_be_used_is_named(road: Road) -> None:
    bundle = Bundle(road.folder / "bundles" / "first")
    answer = road.ask(lambda recommender: recommender.recommend(RecommendationRequest(reviews=REVIEWS, limit=5)))
    texts = [
        "Warm sound. The best strings that I have played.",
        "Broke after a week, and nobody answered.",
        "A fine microphone for a small room.",
    ]
    vectors = road.encoder.encode(texts)
    newest_first = [
        PlainReview(None, 4, None, vectors[2]),
        PlainReview(2, None, None, vectors[1]),
        PlainReview(1, 5, None, vectors[0]),
    ]
    scores, attention, _ = expected_answer(bundle, newest_first)
    order = [row for row in np.argsort(-scores) if row not in (1, 2)][:5]
    assert [product.asin for product in answer.products] == [f"p{row}" for row in order]
    assert [product.score for product in answer.products] == pytest.approx(scores[order], abs=1e-2)
    assert [(ignored.field, ignored.asin) for ignored in answer.ignored] == [("reviews[3]", "also from elsewhere")]
    reasons = {reason.asin: reason for product in answer.products for reason in product.reasons}
    assert reasons["p1"].snippet == texts[0]
    assert reasons["p1"].weight == pytest.approx(attention[2], abs=1e-3)


def test_a_text_is_embedded_once(road: Road) -> None:
    async def twice(recommender: Recommender) -> list[RecommendationAnswer]:
        request = RecommendationRequest(reviews=REVIEWS)
        return [await recommender.recommend(request), await recommender.recommend(request)]

    first, second = road.ask(twice)
    assert_equal(first, second)
    assert second.times.text < 0.2 * first.times.text


def test_a_search_finds_the_products_whose_text_means_the_like(road: Road) -> None:
    bundle = Bundle(road.folder / "bundles" / "first")
    [vector] = road.encoder.encode(["a warm microphone"])
    answer = road.ask(lambda recommender: recommender.search(" a warm microphone ", Page(limit=3)))
    cosine = bundle.product_vectors()["text"] @ vector
    assert [product.asin for product in answer.products] == [f"p{row}" for row in np.argsort(-cosine)[:3]]
    assert {product.source for product in answer.products} == {"text"}


@needs_core
def test_triton_and_this_process_give_the_same_answers(served: Road) -> None:
    requests = [RecommendationRequest(user_id=f"user {number}", limit=8) for number in range(20)]
    requests += [RecommendationRequest(reviews=REVIEWS), RecommendationRequest()]

    async def all_of_it(recommender: Recommender) -> list[ProductsAnswer]:
        alone = [await recommender.recommend(request) for request in requests[-3:]]
        found = await recommender.search("a warm microphone", Page(limit=5))
        together = await asyncio.gather(*map(recommender.recommend, requests))
        return [*together, *alone, found]

    here, there = served.ask(all_of_it), served.ask(all_of_it, **served.through_triton())
    for one, other in zip(here, there, strict=True):
        assert_equal(one, other)
    assert there[0].versions.towers == "triton, version 1"
    assert there[0].fallback is None


@needs_core
def test_health_and_models_name_the_versions_in_triton(served: Road) -> None:
    async def look(recommender: Recommender) -> Any:
        return await recommender.health(), await recommender.models()

    health, models = served.ask(look, **served.through_triton())
    assert health.ready
    assert {part.part: part.detail for part in health.parts}["triton"] == "user_tower, version 1"
    assert [(model.name, model.runtime) for model in models] == [
        ("user_tower", "triton"),
        ("text_encoder", "triton"),
        ("memory", "edge"),
        ("product_index", "edge"),
    ]


@needs_core
def test_a_bundle_is_answered_from_once_triton_and_the_index_have_it(served: Road) -> None:
    async def across(recommender: Recommender) -> list[Any]:
        request = RecommendationRequest(user_id="user 3", limit=3)
        before = await recommender.recommend(request)
        # The index turns first: what Triton has not loaded yet answers nobody, whoever asks.
        second = await asyncio.to_thread(served.write_bundle, "second", 1, num_users=50)
        await asyncio.to_thread(served.publish, second)
        meanwhile = [await recommender.recommend(request) for _ in range(3)]
        meanwhile += [await recommender.similar("p1", Page(limit=3))]
        assert {answer.versions.bundle for answer in meanwhile} == {before.versions.bundle}
        assert_equal(before, meanwhile[0])
        assert (await recommender.health()).ready
        with pytest.raises(ServingUnavailable, match="user 45 is known to a bundle that is being published"):
            await recommender.recommend(RecommendationRequest(user_id="user 45"))
        with pytest.raises(UnknownUserError):
            await recommender.recommend(RecommendationRequest(user_id="user 55"))
        await asyncio.to_thread(served.publish_tower, second)
        after: Any = before
        for _ in range(100):  # Triton looks for new versions once a second
            after = await recommender.recommend(request)
            if after.versions.bundle == second.identity:
                break
            assert_equal(before, after)
            await asyncio.sleep(0.1)
        await recommender.recommend(RecommendationRequest(user_id="user 45"))
        EdgePublisher(served.edge).rollback()
        return [before, after, await recommender.recommend(request)]

    before, after, back = served.ask(across, **served.through_triton())
    first, second = (Bundle(served.folder / "bundles" / name).identity for name in ("first", "second"))
    assert [answer.versions.bundle for answer in (before, after, back)] == [first, second, first]
    towers = [answer.versions.towers for answer in (before, after, back)]
    assert towers == ["triton, version 1", "triton, version 2", "triton, version 1"]
    assert_equal(before, back)


@needs_core
def test_answers_come_again_once_triton_is_back(road: Road) -> None:
    request = RecommendationRequest(user_id="user 1", limit=3)

    async def across() -> None:
        async with (
            road.recommender(**there) as recommender,
            road.recommender(fallback="in_process", **there) as replaced,
        ):
            plain = await recommender.recommend(request)
            await asyncio.to_thread(road.server.stop)
            with pytest.raises(ServingUnavailable) as away:
                await recommender.recommend(request)
            assert away.value.component == "triton"
            fallback = await replaced.recommend(request)
            assert (fallback.fallback, fallback.versions.towers) == ("in_process", "in_process")
            assert_equal(plain, fallback)
            again = TritonServer(settings)
            await asyncio.to_thread(again.start)
            try:
                await asyncio.sleep(1.5)  # a connection notices within a second that its server is back
                assert_equal(plain, await recommender.recommend(request))
                assert (await replaced.recommend(request)).fallback is None
            finally:
                await asyncio.to_thread(again.stop)

    road.server.stop()
    with road.server:
        there = road.through_triton()
        port = int(road.server.endpoints.grpc.rpartition(":")[2])
        settings = TritonSettings(
            model_repository=road.repository.folder, grpc_port=port, http_port=0, metrics_port=0, poll_seconds=0
        )
        asyncio.run(across())
