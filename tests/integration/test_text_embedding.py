"""Texts are embedded once: over calls, over processes, over kills."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rec_sys.settings import TextSettings
from rec_sys.text.embedding import EmbeddedTexts, embed_texts
from rec_sys.text.opening import open_encoder
from rec_sys.text.store import VectorStore, make_keys
from tests.text_width import MINILM_DIM
from tests.warm_processes import WarmProcess

# int8 scales a batch's activations together, so a vector shows in its second decimal which batch it was made in.
SETTINGS = TextSettings(precision="int8", device="cpu", num_threads=1)
WORDS = (
    "strings guitar tone tuner bright warm pedal cheap broke sturdy cable hum love return month gig amp pick capo "
    "the a my and it was is for with very not too after sounds works fits stays"
)
CHILD = """
import sys
from pathlib import Path
import numpy as np
from rec_sys.settings import TextSettings
from rec_sys.text.embedding import embed_texts
texts = Path(sys.argv[1]).read_text().split("\\n")
settings = TextSettings.model_validate_json(sys.argv[2])
embedded = embed_texts(texts, settings, Path(sys.argv[3]))
np.save(sys.argv[4], embedded.vectors)
print(embedded.num_embedded, embedded.num_reused)
"""


def _reviews(count: int, seed: int = 0) -> list[str]:
    """Distinct sentences of 10 to 70 words."""
    words = WORDS.split()
    draw = np.random.default_rng(seed)
    return [
        " ".join([f"Review {seed}-{number}:", *draw.choice(words, draw.integers(10, 70))]) for number in range(count)
    ]


@pytest.fixture
def cache(tmp_path: Path, text_cache_dir: Path) -> Path:
    """A cache of its own that shares the exported models with all tests."""
    open_encoder(SETTINGS, text_cache_dir).export()
    return _empty_cache(tmp_path / "cache", text_cache_dir)


def _empty_cache(folder: Path, text_cache_dir: Path) -> Path:
    folder.mkdir()
    (folder / "models").symlink_to(text_cache_dir / "models")
    return folder


def _embed(texts: pl.Series | list[str | None], cache: Path, out: Path | None = None) -> EmbeddedTexts:
    return embed_texts(texts, SETTINGS, cache, out)


def _store(cache: Path) -> VectorStore:
    return VectorStore(cache / "vectors", open_encoder(SETTINGS, cache).encoder_id, MINILM_DIM)


@contextmanager
def _child(texts: list[str], cache: Path, name: str) -> Iterator[WarmProcess]:
    """A process that embeds, killed at the end where it still runs."""
    listed = cache.parent / f"{name}.txt"
    listed.write_text("\n".join(texts))
    arguments = [str(listed), SETTINGS.model_dump_json(), str(cache), str(cache.parent / f"{name}.npy")]
    with WarmProcess("-c", CHILD, *arguments) as process:
        yield process


def _wait_until(condition: Callable[[], bool], process: WarmProcess, seconds: float = 600) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < ends, "it took too long"
        time.sleep(0.02)


def test_repeated_texts_and_nulls_get_their_vectors_in_input_order(cache: Path) -> None:
    texts = ["bright strings", None, "a dull amp", "bright strings", ""]
    embedded = _embed(texts, cache)
    assert (embedded.num_embedded, embedded.num_reused) == (3, 0)
    assert embedded.vectors.dtype == np.float16
    assert np.array_equal(embedded.vectors[0], embedded.vectors[3])
    lengths = np.linalg.norm(embedded.vectors.astype(np.float32), axis=1)
    assert np.allclose(lengths, [1, 0, 1, 1, 1], atol=2e-3)
    alone = open_encoder(SETTINGS, cache).encode(["bright strings", "a dull amp"])
    assert (alone * embedded.vectors[[0, 2]]).sum(axis=1).min() > 0.98


def test_a_text_is_embedded_once_across_data_sets(cache: Path) -> None:
    first = _embed(pl.Series("text", _reviews(20)), cache)
    second = _embed(pl.Series("text", [*_reviews(20)[::-1], "one more"]), cache)
    assert (first.num_embedded, first.num_reused) == (20, 0)
    assert (second.num_embedded, second.num_reused) == (1, 20)
    assert np.array_equal(second.vectors[:20], first.vectors[::-1])


def test_no_texts_and_nulls_alone_embed_nothing(tmp_path: Path) -> None:
    for texts in (pl.Series("text", [], dtype=pl.String), pl.Series("text", [None, None])):
        embedded = _embed(texts, tmp_path)
        assert (embedded.num_embedded, embedded.num_reused) == (0, 0)
        assert embedded.vectors.shape == (len(texts), MINILM_DIM)
        assert not embedded.vectors.any()
    # Nothing to embed: neither exported nor written.
    assert list(tmp_path.iterdir()) == []


def test_vectors_can_go_to_a_file(cache: Path, tmp_path: Path) -> None:
    texts = [*_reviews(5), None]
    embedded = _embed(texts, cache, tmp_path / "vectors.npy")
    assert isinstance(embedded.vectors, np.memmap)
    assert np.array_equal(np.load(tmp_path / "vectors.npy"), _embed(texts, cache).vectors)


def test_vectors_do_not_depend_on_the_order_of_the_texts(cache: Path, text_cache_dir: Path) -> None:
    texts = _reviews(60)
    backwards = _empty_cache(cache.parent / "backwards", text_cache_dir)
    assert np.array_equal(_embed(texts, cache).vectors, _embed(texts[::-1], backwards).vectors[::-1])


def test_work_that_was_killed_goes_on_and_equals_undisturbed_work(cache: Path, text_cache_dir: Path) -> None:
    texts = _reviews(500)  # the first claim takes some 200 of them
    with _child(texts, cache, "killed") as process:
        _wait_until(lambda: any(cache.glob("vectors/*/*.keys.npy")), process)
        time.sleep(0.1)  # into the next claim
        assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    done = int(_store(cache).lookup(make_keys(texts)).found.sum())
    assert 0 < done < len(texts)
    resumed = _embed(texts, cache)
    assert (resumed.num_embedded, resumed.num_reused) == (len(texts) - done, done)
    undisturbed = _embed(texts, _empty_cache(cache.parent / "undisturbed", text_cache_dir))
    assert undisturbed.num_embedded == len(texts)
    assert np.array_equal(resumed.vectors, undisturbed.vectors)
    # The comparison can fail: in a batch of its own a text has another vector.
    encoder = open_encoder(SETTINGS, cache)
    alone = np.concatenate([encoder.encode([text]) for text in texts[:5]]).astype(np.float16)
    assert not np.array_equal(alone, undisturbed.vectors[:5])


def test_two_processes_share_the_work_and_embed_nothing_twice(cache: Path) -> None:
    shared, mine, yours = _reviews(400), _reviews(60, seed=1), _reviews(60, seed=2)
    with _child(shared + mine, cache, "one") as one, _child(shared + yours, cache, "two") as two:
        answers = [process.communicate(timeout=600) for process in (one, two)]
    assert one.returncode == two.returncode == 0, answers
    counts = [tuple(map(int, out.split())) for out, _ in answers]
    assert sum(embedded for embedded, _ in counts) == 520
    assert [embedded + reused for embedded, reused in counts] == [460, 460]
    vectors = [np.load(cache.parent / f"{name}.npy") for name in ("one", "two")]
    assert np.array_equal(vectors[0][:400], vectors[1][:400])
    store = _store(cache)
    assert len(store) == 520
    assert np.array_equal(store.read(make_keys(mine)), vectors[0][400:])


def test_a_damaged_segment_is_embedded_again(cache: Path) -> None:
    texts = _reviews(10)
    before = _embed(texts, cache)
    vectors_file = next(cache.glob("vectors/*/*.vectors.npy"))
    os.truncate(vectors_file, vectors_file.stat().st_size // 2)
    after = _embed(texts, cache)
    assert after.num_embedded == 10
    assert np.array_equal(after.vectors, before.vectors)
