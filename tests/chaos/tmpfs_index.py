"""Publishes a catalogue where there is room for no more than the index asks for: `FOLDER BUNDLE PRODUCTS`."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np

from rec_sys.settings import EdgeIndex
from rec_sys.vector_database.contract import ProductQuery, SimilarTo
from rec_sys.vector_database.edge_index import EdgeProductIndex, EdgePublisher
from rec_sys.vector_database.edge_version import EMPTY_VERSION_BYTES, copied_bytes
from tests.product_indexes import make_catalogue, new_product

_BESIDE: Final = 100_000  # folders and links


def main(folder: Path, bundle: Path, num_products: int) -> None:
    """Fills it up but for those bytes and publishes, then again and upserts a product; prints the bytes taken."""
    catalogue = make_catalogue(bundle, num_products)
    settings = EdgeIndex(backend="edge", folder=folder / "index", check_queries=4, progress=False)
    with _only(folder, EMPTY_VERSION_BYTES + catalogue.num_bytes(np.arange(num_products))):
        EdgePublisher(settings).publish(catalogue)
    served = EdgeProductIndex(settings)
    product = new_product("B-NEW", catalogue.vectors[0])
    with _only(folder, copied_bytes((settings.folder / "current").resolve())):
        served.upsert([product])
    assert served.search(ProductQuery(SimilarTo("B-NEW"))).hits


@contextmanager
def _only(folder: Path, needed: int) -> Iterator[None]:
    filler = folder / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, _free(folder) - needed - _BESIDE)
    before = _free(folder)
    yield
    print(f"{before - _free(folder):,} of {needed:,} bytes")
    filler.unlink()


def _free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
