"""The store keeps what was published, ignores what was not, and stays small in files."""

import errno
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from rec_sys.contracts import InputError
from rec_sys.text.store import NULL_KEY, VectorStore, make_keys

DIM = 8


def _vectors(keys: np.ndarray) -> np.ndarray:
    """A vector that says which key it belongs to."""
    seeds = [int.from_bytes(key.ljust(16, b"\0")[:4], "big") for key in keys.tolist()]
    return np.array([np.random.default_rng(seed).normal(size=DIM) for seed in seeds], np.float16).reshape(-1, DIM)


def _fill(store: VectorStore, names: range) -> np.ndarray:
    keys = make_keys(f"text {name}" for name in names)
    with store.writing():
        store.append(keys, _vectors(keys))
    return keys


@pytest.fixture
def store(tmp_path: Path) -> VectorStore:
    return VectorStore(tmp_path, "encoder", DIM)


def test_keys_are_equal_where_texts_are_and_null_has_its_own() -> None:
    keys = make_keys(["a", None, "b", "a", ""])
    assert keys[0] == keys[3]
    assert keys[1] == NULL_KEY
    assert len(set(keys.tolist())) == 4
    assert len(make_keys([])) == 0


def test_what_was_appended_is_read_in_any_order(store: VectorStore) -> None:
    keys = np.concatenate([_fill(store, range(40)), _fill(store, range(40, 60))])
    asked = keys[np.random.default_rng(0).integers(0, 60, 200)]
    assert np.array_equal(store.read(asked), _vectors(asked))
    assert store.read(asked).dtype == np.float16
    assert len(store) == 60


def test_lookup_says_which_are_missing_and_reading_them_fails(store: VectorStore) -> None:
    _fill(store, range(3))
    keys = make_keys(["text 1", "unheard of", "text 2"])
    assert store.lookup(keys).found.tolist() == [True, False, True]
    with pytest.raises(KeyError, match="1 texts have no vector"):
        store.read(keys)


def test_an_empty_store_has_nothing_and_makes_no_folder(tmp_path: Path) -> None:
    store = VectorStore(tmp_path / "absent", "encoder", DIM)
    assert not store.lookup(make_keys(["a"])).found.any()
    assert store.read(make_keys([])).shape == (0, DIM)
    assert not (tmp_path / "absent").exists()


def test_the_vector_of_null_is_zero(store: VectorStore) -> None:
    _fill(store, range(2))
    assert not store.read(make_keys([None, "text 1"]))[0].any()


