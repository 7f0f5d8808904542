"""A version of the index from which anything was changed or lost answers nothing, and the file is named."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rec_sys.checksums import CHECKSUMS
from rec_sys.settings import EdgeIndex
from rec_sys.vector_database.contract import IndexUnavailableError
from rec_sys.vector_database.edge_folder import EdgeFolder
from rec_sys.vector_database.edge_index import EdgeProductIndex, EdgePublisher
from tests.product_indexes import make_catalogue, new_product, quick_folder


@pytest.fixture(scope="module")
def published() -> Iterator[Path]:
    with quick_folder() as root:
        publisher = EdgePublisher(settings_in(root))
        publisher.publish(make_catalogue(root / "bundle", 40))
        yield root


@pytest.fixture
def root(published: Path) -> Iterator[Path]:
    with quick_folder() as root:
        shutil.copytree(published / "index", root / "index", symlinks=True)
        yield root


def settings_in(root: Path) -> EdgeIndex:
    return EdgeIndex.model_validate(
        {"backend": "edge", "folder": root / "index", "check_queries": 2, "progress": False}
    )


def served_folder(root: Path) -> Path:
    folder = EdgeFolder(root / "index")
    name = folder.served()
    assert name is not None
    return folder.path(name)


def files_of(root: Path) -> list[Path]:
    return sorted(path for path in served_folder(root).rglob("*") if path.is_file() and path.name != CHECKSUMS)


def refused_for(root: Path) -> str:
    with (
        pytest.raises(IndexUnavailableError, match="cannot be opened") as refused,
        EdgeProductIndex(settings_in(root)) as index,
    ):
        index.version()
    return refused.value.what


def test_a_lost_page_of_prices_is_refused(root: Path) -> None:
    pages = [path for path in files_of(root) if "-price-" in str(path)]
    assert pages
    for path in pages:
        content = path.read_bytes()
        path.unlink()
        assert str(path) in refused_for(root)
        path.write_bytes(content)
    with EdgeProductIndex(settings_in(root)) as index:
        assert index.version().num_products == 40


def test_one_bit_of_any_file_is_enough(root: Path) -> None:
    random_ = random.Random(0)
    for path in random_.sample(files_of(root), 25):
        content = path.read_bytes()
        if not content:
            continue
        place = random_.randrange(len(content))
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << random_.randrange(8)]) + content[place + 1 :])
        assert str(path) in refused_for(root)
        path.write_bytes(content)


def test_a_damaged_version_is_built_again_by_the_next_publication(root: Path, published: Path) -> None:
    files_of(root)[-1].unlink()
    publication = EdgePublisher(settings_in(root)).publish(make_catalogue(root / "bundle", 40))
    assert publication.is_new
    with EdgeProductIndex(settings_in(root)) as index:
        assert index.version() == publication.version


def test_what_was_added_is_noted_too(root: Path) -> None:
    with EdgeProductIndex(settings_in(root)) as index:
        index.upsert([new_product("added", np.eye(index.version().dim, dtype=np.float32)[0])])
    with EdgeProductIndex(settings_in(root)) as index:
        assert index.version().num_products == 40
    files_of(root)[-1].unlink()
    assert str(served_folder(root)) in refused_for(root)


def test_a_version_without_checksums_is_opened(root: Path) -> None:
    (served_folder(root) / CHECKSUMS).unlink()
    with EdgeProductIndex(settings_in(root)) as index:
        assert index.version().num_products == 40


def test_whether_a_question_is_quick_is_known_before_it_is_asked(root: Path) -> None:
    with EdgeProductIndex(settings_in(root)) as index:
        assert not index.is_open
        index.version()
        assert index.is_open
