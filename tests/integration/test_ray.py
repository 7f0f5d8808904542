"""A Ray cluster of two nodes on this machine: what its actors make is what one process makes, though one is killed."""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from rec_sys.bundle import hash_code
from rec_sys.contracts import InputError
from rec_sys.data.prepare import prepare
from rec_sys.data.readers import ray_reading
from rec_sys.data.readers.batches import Batch
from rec_sys.data.readers.table_reviews import ReviewReader
from rec_sys.inference import batch_export, ray_answers
from rec_sys.inference.infer import InferSettings, run
from rec_sys.raw_files import parquet_rows
from rec_sys.raw_files.parquet_rows import RowRange
from rec_sys.ray_cluster import _Actor, count_actors
from rec_sys.settings import EdgeIndex, EngineSettings, IndexSettings, InferenceSettings, TableData, TextSettings
from rec_sys.text import ray_embedding
from rec_sys.text.embedding import embed_texts
from rec_sys.text.opening import open_encoder
from rec_sys.vector_database.catalogue import read_catalogue
from rec_sys.vector_database.edge_index import EdgePublisher
from tests.integration.test_text_embedding import _reviews
from tests.product_indexes import quick_folder
from tests.serving_bundles import write_serving_bundle

# int8 shows in its second decimal which batch a text was in.
SETTINGS = TextSettings(precision="int8", device="cpu", num_threads=1, token_budget=512)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """One CPU at the head, two on another node; nothing is left running."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # the paths of its sockets must be short
    node = {"object_store_memory": 80_000_000}
    head = node | {"num_cpus": 1, "include_dashboard": False, "temp_dir": folder}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.add_node(num_cpus=2, **node)
    yield "127.0.0.1:" + cluster.address.rpartition(":")[2]
    cluster.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


class Dying:
    """An actor that notes what it is given; the first to be given its second block is killed."""

    notes: Path
    given = 0

    def note(self, names: Iterable[object]) -> None:
        self.given += 1
        if self.given == 2:
            try:
                (self.notes / "killed").touch(exist_ok=False)
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), 9)
        with (self.notes / "given").open("a") as file:
            file.writelines(f"{name}\n" for name in names)


def given_once(notes: Path) -> list[str]:
    """What the actors were given, sorted; that one of them was killed, and gave up nothing that was done."""
    assert (notes / "killed").exists()
    given = Counter((notes / "given").read_text().split("\n")[:-1])
    assert set(given.values()) == {1}
    return sorted(given)


class DyingEncoder(ray_embedding.EncodingActor, Dying):
    def __init__(self, settings: TextSettings, cache_dir: Path) -> None:
        super().__init__(settings, cache_dir)
        self.notes = cache_dir.parent

    def __call__(self, block: ray_embedding.Batches) -> ray_embedding.Embedded:
        self.note(position for positions, _ in block for position in positions)
        return super().__call__(block)


class DyingAnswerer(ray_answers.AnsweringActor, Dying):
    def __init__(self, index: IndexSettings, inference: InferenceSettings, folder: Path, *rest: Any) -> None:
        super().__init__(index, inference, folder, *rest)
        self.notes = folder.parent

    def __call__(self, block: Sequence[str]) -> pl.DataFrame:
        self.note(block)
        return super().__call__(block)


class DyingReader(ray_reading.ReadingActor, Dying):
    def __init__(self, reader: ReviewReader, home: Path) -> None:
        super().__init__(reader, home)
        self.notes = (home / reader.table.path).parent

    def __call__(self, rows: RowRange) -> Batch:
        self.note([f"{rows.path} {rows.first}"])
        return super().__call__(rows)


def test_actors_one_of_them_killed_embed_each_text_once_and_as_one_process_does(
    tmp_path: Path,
    text_cache_dir: Path,
    address: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    open_encoder(SETTINGS, text_cache_dir).export()
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "models").symlink_to(text_cache_dir / "models")
    texts = _reviews(120)
    local = embed_texts(texts, SETTINGS, tmp_path / "here")
    monkeypatch.setattr(ray_embedding, "_TOKENS_A_BLOCK", 600)
    monkeypatch.setattr(ray_embedding, "EncodingActor", DyingEncoder)
    capfd.readouterr()
    engine = EngineSettings(kind="ray", address=address)
    remote = embed_texts(texts, SETTINGS, tmp_path / "there", engine=engine)
    assert (remote.num_embedded, remote.num_reused) == (120, 0)
    assert len(given_once(tmp_path)) == 120
    np.testing.assert_array_equal(remote.vectors, local.vectors)
    assert capfd.readouterr().out == ""
    # What stands in the store asks for no cluster.
    nobody = EngineSettings(kind="ray", address="127.0.0.1:1")
    assert embed_texts(texts, SETTINGS, tmp_path / "there", engine=nobody).num_reused == 120

    with pytest.raises(InputError, match="3 actors do not fit the Ray cluster: 3 of its 3 CPUs are free") as refused:
        embed_texts(["new"], SETTINGS, tmp_path / "there", engine=engine.model_copy(update={"actors": 3}))
    assert "set engine.actors=2" in refused.value.remedy
    with pytest.raises(InputError, match="no Ray cluster answers"):
        embed_texts(["new"], SETTINGS, tmp_path / "there", engine=nobody)


def test_actors_one_of_them_killed_answer_every_user_once_and_as_one_process_does(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(batch_export, "PART_USERS", 16)
    monkeypatch.setattr(batch_export, "_BLOCK_USERS", 6)
    monkeypatch.setattr(ray_answers, "AnsweringActor", DyingAnswerer)
    with quick_folder() as folder:
        bundle = write_serving_bundle(folder / "bundles" / "first")
        index = EdgeIndex(backend="edge", folder=folder / "index", progress=False)
        EdgePublisher(index).publish(read_catalogue(bundle))
        users = [f"user {number}" for number in range(40)]
        pl.DataFrame({"user_id": [*users, "stranger", *users[:3]]}).write_csv(folder / "users.csv")
        settings = {"output_dir": folder, "index": index, "inference": {}, "users": folder / "users.csv"}
        run(InferSettings.model_validate(settings | {"output": folder / "here"}))
        engine = {"kind": "ray", "address": address}
        there = InferSettings.model_validate(settings | {"output": folder / "there", "engine": engine})
        run(there)
        assert given_once(folder / "bundles") == sorted(users)
        written = {
            name: {path.name: path.read_bytes() for path in (folder / name).glob("*.parquet")}
            for name in ("here", "there")
        }
        assert len(written["here"]) == 4
        assert written["there"] == written["here"]
        # What is there already is asked of nobody, and what is missing of the cluster.
        run(there.model_copy(update={"engine": EngineSettings(kind="ray", address="127.0.0.1:1")}))
        assert "0 of them now" in capsys.readouterr().out
        (folder / "there" / "part-00001.parquet").unlink()
        with pytest.raises(InputError, match="5 actors do not fit the Ray cluster"):
            run(there.model_copy(update={"engine": EngineSettings(kind="ray", address=address, actors=5)}))
        with pytest.raises(InputError, match="a single one is asked for"):
            run(there.model_copy(update={"users": None, "user_id": "user 1"}))


def test_actors_one_of_them_killed_read_parquet_files_and_what_is_prepared_is_the_same_to_the_byte(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = pl.DataFrame(
        {"user_id": [f"U{row % 7}" if row % 13 else None for row in range(40)]}
        | {"asin": [f"P{row % 9}" for row in range(40)], "rating": [1 + row % 5 for row in range(40)]}
        | {"timestamp": [1_400_000_000 + row for row in range(40)], "text": [f"Text &amp; {row}" for row in range(40)]}
    )
    (tmp_path / "raw").mkdir()
    for number in range(4):
        rows[10 * number : 10 * number + 10].write_parquet(tmp_path / "raw" / f"{number}.parquet")
    monkeypatch.setattr(parquet_rows, "BATCH_ROWS", 7)
    monkeypatch.setattr(ray_reading, "ReadingActor", DyingReader)
    relative = Path(os.path.relpath(tmp_path / "raw"))  # from here, wherever the actors are
    data = TableData(name="shop", reader="table", reviews_path=relative, max_bad_share=0.5)
    engine = EngineSettings(kind="ray", address=address)
    folders = [prepare(data, tmp_path / "here").folder, prepare(data, tmp_path / "there", engine=engine).folder]
    assert len(given_once(tmp_path)) == 8
    here, there = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    assert there == here
    # What an actor finds wrong is said in its own words.
    broken = bytearray((tmp_path / "raw" / "3.parquet").read_bytes())
    broken[4:80] = bytes(76)
    (tmp_path / "raw" / "3.parquet").write_bytes(broken)
    with pytest.raises(InputError, match="the Parquet file is broken") as refused:
        prepare(data, tmp_path / "there", engine=engine.model_copy(update={"actors": 1}))
    assert refused.value.where.endswith("raw/3.parquet")


def test_as_many_actors_as_are_free_less_the_one_that_reads() -> None:
    engine = EngineSettings(kind="ray")
    assert count_actors(engine, {"CPU": 8.0}, {"CPU": 8.0}) == 7
    assert count_actors(engine, {"CPU": 8.0, "GPU": 2.0}, {"CPU": 8.0, "GPU": 2.0}, on_gpus=True) == 2
    with pytest.raises(InputError, match="1 actor does not fit the Ray cluster: 1 of its 8 CPUs"):
        count_actors(engine, {"CPU": 8.0}, {"CPU": 1.0})
    with pytest.raises(InputError, match="and 0 of its 0 GPUs"):
        count_actors(engine, {"CPU": 8.0}, {"CPU": 8.0}, on_gpus=True)


def test_a_machine_with_another_version_of_the_project_is_told_from_the_others() -> None:
    assert _Actor(lambda: sum, (), hash_code()).work([1, 2]) == 3
    with pytest.raises(InputError, match="a machine of the Ray cluster has another version of this project"):
        _Actor(lambda: sum, (), "another").work([1, 2])
