"""The raw example of the README works as it stands there: Triton and Qdrant alone say what the recommender says."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

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

README = Path(__file__).resolve().parents[2] / "README.md"
FIRST_LINE = "# rec_sys: raw serving example"
ADDRESS = "127.0.0.1:8001"


@pytest.fixture
def script() -> str:
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    found = [block for block in blocks if block.startswith(FIRST_LINE)]
    if not found:
        pytest.skip(f"the README has no block that begins with {FIRST_LINE!r}")
    [script] = found
    return script


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as folder:
        yield folder


@needs_core
def test_the_raw_example_gets_the_recommenders_products(script: str, folder: Path) -> None:
    outputs = folder / "outputs"
    bundle = write_serving_bundle(outputs / "bundles" / "only")
    edge = EdgeIndex(backend="edge", folder=outputs / "index", check_queries=4, progress=False)
    EdgePublisher(edge, lambda line: None).publish(read_catalogue(bundle))
    repository = ModelRepository(folder / "models")
    options = tower_options(ExportSettings(lengths=(8,)), USER_REVIEWS)
    repository.publish(Candidate(ServedModel.USER_TOWER, bundle.tower(TowerFile.USER), bundle.identity, options))
    settings = TritonSettings(
        model_repository=repository.folder, grpc_port=0, http_port=0, metrics_port=0, poll_seconds=0
    )
    assert ADDRESS in script
    with TritonServer(settings) as server:
        result = subprocess.run(
            [sys.executable, "-c", script.replace(ADDRESS, server.endpoints.grpc)],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert result.returncode == 0, result.stderr
    found = [line.split() for line in result.stdout.splitlines()]
    # The same user: product 1 with two stars, then product 3 with five.
    reviews = (Review(asin="p1", rating=2), Review(asin="p3", rating=5))

    async def ask() -> list[tuple[str, float]]:
        async with Recommender(edge, InferenceSettings(), outputs) as recommender:
            answer = await recommender.recommend(RecommendationRequest(reviews=reviews))
            return [(product.asin, product.score) for product in answer.products]

    expected = asyncio.run(ask())
    assert [asin for asin, _ in found] == [asin for asin, _ in expected]
    assert [float(score) for _, score in found] == pytest.approx([score for _, score in expected], abs=1e-3)
