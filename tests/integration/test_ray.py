"""A Ray cluster of two nodes on this machine: what its actors make is what one process makes, though one is killed."""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rec_sys.contracts import InputError
from rec_sys.ray_cluster import count_actors
from rec_sys.settings import EngineSettings, TextSettings
from rec_sys.text import ray_embedding
from rec_sys.text.embedding import embed_texts
from rec_sys.text.opening import open_encoder
from tests.integration.test_text_embedding import _reviews

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


class DyingActor(ray_embedding.EncodingActor):
    """Notes what it embeds; the first to be given its second block is killed."""

    def __init__(self, settings: TextSettings, cache_dir: Path) -> None:
        super().__init__(settings, cache_dir)
        self.folder, self.given = cache_dir.parent, 0

    def __call__(self, block):  # type: ignore[no-untyped-def]
        self.given += 1
        if self.given == 2:
            try:
                (self.folder / "killed").touch(exist_ok=False)
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), 9)
        with (self.folder / "embedded").open("a") as file:
            file.writelines(f"{position}\n" for position in block["position"].to_pylist())
        return super().__call__(block)


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
    monkeypatch.setattr(ray_embedding, "EncodingActor", DyingActor)
    capfd.readouterr()
    engine = EngineSettings(kind="ray", address=address)
    remote = embed_texts(texts, SETTINGS, tmp_path / "there", engine=engine)
    assert (remote.num_embedded, remote.num_reused) == (120, 0)
    assert (tmp_path / "killed").exists()
    embedded = Counter((tmp_path / "embedded").read_text().split())
    assert len(embedded) == 120
    assert set(embedded.values()) == {1}
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


def test_as_many_actors_as_are_free_less_the_one_that_reads() -> None:
    engine = EngineSettings(kind="ray")
    assert count_actors(engine, {"CPU": 8.0}, {"CPU": 8.0}) == 7
    assert count_actors(engine, {"CPU": 8.0, "GPU": 2.0}, {"CPU": 8.0, "GPU": 2.0}, on_gpus=True) == 2
    with pytest.raises(InputError, match="1 actor does not fit the Ray cluster: 1 of its 8 CPUs"):
        count_actors(engine, {"CPU": 8.0}, {"CPU": 1.0})
    with pytest.raises(InputError, match="and 0 of its 0 GPUs"):
        count_actors(engine, {"CPU": 8.0}, {"CPU": 8.0}, on_gpus=True)
