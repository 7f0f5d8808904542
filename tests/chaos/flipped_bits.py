"""The campaign of flipped bits: one bit of a file is turned or its tail cut, and nothing is answered from it.

Drawn from are all files of a bundle, of a version of the index, of stored text vectors and of prepared data. The first
two are refused by the name of the file; vectors of a damaged segment are missing, and so embedded again; prepared data
is prepared again, to the same bytes.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from rec_sys.bundle import Bundle
from rec_sys.checksums import CHECKSUMS
from rec_sys.contracts import InputError
from rec_sys.data.prepare import prepare
from rec_sys.inference.served_bundle import ServedBundle
from rec_sys.settings import EdgeIndex, TableData
from rec_sys.text.store import VectorStore, make_keys
from rec_sys.vector_database.catalogue import read_catalogue
from rec_sys.vector_database.contract import IndexUnavailableError
from rec_sys.vector_database.edge_folder import EdgeFolder
from rec_sys.vector_database.edge_index import EdgeProductIndex, EdgePublisher
from tests.chaos.campaign import Campaign, run_by_hand
from tests.product_indexes import quick_folder
from tests.serving_bundles import write_serving_bundle

Check = Callable[[Path], None]  # of a damaged file; raises where anything is answered from it


def attack(campaign: Campaign, cases: int) -> None:
    """Damages so many files, one after the other."""
    with quick_folder() as scratch:
        parts = list(_parts(scratch))
        for _ in range(cases):
            name, folder, check = campaign.random.choice(parts)
            files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
            path = campaign.random.choice(files)
            place, bit = campaign.random.randrange(path.stat().st_size), campaign.random.randrange(-1, 8)
            what = f"{name}: {path.relative_to(folder)}, {'cut' if bit < 0 else f'bit {bit}'} at {place:,}"
            with campaign.case(what, folder), _damaged(path, place, bit):
                check(path)
        for name, folder, check in parts:  # what was mended is whole: each refusal was of the damage
            with campaign.case(f"{name}, mended", folder), pytest.raises(AssertionError):
                check(folder / CHECKSUMS)


@contextmanager
def _damaged(path: Path, place: int, bit: int) -> Iterator[None]:
    """A file with one bit turned, or cut where `bit` is below 0; as it was afterwards."""
    before = path.read_bytes()
    with path.open("r+b") as file:
        if bit < 0:
            file.truncate(place)
        else:
            file.seek(place)
            file.write(bytes([before[place] ^ 1 << bit]))
    try:
        yield
    finally:
        path.write_bytes(before)


def _parts(scratch: Path) -> Iterator[tuple[str, Path, Check]]:
    bundle = write_serving_bundle(scratch / "bundle")
    yield "bundle", bundle.folder, _refused(lambda: ServedBundle(Bundle(bundle.folder)), InputError)
    settings = EdgeIndex.model_validate(
        {"backend": "edge", "folder": scratch / "index", "check_queries": 2, "progress": False}
    )
    version = EdgePublisher(settings).publish(read_catalogue(bundle)).version
    folder = EdgeFolder(settings.folder).path(version.name)
    yield "index", folder, _refused(lambda: EdgeProductIndex(settings).version(), IndexUnavailableError)
    yield "text vectors", scratch / "vectors" / "encoder", _missing(scratch / "vectors")
    yield _prepared(scratch)


def _refused(open_it: Callable[[], object], kind: type[InputError]) -> Check:
    def check(path: Path) -> None:
        try:
            open_it()
        except kind as refused:
            told = f"{refused.what} {refused.where}"
            # Where the note itself is damaged, it may be a file that it vouches for that does not fit.
            assert str(path.parent if path.name == CHECKSUMS else path) in told, told
            return
        raise AssertionError("it was opened")

    return check


def _missing(home: Path) -> Check:
    store = VectorStore(home, "encoder", 8)
    keys = make_keys([f"text {number}" for number in range(60)])
    vectors = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float16)
    for start in (0, 20, 40):
        with store.writing():
            store.append(keys[start : start + 20], vectors[start : start + 20])

    def check(_: Path) -> None:
        reader = VectorStore(home, "encoder", 8)
        found = reader.lookup(keys).found
        assert found.sum() == 40, f"{found.sum()} of 60 vectors are read"
        np.testing.assert_array_equal(reader.read(keys[found]), vectors[found])

    return check


def _prepared(scratch: Path) -> tuple[str, Path, Check]:
    rows = [{"user_id": f"u{row % 5}", "asin": f"p{row % 7}", "timestamp": 1_400_000_000 + row} for row in range(40)]
    source = scratch / "reviews.json"
    source.write_text("\n".join(map(json.dumps, rows)))
    data = TableData.model_validate({"name": "rows", "reader": "table", "reviews_path": source})
    folder = prepare(data, scratch).folder
    sound = {path.name: path.read_bytes() for path in folder.iterdir()}

    def check(path: Path) -> None:
        began = os.stat(folder).st_ino
        prepare(data, scratch)
        assert os.stat(folder).st_ino != began, "it was not prepared again"
        assert {found.name: found.read_bytes() for found in folder.iterdir()} == sound, path.name

    return "prepared data", folder, check


if __name__ == "__main__":
    run_by_hand("flipped_bits", attack, "cases", 200)
