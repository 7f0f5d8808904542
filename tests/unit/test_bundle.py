"""The bundle: what goes in comes out, whole or not at all, and without torch."""

import errno
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from rec_sys.bundle import Bundle, BundleContents, hash_code, write_bundle
from rec_sys.bundle_manifest import FORMAT_VERSION
from rec_sys.checksums import CHECKSUMS
from rec_sys.contracts import BundleFile, HistoryColumn, InputError, MemoryTensor, ProductColumn, TowerFile, UserColumn
from rec_sys.scoring import ScoreFormula
from tests.changed_bundles import as_earlier_versions_wrote_it, note_anew
from tests.text_width import TEXT_DIM

ROOT = Path(__file__).parents[2]


def some_contents(tmp_path: Path, **changes: Any) -> BundleContents:
    picture = tmp_path / "learning_curves.png"
    picture.write_bytes(b"a picture")
    random = np.random.default_rng(0)
    contents = BundleContents(
        data_name="sample",
        data_fingerprint="f" * 64,
        text_encoder="none",
        weights={
            "table": random.normal(size=(5, 4)).astype(np.float32),
            "transposed": random.normal(size=(3, 4)).astype(np.float32).T,
            "scale": np.array(0.5, dtype=np.float32),
            "count": np.array([3], dtype=np.int64),
        },
        settings={"seed": 1, "model": {"dim": 4}},
        products=pl.DataFrame({ProductColumn.ASIN: [f"p{number}" for number in range(5)]}),
        product_vectors={
            "output": random.normal(size=(5, 4)).astype(np.float32),
            "input": random.normal(size=(4, 5)).astype(np.float32).T,
            "rating_offset": random.normal(size=5).astype(np.float32),
        },
        metrics={"test": {"ndcg_at_10": 0.25}, "validation": {}, "baselines": {"popular": {"ndcg_at_10": 0.1}}},
        histories=pl.DataFrame({HistoryColumn.USER_ID: ["u", "u", "v"], HistoryColumn.PRODUCT_INDEX: [0, 1, 4]}),
        history_text=random.normal(size=(2, TEXT_DIM)).astype(np.float16),
        score=ScoreFormula(temperature=0.07),
        user_reviews=50,
        product_reviews=16,
        has_time=True,
        memory={MemoryTensor.OFFSETS: np.arange(6), MemoryTensor.WEIGHTS: np.ones(5, dtype=np.float32)},
        user_facts=pl.DataFrame({UserColumn.USER_ID: ["u", "v"], "age": pl.Series([30, None], dtype=pl.Float32)}),
        towers={TowerFile.USER: b"user", TowerFile.PRODUCT: b"product"},
        pictures=(picture,),
    )
    return replace(contents, **changes)


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    contents = some_contents(tmp_path)
    written = write_bundle(tmp_path / "bundle", contents)
    bundle = Bundle(tmp_path / "bundle")
    assert bundle.manifest == written
    assert (written.num_products, written.dim, written.format_version) == (5, 4, FORMAT_VERSION)
    assert (written.data_name, written.data_fingerprint, written.text_encoder) == ("sample", "f" * 64, "none")
    assert written.code_version == hash_code()
    assert (written.score, written.user_reviews, written.product_reviews) == (contents.score, 50, 16)
    assert written.has_time
    for given, found in (
        (contents.weights, bundle.weights()),
        (contents.product_vectors, bundle.product_vectors()),
        (contents.memory, bundle.memory()),
    ):
        assert given is not None
        assert found is not None
        assert set(given) == set(found)
        for name, value in given.items():
            assert (found[name].shape, found[name].dtype) == (value.shape, value.dtype), name
            np.testing.assert_array_equal(found[name], value)
    assert bundle.settings() == contents.settings
    assert bundle.metrics() == contents.metrics
    assert bundle.products().equals(contents.products)
    assert bundle.histories().equals(contents.histories)
    facts = bundle.user_facts()
    assert facts is not None
    assert facts.equals(contents.user_facts)  # type: ignore[arg-type]
    assert isinstance(bundle.history_text(), np.memmap)
    np.testing.assert_array_equal(bundle.history_text(), contents.history_text)
    assert bundle.tower(TowerFile.USER).read_bytes() == b"user"
    assert (bundle.folder / BundleFile.PICTURES / "learning_curves.png").read_bytes() == b"a picture"
    assert not list(bundle.folder.rglob("*.pkl"))


