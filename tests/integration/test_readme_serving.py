"""The raw example of the README works as it stands there: Triton and Qdrant alone say what the recommender says."""

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rec_sys.bundle import Bundle
from rec_sys.contracts import ServedModel, TowerFile
from rec_sys.inference.contract import RecommendationRequest, Review
from rec_sys.inference.recommender import Recommender
from rec_sys.settings import EdgeIndex, ExportSettings, InferenceSettings, TritonSettings
from rec_sys.vector_database.catalogue import read_catalogue
from rec_sys.vector_database.edge_index import EdgePublisher
from tests.product_indexes import quick_folder
from tests.serving_bundles import USER_REVIEWS, write_serving_bundle
from tests.triton_servers import needs_core
from triton_utils.model_config import tower_options
from triton_utils.repository import Candidate, ModelRepository
from triton_utils.server import TritonServer

ROOT = Path(__file__).resolve().parents[2]
READMES = (ROOT / "README.md", *sorted(ROOT.glob("rec_sys/**/README.md")), *sorted(ROOT.glob("triton_utils/*.md")))
FIRST_LINE = "# rec_sys: raw serving example"
ADDRESS = "127.0.0.1:8001"

pytestmark = needs_core


@dataclass(frozen=True)
class Road:
    """A bundle in the index, another one beside it, and a Triton that serves some bundle's user tower."""

    folder: Path
    edge: EdgeIndex
    published: Bundle
    newest: Bundle
    repository: ModelRepository

    def export(self, bundle: Bundle) -> None:
        options = tower_options(ExportSettings(lengths=(8,)), USER_REVIEWS)
        tower = bundle.tower(TowerFile.USER)
        self.repository.publish(Candidate(ServedModel.USER_TOWER, tower, bundle.identity, options))

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", script], cwd=self.folder, capture_output=True, text=True, timeout=600
        )

    def run_with_triton(self, script: str) -> subprocess.CompletedProcess[str]:
        assert ADDRESS in script
        settings = TritonSettings(
            model_repository=self.repository.folder, grpc_port=0, http_port=0, metrics_port=0, poll_seconds=0
        )
        with TritonServer(settings) as server:
            return self.run(script.replace(ADDRESS, server.endpoints.grpc))


@pytest.fixture
def script() -> str:
    text = "\n".join(path.read_text(encoding="utf-8") for path in READMES)
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    [script] = [block for block in blocks if block.startswith(FIRST_LINE)]
    return script


@pytest.fixture
def road() -> Iterator[Road]:
    with quick_folder() as folder:
        outputs = folder / "outputs"
        published = write_serving_bundle(outputs / "bundles" / "published", seed=1, terms=False)
        newest = write_serving_bundle(outputs / "bundles" / "newest", seed=2, terms=False)
        later = time.time() + 60
        os.utime(newest.folder, (later, later))
        edge = EdgeIndex(backend="edge", folder=outputs / "index", check_queries=4, progress=False)
        EdgePublisher(edge).publish(read_catalogue(published))
        yield Road(folder, edge, published, newest, ModelRepository(folder / "models"))


def test_the_raw_example_gets_the_recommenders_products(script: str, road: Road) -> None:
    road.export(road.published)
    road.export(road.newest)  # answers where no version is asked for
    result = road.run_with_triton(script)
    assert result.returncode == 0, result.stderr
    found = [line.split() for line in result.stdout.splitlines()]
    # The same user: product 1 with two stars, then product 3 with five.
    reviews = (Review(asin="p1", rating=2), Review(asin="p3", rating=5))

    async def ask() -> list[tuple[str, float]]:
        async with Recommender(road.edge, InferenceSettings(), road.folder / "outputs") as recommender:
            answer = await recommender.recommend(RecommendationRequest(reviews=reviews))
            return [(product.asin, product.score) for product in answer.products]

    expected = asyncio.run(ask())
    assert [asin for asin, _ in found] == [asin for asin, _ in expected]
    assert [float(score) for _, score in found] == pytest.approx([score for _, score in expected], abs=1e-3)


def test_the_raw_example_refuses_towers_of_another_bundle_than_the_indexs(script: str, road: Road) -> None:
    road.export(road.newest)
    result = road.run_with_triton(script)
    assert (result.returncode, result.stdout) == (1, "")
    assert f"Triton serves no user_tower of bundle {road.published.identity}" in result.stderr


def test_the_raw_example_refuses_an_index_whose_bundle_is_away(script: str, road: Road) -> None:
    identity = road.published.identity
    road.published.folder.rename(road.folder / "elsewhere")
    result = road.run(script)
    assert (result.returncode, result.stdout) == (1, "")
    assert f"the index was made from bundle {identity}, which is not in outputs/bundles" in result.stderr
