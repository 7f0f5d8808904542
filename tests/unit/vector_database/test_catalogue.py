"""A bundle's products become points: nothing lost, nothing bent, and damage is noticed before anything is written."""

import dataclasses
import json
import uuid
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from rec_sys.bundle import Bundle
from rec_sys.contracts import BundleFile, InputError, MemoryTensor, PayloadField, ProductColumn, ProductVector
from rec_sys.settings import EdgeIndex
from rec_sys.vector_database.catalogue import Catalogue, IndexPoint, point_id, read_catalogue
from rec_sys.vector_database.server_version import _server_point
from tests.changed_bundles import note_anew
from tests.product_indexes import DIM, make_catalogue
from tests.text_width import TEXT_DIM

SETTINGS = EdgeIndex(backend="edge", folder=Path("index"))


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return make_catalogue(tmp_path_factory.mktemp("bundle") / "bundle", 60)


def all_points(catalogue: Catalogue) -> list[IndexPoint]:
    return catalogue.points(np.arange(len(catalogue)))


def test_a_point_carries_the_products_vectors_and_its_column_of_the_memory(catalogue: Catalogue) -> None:
    assert catalogue.memory is not None
    dense = catalogue.memory.toarray()
    for product, point in enumerate(all_points(catalogue)):
        assert np.array_equal(np.float32(point.vector), catalogue.vectors[product])
        assert (point.text is None) == (not catalogue.text[product].any())
        assert point.text is None or np.array_equal(np.float32(point.text), catalogue.text[product])
        column = np.zeros(len(catalogue), dtype=np.float32)
        if point.memory is not None:
            column[point.memory[0]] = point.memory[1]
        assert np.array_equal(column, dense[:, product])


def test_the_points_of_some_products_are_those_products(catalogue: Catalogue) -> None:
    every = all_points(catalogue)
    assert catalogue.points(np.array([7, 3, 59])) == [every[7], every[3], every[59]]


def test_prices_and_ratings_keep_their_written_digits(tmp_path: Path) -> None:
    make_catalogue(tmp_path / "bundle", 20)
    path = tmp_path / "bundle" / BundleFile.PRODUCTS
    prices = [19.99, 0.1, 1234.5, None] * 5
    table = pl.read_parquet(path).with_columns(pl.Series(ProductColumn.PRICE, prices, dtype=pl.Float32))
    table.write_parquet(path)
    note_anew(tmp_path / "bundle")
    points = all_points(read_catalogue(Bundle(tmp_path / "bundle")))
    assert [point.payload[PayloadField.PRICE] for point in points[:4]] == [19.99, 0.1, 1234.5, None]


def test_the_payload_has_every_field_and_the_products_own_index(catalogue: Catalogue) -> None:
    fields = {value for name, value in vars(PayloadField).items() if name.isupper()}
    for product, point in enumerate(all_points(catalogue)):
        assert set(point.payload) == fields - {PayloadField.UPSERTED}
        assert point.payload[PayloadField.PRODUCT_INDEX] == product
        assert point.payload[PayloadField.ASIN] == catalogue.asins[product]


def test_a_products_id_follows_from_its_asin_alone(catalogue: Catalogue) -> None:
    ids = [point.id for point in all_points(catalogue)]
    assert ids == [point_id(asin) for asin in catalogue.asins]
    assert len(set(ids)) == len(ids)
    # Written down: another id for an asin would let an upsert add a product a second time.
    assert point_id("B000000000") == uuid.UUID("66c5de5d-1e22-5fe7-8871-ea5ba6c961aa")


@given(
    texts=st.lists(st.text(max_size=400), min_size=12, max_size=12),
    numbers=st.integers(0, 2**31),
    limit=st.integers(5_000, 60_000),
)
def test_no_batch_is_larger_as_json_than_it_may_be(
    catalogue: Catalogue, texts: list[str], numbers: int, limit: int
) -> None:
    random = np.random.default_rng(numbers)
    names = pl.Series([[text, text[::-1]] for text in texts], dtype=pl.List(pl.String))
    details = catalogue.details[:12].with_columns(
        pl.Series(PayloadField.TITLE, texts), names.alias(PayloadField.CATEGORIES)
    )
    awkward = dataclasses.replace(
        catalogue,
        details=details,
        vectors=(random.normal(size=(12, DIM)) * 10.0 ** random.integers(-30, 30)).astype(np.float32),
        text=catalogue.text[:12],
        memory=catalogue.memory[:12, :12] if catalogue.memory is not None else None,
    )
    rows = random.permutation(12)
    batches = list(awkward.batches(rows, limit))
    assert np.array_equal(np.concatenate(batches), rows)
    for batch in batches:
        points = [_server_point(point).model_dump(mode="json") for point in awkward.points(batch)]
        assert len(batch) == 1 or len(json.dumps({"points": points}).encode()) <= limit


def test_batches_of_no_products_are_none(catalogue: Catalogue) -> None:
    assert list(catalogue.batches(np.zeros(0, dtype=np.int64), 10_000)) == []


def test_the_same_bundle_makes_the_same_version(catalogue: Catalogue) -> None:
    other = dataclasses.replace(catalogue, identity="another")
    assert catalogue.version(SETTINGS) == catalogue.version(SETTINGS.model_copy(update={"candidates": 7}))
    assert catalogue.version(SETTINGS).name != other.version(SETTINGS).name


