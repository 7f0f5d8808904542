"""Small catalogues and the indexes that hold them, for the tests of the product index."""

import os
import shutil
import tempfile
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from qdrant_client import QdrantClient

from rec_sys.bundle import Bundle
from rec_sys.checksums import Digest
from rec_sys.experiments.synthetic_bundle import BRANDS, CATEGORIES, write_synthetic_bundle
from rec_sys.settings import EdgeIndex, ServerIndex
from rec_sys.vector_database import edge_version
from rec_sys.vector_database.catalogue import Catalogue, read_catalogue
from rec_sys.vector_database.contract import (
    NewProduct,
    ProductDetails,
    ProductFilter,
    ProductIndex,
    ProductQuery,
    SimilarTo,
    TextMeaning,
    UnknownProductError,
    UserTaste,
)
from rec_sys.vector_database.edge_index import EdgeProductIndex, EdgePublisher
from rec_sys.vector_database.publication import IndexPublisher, draw_users
from rec_sys.vector_database.server_index import ServerProductIndex
from rec_sys.vector_database.server_publisher import ServerPublisher
from rec_sys.vector_database.server_version import connect
from tests.text_width import TEXT_DIM

SERVER_VARIABLE = "QDRANT_URL"
BACK_ENDS = ("edge", "in_memory", "server")
DIM, NEIGHBOURS = 32, 12
_BYTES_IN_MEMORY = 1_000_000_000  # a container may have only 64 MB of it
_TICK_SECONDS = 0.1  # ten times the coarsest clock that files are stamped by


@contextmanager
def quick_folder() -> Iterator[Path]:
    """An empty folder, in memory where the system has such: an index is written with hundreds of small syncs.

    Its 115 MB, however few products there are, are hashed when they were written, not whenever it is opened.
    """
    memory = Path("/dev/shm")
    fits = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > _BYTES_IN_MEMORY
    with (
        tempfile.TemporaryDirectory(prefix="rec_sys-", dir=memory if fits else None) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(edge_version, "_digest", _remembering(edge_version._digest))
        yield Path(folder)


def _remembering(digest: Digest) -> Digest:
    """A digest of files that are read again only where they were written to since, or so lately that none can tell."""
    known: dict[tuple[int, ...], str] = {}

    def remembered(path: Path) -> str:
        told = path.stat()
        key = (told.st_dev, told.st_ino, told.st_size, told.st_mtime_ns, told.st_ctime_ns)
        if (found := known.get(key)) is None:
            found = digest(path)
            if time.time() - told.st_ctime > _TICK_SECONDS:
                known[key] = found
        return found

    return remembered


@dataclass
class OpenIndex:
    """An index that a test may write and ask."""

    publisher: IndexPublisher
    index: ProductIndex


def holds(index: ProductIndex, asin: str) -> bool:
    """Whether the version served has a product."""
    with suppress(UnknownProductError):
        index.search(ProductQuery(SimilarTo(asin), limit=1))
        return True
    return False


def make_catalogue(folder: Path, num_products: int = 300, seed: int = 0, **others: bool | int) -> Catalogue:
    """The products of a synthetic bundle that is written to `folder`."""
    shape = {"dim": DIM, "neighbours": NEIGHBOURS, "text_dim": TEXT_DIM} | {
        name: int(value) for name, value in others.items()
    }
    has_text = bool(shape.pop("has_text", True))
    write_synthetic_bundle(folder, num_products, seed=seed, has_text=has_text, **shape)
    return read_catalogue(Bundle(folder))


@contextmanager
def open_back_end(name: str, **settings: float | bool) -> Iterator[OpenIndex]:
    """An empty index of a back end; `settings` replace the fields of its section."""
    chosen: dict[str, object] = {"check_queries": 16, "progress": False, **settings}
    if name == "edge":
        with quick_folder() as folder:
            edge = EdgeIndex.model_validate({"backend": "edge", "folder": folder / "index", **chosen})
            with EdgeProductIndex(edge) as index:
                yield OpenIndex(EdgePublisher(edge), index)
        return
    if name == "server" and SERVER_VARIABLE not in os.environ:
        pytest.skip(f"a Qdrant server: set {SERVER_VARIABLE} to the address of one that may be written to")
    url = os.environ.get(SERVER_VARIABLE, "http://localhost:6333")
    collection = f"test-{uuid.uuid4().hex[:8]}"
    api_key = os.environ.get("QDRANT_API_KEY")
    server = ServerIndex.model_validate(
        {"backend": "server", "url": url, "collection": collection, "api_key": api_key, **chosen}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the in-memory mode says that it has no payload indexes
        client = QdrantClient(":memory:") if name == "in_memory" else connect(server)
        publisher = ServerPublisher(server, client)
        with ServerProductIndex(server, client) as index:
            yield OpenIndex(publisher, index)
            for found in client.get_collections().collections:
                if found.name.startswith(f"{collection}--"):
                    client.delete_collection(found.name)


def draw_questions(catalogue: Catalogue, count: int, seed: int) -> list[ProductQuery]:
    """Questions of every kind, most of them with filters, each of its own page length."""
    random = np.random.default_rng(seed)
    questions = []
    for user in draw_users(catalogue, count, seed):
        told = np.flatnonzero(catalogue.text.any(axis=1))
        product = int(random.choice(told))
        by = [
            user.by,
            user.by,
            UserTaste(catalogue.vectors[product]),
            SimilarTo(catalogue.asins[product]),
            SimilarTo(catalogue.asins[product], "text"),
            TextMeaning(catalogue.text[product]),
        ][random.integers(6)]
        low = float(np.round(random.uniform(1, 30), 2))
        wanted = ProductFilter(
            not_seen=user.filter.not_seen if random.random() < 0.7 else (),
            categories_any=tuple(random.choice(CATEGORIES, 3, replace=False)) if random.random() < 0.4 else (),
            categories_all=("Synthetic", str(random.choice(CATEGORIES))) if random.random() < 0.2 else (),
            brands=tuple(random.choice(BRANDS, 15, replace=False)) if random.random() < 0.3 else (),
            min_price=low if random.random() < 0.3 else None,
            max_price=low + float(random.uniform(5, 50)) if random.random() < 0.3 else None,
            min_rating=float(random.integers(2, 5)) if random.random() < 0.3 else None,
        )
        questions.append(ProductQuery(by, wanted, limit=int(random.integers(1, 21))))
    return questions


def new_product(asin: str, vector: np.ndarray, **details: object) -> NewProduct:
    """A product to upsert, with a text of its own."""
    text = np.zeros(TEXT_DIM, dtype=np.float32)
    text[0] = 1
    return NewProduct(ProductDetails(asin, **details), vector.astype(np.float32), text)  # type: ignore[arg-type]
