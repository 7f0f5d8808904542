"""A bundle that is damaged answers nothing, is named, and is never called ready."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx
import polars as pl
import pytest
import safetensors.numpy
from onnx import helper

from rec_sys.bundle import Bundle
from rec_sys.contracts import BundleFile, HistoryColumn, ProductVector, TowerFile
from rec_sys.inference.contract import RecommendationAnswer, RecommendationRequest, ServingUnavailable
from rec_sys.inference.health_messages import Health
from rec_sys.inference.recommender import Recommender
from rec_sys.settings import EdgeIndex, InferenceSettings
from rec_sys.vector_database.catalogue import read_catalogue
from rec_sys.vector_database.edge_index import EdgePublisher
from tests.changed_bundles import note_anew
from tests.product_indexes import quick_folder
from tests.serving_bundles import write_serving_bundle

Result = TypeVar("Result")

READ = (
    *(BundleFile.WEIGHTS, BundleFile.SETTINGS, BundleFile.PRODUCTS, BundleFile.PRODUCT_VECTORS, BundleFile.HISTORIES),
    *(BundleFile.HISTORY_TEXT, BundleFile.MEMORY, f"{BundleFile.TOWERS}/{TowerFile.USER}"),
)


@pytest.fixture(scope="module")
def published() -> Iterator[Path]:
    with quick_folder() as folder:
        write_serving_bundle(folder / "bundles" / "first")
        publish(folder)
        yield folder


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    """A bundle to be damaged, and the index of all such."""
    shutil.copytree(published / "bundles", tmp_path / "bundles")
    (tmp_path / "index").symlink_to(published / "index")
    return tmp_path


@pytest.fixture
def own_folder(tmp_path: Path) -> Iterator[Path]:
    """A bundle to be made another, whose index is yet to be published."""
    with quick_folder() as folder:
        write_serving_bundle(folder / "bundles" / "first")
        yield folder


def publish(folder: Path) -> None:
    EdgePublisher(edge(folder)).publish(read_catalogue(Bundle(folder / "bundles" / "first")))


def edge(folder: Path) -> EdgeIndex:
    return EdgeIndex.model_validate(
        {"backend": "edge", "folder": folder / "index", "check_queries": 2, "progress": False}
    )


def ask(folder: Path, question: Callable[[Recommender], Awaitable[Result]]) -> Result:
    async def asked() -> Result:
        async with Recommender(edge(folder), InferenceSettings(), folder) as recommender:
            return await question(recommender)

    return asyncio.run(asked())


def health_of(folder: Path) -> Health:
    return ask(folder, lambda recommender: recommender.health())


def recommend(folder: Path) -> RecommendationAnswer:
    return ask(folder, lambda recommender: recommender.recommend(RecommendationRequest(user_id="user 1")))


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("damage", ["bit", "tail", "lost"])
def test_no_answer_comes_from_a_changed_file(name: str, damage: str, folder: Path) -> None:
    path = folder / "bundles" / "first" / name
    sound = path.read_bytes()
    path.unlink()
    if damage == "bit":
        path.write_bytes(sound[: len(sound) // 2] + bytes([sound[len(sound) // 2] ^ 1]) + sound[len(sound) // 2 + 1 :])
    elif damage == "tail":
        path.write_bytes(sound[:-1])
    with pytest.raises(ServingUnavailable, match="missing or was changed") as refused:
        recommend(folder)
    assert (refused.value.component, refused.value.where) == ("bundle", str(path))
    health = health_of(folder)
    assert not health.ready
    assert [(part.part, part.ready) for part in health.parts] == [("index", True), ("bundle", False)]
    path.write_bytes(sound)
    assert health_of(folder).ready


def spoil_histories(folder: Path) -> str:
    table = pl.read_parquet(folder / BundleFile.HISTORIES)
    table.with_columns(pl.col(HistoryColumn.PRODUCT_INDEX) + 60).write_parquet(folder / BundleFile.HISTORIES)
    return BundleFile.HISTORIES


def spoil_history_columns(folder: Path) -> str:
    pl.DataFrame({"who": ["user 1"]}).write_parquet(folder / BundleFile.HISTORIES)
    return BundleFile.HISTORIES


def spoil_inputs(folder: Path) -> str:
    tensors = safetensors.numpy.load_file(folder / BundleFile.PRODUCT_VECTORS)
    tensors[ProductVector.INPUT] = tensors[ProductVector.INPUT][:5]
    safetensors.numpy.save_file(tensors, folder / BundleFile.PRODUCT_VECTORS)
    return BundleFile.PRODUCT_VECTORS


def spoil_texts(folder: Path) -> str:
    np.save(folder / BundleFile.HISTORY_TEXT, np.zeros((9, 2), dtype=np.float16))
    return BundleFile.HISTORY_TEXT


@pytest.mark.parametrize("spoil", [spoil_histories, spoil_history_columns, spoil_inputs, spoil_texts])
def test_parts_that_do_not_fit_are_found_when_the_bundle_is_opened(
    spoil: Callable[[Path], str], own_folder: Path
) -> None:
    name = spoil(own_folder / "bundles" / "first")
    note_anew(own_folder / "bundles" / "first")
    publish(own_folder)
    with pytest.raises(ServingUnavailable, match="the bundle is damaged") as refused:
        recommend(own_folder)
    assert refused.value.where == str(own_folder / "bundles" / "first" / name)
    assert not health_of(own_folder).ready


@pytest.mark.parametrize("tower", ["none", "another"])
def test_a_tower_that_cannot_answer_is_never_ready(tower: str, own_folder: Path) -> None:
    path = own_folder / "bundles" / "first" / BundleFile.TOWERS / TowerFile.USER
    number = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    other = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "other", [number], [number])
    other.output[0].name = "y"
    path.write_bytes(b"no model" if tower == "none" else helper.make_model(other).SerializeToString())
    note_anew(own_folder / "bundles" / "first")
    publish(own_folder)
    health = health_of(own_folder)
    assert not health.ready
    assert [(part.part, part.ready) for part in health.parts if not part.ready] == [("answers", False)]


def test_a_damaged_bundle_is_not_read_again_by_every_question(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "bundles" / "first" / BundleFile.MEMORY).unlink()
    opened: list[Path] = []
    real = Bundle.__init__

    def count(self: Bundle, path: Path) -> None:
        opened.append(path)
        real(self, path)

    monkeypatch.setattr(Bundle, "__init__", count)

    async def ask_all(recommender: Recommender) -> list[RecommendationAnswer | BaseException]:
        questions = (recommender.recommend(RecommendationRequest(user_id="user 1")) for _ in range(20))
        return await asyncio.gather(*questions, return_exceptions=True)

    assert all(isinstance(answer, ServingUnavailable) for answer in ask(folder, ask_all))
    assert len(opened) == 1


@pytest.mark.parametrize("content", ["", "{", '{"format_version": 99}'])
def test_a_broken_manifest_beside_the_bundle_stops_nothing(content: str, folder: Path) -> None:
    for name in ("aaa", "zzz"):
        (folder / "bundles" / name).mkdir()
        (folder / "bundles" / name / BundleFile.MANIFEST).write_text(content)
    shutil.copytree(folder / "bundles" / "first", folder / "bundles" / "changed")
    (folder / "bundles" / "changed" / BundleFile.MANIFEST).write_text("{}")
    assert recommend(folder).products
    assert health_of(folder).ready