def test_a_version_of_a_later_bundle_sorts_later(catalogue: Catalogue) -> None:
    early = dataclasses.replace(catalogue, created="2025-12-31T23:59:59+00:00").version(SETTINGS)
    late = dataclasses.replace(catalogue, created="2026-01-01T00:00:00+00:00").version(SETTINGS)
    assert early.name < late.name


def test_how_the_graph_is_built_makes_another_version_only_where_there_is_one(catalogue: Catalogue) -> None:
    wider = {"hnsw_build_width": 512}
    followed = SETTINGS.model_copy(update={"exact_below": 10})
    assert catalogue.version(SETTINGS) == catalogue.version(SETTINGS.model_copy(update=wider))
    assert not catalogue.version(followed).exact
    assert catalogue.version(followed).name != catalogue.version(followed.model_copy(update=wider)).name


def damage_vectors(folder: Path, change: str) -> None:
    path = folder / BundleFile.PRODUCT_VECTORS
    tensors = load_file(path)
    if change == "rows":
        tensors = {name: tensor[:-1] for name, tensor in tensors.items()}
    elif change == "width":
        tensors[ProductVector.OUTPUT] = tensors[ProductVector.OUTPUT][:, :-1].copy()
    elif change == "length":
        tensors[ProductVector.OUTPUT][3] *= 2
    elif change == "number":
        tensors[ProductVector.OUTPUT][3, 0] = np.nan
    elif change == "name":
        del tensors[ProductVector.TEXT]
    elif change == "text":
        tensors[ProductVector.TEXT][3, 0] = np.inf
    save_file(tensors, path)


def damage_memory(folder: Path, change: str) -> None:
    path = folder / BundleFile.MEMORY
    tensors = load_file(path)
    if change == "neighbour":
        tensors[MemoryTensor.NEIGHBOURS][0] = 60
    elif change == "weight":
        tensors[MemoryTensor.WEIGHTS][0] = np.nan
    elif change == "offsets":
        tensors[MemoryTensor.OFFSETS][5] = 0
    elif change == "name":
        del tensors[MemoryTensor.WEIGHTS]
    elif change == "end":
        tensors[MemoryTensor.OFFSETS][-1] += 1
    save_file(tensors, path)


@pytest.mark.parametrize("change", ["rows", "width", "length", "number", "name", "text"])
def test_vectors_that_do_not_fit_are_refused_with_the_files_name(tmp_path: Path, change: str) -> None:
    make_catalogue(tmp_path / "bundle", 60)
    damage_vectors(tmp_path / "bundle", change)
    note_anew(tmp_path / "bundle")
    with pytest.raises(InputError, match=r"the bundle is damaged") as refused:
        read_catalogue(Bundle(tmp_path / "bundle"))
    assert BundleFile.PRODUCT_VECTORS in refused.value.where


@pytest.mark.parametrize("change", ["neighbour", "weight", "offsets", "name", "end"])
def test_a_memory_that_does_not_fit_is_refused_with_the_files_name(tmp_path: Path, change: str) -> None:
    make_catalogue(tmp_path / "bundle", 60)
    damage_memory(tmp_path / "bundle", change)
    note_anew(tmp_path / "bundle")
    with pytest.raises(InputError, match=r"the bundle is damaged") as refused:
        read_catalogue(Bundle(tmp_path / "bundle"))
    assert BundleFile.MEMORY in refused.value.where


def test_a_product_that_stands_twice_is_refused(tmp_path: Path) -> None:
    make_catalogue(tmp_path / "bundle", 60)
    path = tmp_path / "bundle" / BundleFile.PRODUCTS
    table = pl.read_parquet(path)
    table[[*range(59), 0]].write_parquet(path)
    note_anew(tmp_path / "bundle")
    with pytest.raises(InputError, match="60 different products are expected"):
        read_catalogue(Bundle(tmp_path / "bundle"))


@pytest.mark.parametrize("file", [BundleFile.PRODUCTS, BundleFile.PRODUCT_VECTORS, BundleFile.MEMORY])
def test_a_file_that_cannot_be_read_is_damage(tmp_path: Path, file: str) -> None:
    make_catalogue(tmp_path / "bundle", 60)
    path = tmp_path / "bundle" / file
    path.write_bytes(path.read_bytes()[:20])
    note_anew(tmp_path / "bundle")
    with pytest.raises(InputError, match="the bundle is damaged"):
        read_catalogue(Bundle(tmp_path / "bundle"))


def test_a_bundle_without_memory_or_text_makes_points_without_them(tmp_path: Path) -> None:
    catalogue = make_catalogue(tmp_path / "bundle", 60, neighbours=0, has_text=False)
    assert not catalogue.version(SETTINGS).has_memory
    assert {(point.text, point.memory) for point in all_points(catalogue)} == {(None, None)}


def test_text_vectors_of_another_width_than_the_bundles_are_damage(tmp_path: Path) -> None:
    make_catalogue(tmp_path / "bundle", 60)
    note_anew(tmp_path / "bundle", text_dim=TEXT_DIM + 1)
    with pytest.raises(InputError, match=rf"finite text vectors of shape \(60, {TEXT_DIM + 1}\)"):
        read_catalogue(Bundle(tmp_path / "bundle"))