def test_vectors_read_into_a_file_are_the_same(
    store: VectorStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rec_sys.text.store._ROWS_AT_ONCE", 7)
    keys = _fill(store, range(30))[::-1]
    mapped = store.read_into(keys, tmp_path / "out" / "vectors.npy")
    assert isinstance(mapped, np.memmap)
    assert np.array_equal(mapped, _vectors(keys))
    assert np.array_equal(np.load(tmp_path / "out" / "vectors.npy"), _vectors(keys))
    assert store.read_into(make_keys([]), tmp_path / "none.npy").shape == (0, DIM)


def test_another_process_sees_what_was_published_after_it_looked(store: VectorStore, tmp_path: Path) -> None:
    other = VectorStore(tmp_path, "encoder", DIM)
    keys = _fill(store, range(5))
    assert not other.lookup(keys).found.any()
    assert other.refresh()
    assert other.lookup(keys).found.all()
    assert not other.refresh()


def test_encoders_do_not_share_vectors(store: VectorStore, tmp_path: Path) -> None:
    keys = _fill(store, range(5))
    assert not VectorStore(tmp_path, "another", DIM).lookup(keys).found.any()


def test_many_small_segments_are_merged_and_nothing_is_lost(store: VectorStore) -> None:
    keys = np.concatenate([_fill(store, range(10 * part, 10 * part + 10)) for part in range(80)])
    assert len(list(store.folder.glob("*.keys.npy"))) <= 17
    assert len(list(store.folder.glob("*.vectors.npy"))) == len(list(store.folder.glob("*.keys.npy")))
    assert len(store) == 800
    assert np.array_equal(store.read(keys), _vectors(keys))


def test_segments_without_checksums_are_read(store: VectorStore, tmp_path: Path) -> None:
    keys = _fill(store, range(5))
    [note] = store.folder.glob("*.sha256")
    note.unlink()
    assert np.array_equal(VectorStore(tmp_path, "encoder", DIM).read(keys), _vectors(keys))


def test_a_reader_that_opened_before_a_merge_goes_on_reading(store: VectorStore, tmp_path: Path) -> None:
    keys = _fill(store, range(5))
    reader = VectorStore(tmp_path, "encoder", DIM)
    before = {path.name for path in store.folder.glob("*.keys.npy")}
    for part in range(1, 20):
        _fill(store, range(5 * part, 5 * part + 5))
    assert not before & {path.name for path in store.folder.glob("*.keys.npy")}
    assert np.array_equal(reader.read(keys), _vectors(keys))
    reader.refresh()
    assert np.array_equal(reader.read(keys), _vectors(keys))
    assert len(reader) == 100


@pytest.mark.parametrize(
    "damage",
    ["cut vectors", "cut keys", "no vectors", "unsorted keys", "other width", "no header", "a bit", "a bit of a key"],
)
def test_a_damaged_segment_is_no_part_of_the_store_and_is_removed(
    store: VectorStore, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    lost = _fill(store, range(50))
    keys_file, vectors_file = (next(store.folder.glob(f"*.{kind}.npy")) for kind in ("keys", "vectors"))
    kept = _fill(store, range(50, 60))
    if damage == "cut vectors":
        os.truncate(vectors_file, 200)
    elif damage == "cut keys":
        os.truncate(keys_file, 200)
    elif damage.startswith("a bit"):
        path = keys_file if "key" in damage else vectors_file
        content = path.read_bytes()
        path.write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
    elif damage == "no vectors":
        vectors_file.unlink()
    elif damage == "unsorted keys":
        np.save(keys_file, np.load(keys_file)[::-1])
    elif damage == "other width":
        np.save(vectors_file, np.zeros((50, DIM + 1), np.float16))
    else:
        keys_file.write_bytes(b"")
    opened = VectorStore(tmp_path, "encoder", DIM)
    assert opened.lookup(kept).found.all()
    assert not opened.lookup(lost).found.any()
    with opened.writing():
        opened.append(lost, _vectors(lost))
    assert "damaged" in caplog.text
    assert not keys_file.exists()
    assert not vectors_file.exists()
    assert np.array_equal(VectorStore(tmp_path, "encoder", DIM).read(lost), _vectors(lost))


def test_what_a_killed_writer_left_is_removed_by_the_next(store: VectorStore) -> None:
    _fill(store, range(5))
    orphan = store.folder / "0123.vectors.npy"
    np.save(orphan, np.zeros((3, DIM), np.float16))
    unfinished = store.folder / ".0456.vectors.npy.abc.unfinished"
    unfinished.write_bytes(b"half")
    store.refresh()
    assert len(store) == 5
    with store.writing():
        assert not orphan.exists()
        assert not unfinished.exists()


@contextmanager
def _largest_file(num_bytes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    compiling, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # what is compiled meanwhile would be cut off
    try:
        yield
    finally:
        sys.dont_write_bytecode = compiling
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_a_clear_message_and_leaves_nothing_half_written(store: VectorStore, tmp_path: Path) -> None:
    kept = _fill(store, range(5))
    files = sorted(store.folder.iterdir())
    keys = make_keys(f"more {number}" for number in range(2_000))
    with store.writing(), _largest_file(4_096), pytest.raises(InputError, match="disk is full"):
        store.append(keys, _vectors(keys))
    assert sorted(store.folder.iterdir()) == files
    with _largest_file(64), pytest.raises(InputError, match="disk is full"):
        store.read_into(kept, tmp_path / "out.npy")
    assert not (tmp_path / "out.npy").exists()


def test_a_cache_below_a_file_is_a_clear_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    store = VectorStore(tmp_path / "file" / "vectors", "encoder", DIM)
    with pytest.raises(InputError, match="cannot be written to"), store.writing():
        pass


def test_a_lock_that_may_not_be_made_is_a_clear_message(store: VectorStore, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may write anywhere, so the refusal of the system has to be raised by hand.
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(store._lock, "acquire", refuse)
    with pytest.raises(InputError, match="Read-only file system"), store.writing():
        pass