def test_whoever_may_read_one_file_of_a_bundle_may_read_all(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle", some_contents(tmp_path))
    files = [path for path in (tmp_path / "bundle").rglob("*") if path.is_file()]
    assert len(files) > 8
    assert {path.stat().st_mode for path in files} == {(tmp_path / "bundle" / BundleFile.MANIFEST).stat().st_mode}


def test_a_model_without_memory_and_text_has_a_bundle_too(tmp_path: Path) -> None:
    nothing = np.zeros((0, TEXT_DIM), dtype=np.float16)
    write_bundle(
        tmp_path / "bundle",
        some_contents(tmp_path, memory=None, user_facts=None, history_text=nothing, towers={}, pictures=()),
    )
    bundle = Bundle(tmp_path / "bundle")
    assert bundle.memory() is None
    assert bundle.user_facts() is None
    assert bundle.history_text().shape == (0, TEXT_DIM)


def every_file(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_changed_or_missing_file_is_found(tmp_path: Path) -> None:
    contents = some_contents(tmp_path)
    folder = tmp_path / "bundle"
    write_bundle(folder, contents)
    names = [name for name in every_file(folder) if name not in (BundleFile.MANIFEST, CHECKSUMS)]
    assert len(names) == 12
    for name in names:
        sound = (folder / name).read_bytes()
        damaged = sound[:-1] + bytes([sound[-1] ^ 1])
        for change in (damaged, None):
            (folder / name).unlink()
            if change is not None:
                (folder / name).write_bytes(change)
            with pytest.raises(InputError, match=r"missing or was changed[\s\S]*" + name):
                Bundle(folder)
        (folder / name).write_bytes(sound)
    Bundle(folder)


@pytest.mark.parametrize("name", [BundleFile.MANIFEST, CHECKSUMS])
def test_what_vouches_for_the_others_is_vouched_for_itself(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    write_bundle(folder, some_contents(tmp_path))
    sound = (folder / name).read_bytes()
    for place in range(0, len(sound), 7):
        (folder / name).write_bytes(sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])
        with pytest.raises(InputError):
            Bundle(folder)
    (folder / name).write_bytes(sound)
    Bundle(folder)


@pytest.mark.parametrize("name", [CHECKSUMS, BundleFile.MANIFEST, BundleFile.PRODUCT_VECTORS])
def test_a_file_of_another_user_is_not_taken_for_a_damaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = tmp_path / "bundle"
    write_bundle(folder, some_contents(tmp_path))
    open_it = io.open

    def refuse(path: Path, *rest: Any, **options: Any) -> Any:  # root may open what others may not
        if Path(path).name == name:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return open_it(path, *rest, **options)

    monkeypatch.setattr(io, "open", refuse)
    with pytest.raises(InputError, match=rf"may not be used \(Permission denied\)\n.*{name}") as refused:
        Bundle(folder)
    assert "its permissions" in refused.value.remedy


def test_without_checksums_the_hashes_of_the_manifest_count(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    write_bundle(folder, some_contents(tmp_path))
    as_earlier_versions_wrote_it(folder)
    Bundle(folder)
    (folder / BundleFile.MEMORY).unlink()
    with pytest.raises(InputError, match="missing or was changed"):
        Bundle(folder)


@pytest.mark.parametrize(
    ("file", "content", "read"),
    [
        (BundleFile.WEIGHTS, b"none", Bundle.weights),
        (BundleFile.PRODUCT_VECTORS, b"", Bundle.product_vectors),
        (BundleFile.MEMORY, b"\xff" * 40, Bundle.memory),
        (BundleFile.PRODUCTS, b"PAR1PAR1", Bundle.products),
        (BundleFile.HISTORIES, b"", Bundle.histories),
        (BundleFile.HISTORY_TEXT, b"\x93NUMPY", Bundle.history_text),
        (BundleFile.SETTINGS, b"{", Bundle.settings),
        (BundleFile.SETTINGS, b"[]", Bundle.text_settings),
        (BundleFile.SETTINGS, b'{"text": {"source": 1}}', Bundle.text_settings),
        (BundleFile.METRICS, b"\xff", Bundle.metrics),
    ],
)
def test_a_file_that_holds_something_else_is_named(
    file: str, content: bytes, read: Callable[[Bundle], object], tmp_path: Path
) -> None:
    folder = tmp_path / "bundle"
    write_bundle(folder, some_contents(tmp_path))
    (folder / file).write_bytes(content)
    note_anew(folder)
    with pytest.raises(InputError, match="the bundle is damaged") as refused:
        read(Bundle(folder))
    assert refused.value.where == str(folder / file)
    assert "rec_sys.train.train" in refused.value.remedy


def test_no_bundle_another_format_and_a_broken_manifest_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no bundle"):
        Bundle(tmp_path / "nothing")
    folder = tmp_path / "bundle"
    write_bundle(folder, some_contents(tmp_path))
    as_earlier_versions_wrote_it(folder)
    manifest = folder / BundleFile.MANIFEST
    sound = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(sound | {"format_version": FORMAT_VERSION + 1}))
    with pytest.raises(InputError, match=f"format {FORMAT_VERSION + 1}"):
        Bundle(folder)
    for broken in (manifest.read_text()[:100], "", "[]", json.dumps({"format_version": FORMAT_VERSION})):
        manifest.write_text(broken)
        with pytest.raises(InputError, match="manifest"):
            Bundle(folder)


def test_a_manifest_that_does_not_name_the_width_of_the_texts_takes_it_from_them(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    write_bundle(folder, some_contents(tmp_path))
    as_earlier_versions_wrote_it(folder)
    manifest = folder / BundleFile.MANIFEST
    fields = json.loads(manifest.read_text())
    assert fields.pop("text_dim") == TEXT_DIM
    manifest.write_text(json.dumps(fields))
    assert Bundle(folder).manifest.text_dim == TEXT_DIM
    (folder / BundleFile.HISTORY_TEXT).unlink()
    with pytest.raises(InputError, match="manifest"):
        Bundle(folder)


def test_a_figure_that_is_no_number_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_bundle(tmp_path / "bundle", some_contents(tmp_path, metrics={"test": {"auc": float("nan")}}))
    assert not (tmp_path / "bundle").exists()


def test_a_failed_write_leaves_the_old_bundle(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    first = write_bundle(folder, some_contents(tmp_path))
    with pytest.raises(FileNotFoundError):
        write_bundle(folder, some_contents(tmp_path, pictures=(tmp_path / "missing.png",)))
    assert Bundle(folder).manifest == first


KILLED_WHILE_WRITING = """
import sys, time
from pathlib import Path
import numpy as np, polars as pl
from rec_sys import bundle, scoring
def stop(folder):
    print("writing", flush=True)
    time.sleep(60)
bundle.hash_files = stop
table = pl.DataFrame({"asin": ["p"]})
vectors = {"output": np.zeros((1, 4), dtype=np.float32)}
contents = bundle.BundleContents(
    data_name="new", data_fingerprint="f", text_encoder="none", weights={}, settings={}, products=table,
    product_vectors=vectors, metrics={}, histories=table, history_text=vectors["output"],
    score=scoring.ScoreFormula(temperature=0.1), user_reviews=1, product_reviews=1, has_time=True,
)
bundle.write_bundle(Path(sys.argv[1]), contents)
"""


def test_a_killed_write_leaves_the_old_bundle_and_the_next_sweeps_up(tmp_path: Path) -> None:
    folder = tmp_path / "bundles" / "bundle"
    first = write_bundle(folder, some_contents(tmp_path))
    writer = subprocess.Popen(
        [sys.executable, "-c", KILLED_WHILE_WRITING, str(folder)], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"writing\n"
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    assert Bundle(folder).manifest == first
    assert len(list(folder.parent.iterdir())) == 2
    write_bundle(folder, some_contents(tmp_path))
    assert [path.name for path in folder.parent.iterdir()] == ["bundle"]


def test_reading_a_bundle_needs_neither_torch_nor_pyg(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle", some_contents(tmp_path))
    script = """
import sys
from pathlib import Path
from rec_sys.bundle import Bundle
from tests.text_width import TEXT_DIM
bundle = Bundle(Path(sys.argv[1]))
bundle.weights(), bundle.product_vectors(), bundle.products(), bundle.settings(), bundle.metrics()
bundle.memory(), bundle.histories(), bundle.history_text()
heavy = {"torch", "torch_geometric", "pytorch_lightning", "mlflow", "transformers", "onnxruntime"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "bundle")], cwd=ROOT, check=True)


def test_the_code_version_is_that_of_the_sources() -> None:
    assert hash_code() == hash_code()
    assert len(hash_code()) == 16
    int(hash_code(), 16)


def write_in_format_1(folder: Path, contents: BundleContents) -> None:
    """A bundle as format 1 wrote it: the score's numbers beside each other, sessions called bursts, baselines peers."""
    write_bundle(folder, contents)
    as_earlier_versions_wrote_it(folder)
    settings = contents.settings | {"model": {"dim": 4, "co_review": {"burst": 1.0, "burst_days": 30.0, "past": 0.5}}}
    metrics = {"test": {"ndcg_at_10": 0.25}, "validation": {}, "peers": {"popular": {"ndcg_at_10": 0.1}}}
    manifest = json.loads((folder / BundleFile.MANIFEST).read_text())
    del manifest["score"]
    manifest |= {"format_version": 1, "temperature": 0.07, "memory_weight": 20.0}
    manifest |= {"memory_recency": 0.9, "memory_burst": 1.0, "memory_burst_days": 30.0}
    for file, content in ((BundleFile.SETTINGS, settings), (BundleFile.METRICS, metrics)):
        (folder / file).write_text(json.dumps(content))
        manifest["files"][file] = hashlib.sha256((folder / file).read_bytes()).hexdigest()
    (folder / BundleFile.MANIFEST).write_text(json.dumps(manifest))


def test_a_bundle_of_format_1_is_read_in_the_words_of_this_one(tmp_path: Path) -> None:
    contents = some_contents(tmp_path)
    write_in_format_1(tmp_path / "bundle", contents)
    bundle = Bundle(tmp_path / "bundle")
    assert bundle.manifest.format_version == 1
    assert bundle.manifest.score == ScoreFormula(
        temperature=0.07, memory_weight=20.0, recency=0.9, session=1.0, session_days=30.0
    )
    assert (bundle.manifest.user_reviews, bundle.manifest.num_products) == (50, 5)
    assert bundle.settings() == {
        "seed": 1,
        "model": {"dim": 4, "co_review": {"session": 1.0, "session_days": 30.0, "past": 0.5}},
    }
    assert bundle.metrics() == contents.metrics
    assert bundle.identity == hashlib.sha256((bundle.folder / BundleFile.MANIFEST).read_bytes()).hexdigest()[:16]


def test_a_manifest_of_format_1_without_a_number_of_the_score_is_damaged(tmp_path: Path) -> None:
    write_in_format_1(tmp_path / "bundle", some_contents(tmp_path))
    path = tmp_path / "bundle" / BundleFile.MANIFEST
    manifest = json.loads(path.read_text())
    del manifest["temperature"]
    path.write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="manifest"):
        Bundle(tmp_path / "bundle")


def test_the_model_card_lies_in_the_bundle_and_is_covered_by_its_hashes(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle", some_contents(tmp_path, card="# a card\n"))
    path = tmp_path / "bundle" / BundleFile.CARD
    assert path.read_text() == "# a card\n"
    path.write_text("# another\n")
    with pytest.raises(InputError, match="missing or was changed"):
        Bundle(tmp_path / "bundle")
