"""The recommender on a Qdrant server answers as on Edge, follows the alias, and says when the server is away."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from rec_sys.inference.contract import (
    Filter,
    Page,
    ProductsAnswer,
    RecommendationRequest,
    Review,
    ServingUnavailable,
    UnknownProductError,
)
from rec_sys.inference.recommender import Recommender
from rec_sys.settings import EdgeIndex, IndexSettings, InferenceSettings, ServerIndex
from rec_sys.vector_database.catalogue import read_catalogue
from rec_sys.vector_database.opening import open_publisher
from tests.product_indexes import quick_folder
from tests.qdrant_over_http import Wire, qdrant_over_http
from tests.serving_bundles import write_serving_bundle

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # the in-memory mode says what it lacks
REQUESTS = (
    *(RecommendationRequest(user_id=f"user {number}", limit=6) for number in range(10)),
    RecommendationRequest(reviews=(Review(asin="p1", rating=5), Review(asin="p9", rating=2))),
    RecommendationRequest(user_id="user 1", filter=Filter(categories_any=("Kind 2",), max_price=50), offset=2, limit=4),
    RecommendationRequest(user_id="user 2", diversity=0.7),
    RecommendationRequest(),
)


@pytest.fixture
def wire() -> Iterator[Wire]:
    with qdrant_over_http() as wire:
        yield wire


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as folder:
        yield folder


def settings_of(folder: Path, wire: Wire) -> tuple[EdgeIndex, ServerIndex]:
    common = {"check_queries": 4, "progress": False}
    return (
        EdgeIndex.model_validate({"backend": "edge", "folder": folder / "index", **common}),
        ServerIndex.model_validate({"backend": "server", "url": wire.url, "timeout": 60, **common}),
    )


async def ask_everything(index: IndexSettings, folder: Path) -> list[ProductsAnswer]:
    async with Recommender(index, InferenceSettings(), folder) as recommender:
        answers = await asyncio.gather(*map(recommender.recommend, REQUESTS))
        return [*answers, await recommender.similar("p4", Page(limit=5))]


def test_a_server_and_edge_give_the_same_answers(folder: Path, wire: Wire) -> None:
    catalogue = read_catalogue(write_serving_bundle(folder / "bundles" / "first"))
    edge, server = settings_of(folder, wire)
    for index in (edge, server):
        open_publisher(index).publish(catalogue)
    here, there = (asyncio.run(ask_everything(index, folder)) for index in (edge, server))
    for one, other in zip(here, there, strict=True):
        assert [product.asin for product in one.products] == [product.asin for product in other.products]
        assert one.versions == other.versions
        for first, second in zip(one.products, other.products, strict=True):
            assert first.score == pytest.approx(second.score, abs=1e-4)
            assert first.memory_score == pytest.approx(second.memory_score, abs=1e-4)
            assert [reason.asin for reason in first.reasons] == [reason.asin for reason in second.reasons]


def test_a_turned_alias_is_followed_and_a_server_that_is_away_is_named(folder: Path, wire: Wire) -> None:
    first, second = (write_serving_bundle(folder / "bundles" / str(seed), seed=seed) for seed in range(2))
    _, server = settings_of(folder, wire)
    publisher = open_publisher(server)
    publisher.publish(read_catalogue(first))
    request = RecommendationRequest(user_id="user 1")

    async def across() -> None:
        async with Recommender(server, InferenceSettings(retry_after_seconds=3), folder) as recommender:
            assert (await recommender.recommend(request)).versions.bundle == first.identity
            await asyncio.to_thread(publisher.publish, read_catalogue(second))
            assert (await recommender.recommend(request)).versions.bundle == second.identity
            with pytest.raises(UnknownProductError):
                await recommender.similar("nothing", Page())
            for status in (503, 401):
                wire.refuse = lambda request, status=status: status  # type: ignore[misc]
                with pytest.raises(ServingUnavailable) as away:
                    await recommender.recommend(request)
                assert (away.value.component, away.value.retry_after) == ("index", 3)
                with pytest.raises(ServingUnavailable):
                    await recommender.similar("p1", Page())
                assert not (await recommender.health()).ready
            wire.refuse = lambda request: None
            assert (await recommender.recommend(request)).versions.bundle == second.identity
            assert (await recommender.health()).ready

    asyncio.run(across())
