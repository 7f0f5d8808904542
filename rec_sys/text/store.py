"""Text vectors on disk, addressed by what the text says: embedded once for ever, across data sets and processes."""

import hashlib
import logging
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from rec_sys.checksums import NOTE_SUFFIX, check_folder, write_checksums
from rec_sys.contracts import InputError
from rec_sys.files import atomic_file, sha256_of
from rec_sys.locks import hold_lock

_LOG: Final = logging.getLogger(__name__)

Keys = npt.NDArray[np.bytes_]  # S16 [n], see make_keys
Vectors = npt.NDArray[np.float16]  # [n, dim]

NULL_KEY: Final = b""  # numpy drops the zeros at the end of sixteen zero bytes
_KEY_BYTES: Final = 16
_KEYS_FILE: Final = ".keys.npy"
_VECTORS_FILE: Final = ".vectors.npy"
_MAX_SEGMENTS: Final = 16
_ROWS_AT_ONCE: Final = 65_536  # 50 MB of vectors
_MAX_RELISTINGS: Final = 10
# A waiting process asks for the lock this often; who lets it go waits longer than that before asking again, or one
# process would hold it from the first to the last text.
_POLL_SECONDS: Final = 0.02
LOCK_PAUSE_SECONDS: Final = 2 * _POLL_SECONDS


def make_keys(texts: Iterable[str | None]) -> Keys:
    """S16 [num_texts]: each text's BLAKE2b of 128 bits, `NULL_KEY` for null; equal texts, equal keys."""
    null = bytes(_KEY_BYTES)
    digests = (
        null if text is None else hashlib.blake2b(text.encode("utf-8"), digest_size=_KEY_BYTES).digest()
        for text in texts
    )
    return np.frombuffer(b"".join(digests), dtype=f"S{_KEY_BYTES}")


def write_rows(
    path: Path, shape: tuple[int, ...], dtype: npt.DTypeLike, blocks: Iterable[npt.NDArray[np.generic]]
) -> None:
    """Writes an .npy file block by block, never holding it whole.

    The bytes go through `write`, because a full disk reached through a memory map kills the process.

    Args:
        path: The file.
        shape: Of the blocks together, which are consecutive rows.
        dtype: Of the file.
        blocks: What is written.
    """
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype=dtype).tobytes())


@dataclass(frozen=True)
class _Segment:
    """One pair of files, never changed once it is published: sorted keys and their vectors."""

    keys: Keys
    vectors: Vectors


@dataclass(frozen=True)
class Places:
    """Where vectors stand: segments, int32 [n] (-1: not in the store), and rows in them, int64 [n]."""

    segments: npt.NDArray[np.int32]
    rows: npt.NDArray[np.int64]

    @property
    def found(self) -> npt.NDArray[np.bool_]:
        """bool [n]: which are in the store."""
        return self.segments >= 0


class VectorStore:
    """The vectors of one encoder.

    A folder of segments, each published by renaming its keys file last. Reading takes no lock and works on a
    read-only disk. Whoever writes holds `writing`; a segment that a killed writer left unfinished, or that is damaged,
    is no part of the store and the next writer removes it.

    Args:
        folder: A folder named by encoder is made below this one at the first writing.
        encoder_id: Vectors of different encoders never meet.
        dim: Width of a vector.
    """

    def __init__(self, folder: Path, encoder_id: str, dim: int) -> None:
        self.folder = folder / encoder_id
        self.dim = dim
        self._segments: dict[str, _Segment] = {}
        self._damaged: set[str] = set()
        self._lock = FileLock(self.folder / ".lock", poll_interval=_POLL_SECONDS)
        self.refresh()

    def __len__(self) -> int:
        return sum(len(segment.keys) for segment in self._segments.values())

    def refresh(self) -> bool:
        """Takes in what other processes have published; true where there was any."""
        for _ in range(_MAX_RELISTINGS):
            names = {path.name.removesuffix(_KEYS_FILE) for path in self.folder.glob(f"*{_KEYS_FILE}")}
            new = {name: self._load(name) for name in sorted(names - self._segments.keys() - self._damaged)}
            # A segment can vanish between its listing and its opening: it was merged into another. List again.
            if all((self.folder / f"{name}{_KEYS_FILE}").exists() for name, segment in new.items() if segment is None):
                break
        self._damaged |= {name for name, segment in new.items() if segment is None}
        opened = {name: segment for name, segment in new.items() if segment is not None}
        self._segments = {name: segment for name, segment in self._segments.items() if name in names} | opened
        return bool(opened)

    def _load(self, name: str) -> _Segment | None:
        try:
            check_folder(self.folder, "the text vectors", "they are embedded again", note=f"{name}{NOTE_SUFFIX}")
            keys = np.load(self.folder / f"{name}{_KEYS_FILE}", allow_pickle=False)
            vectors = np.load(self.folder / f"{name}{_VECTORS_FILE}", mmap_mode="r", allow_pickle=False)
        except (InputError, FileNotFoundError, ValueError, EOFError):
            return None
        sound = keys.dtype == f"S{_KEY_BYTES}" and keys.ndim == 1 and len(keys) and (keys[:-1] < keys[1:]).all()
        fitting = vectors.dtype == np.float16 and vectors.shape == (len(keys), self.dim)
        return _Segment(keys, vectors) if sound and fitting else None

    def lookup(self, keys: Keys) -> Places:
        """Where the vectors of these keys stand, as of the last `refresh`."""
        places = Places(np.full(len(keys), -1, dtype=np.int32), np.zeros(len(keys), dtype=np.int64))
        for number, segment in enumerate(self._segments.values()):
            rows = np.minimum(np.searchsorted(segment.keys, keys), len(segment.keys) - 1)
            here = segment.keys[rows] == keys
            places.segments[here], places.rows[here] = number, rows[here]
        return places

    def read(self, keys: Keys) -> Vectors:
        """float16 [len(keys), dim], in memory; zero for `NULL_KEY`.

        Raises:
            KeyError: A key is not in the store.
        """
        vectors = np.empty((len(keys), self.dim), dtype=np.float16)
        start = 0
        for block in self._blocks(keys):
            vectors[start : start + len(block)] = block
            start += len(block)
        return vectors

    def read_into(self, keys: Keys, path: Path) -> Vectors:
        """Writes the vectors to an .npy file and opens it, float16 [len(keys), dim], memory-mapped; see `read`.

        Raises:
            KeyError: A key is not in the store.
            InputError: The disk is full or the folder cannot be written to.
        """
        shape = (len(keys), self.dim)
        with atomic_file(path, bytes_needed=2 * len(keys) * self.dim) as unfinished:
            write_rows(unfinished, shape, np.float16, self._blocks(keys))
        vectors: Vectors = np.load(path, mmap_mode="r" if len(keys) else None, allow_pickle=False)
        return vectors

    def _blocks(self, keys: Keys) -> Iterator[Vectors]:
        places, wanted = self.lookup(keys), keys != NULL_KEY
        if not places.found[wanted].all():
            # A listing taken while another process merged segments can lack both the old and the new ones.
            with self.writing():
                places = self.lookup(keys)
        if not places.found[wanted].all():
            raise KeyError(f"{int((~places.found[wanted]).sum()):,} texts have no vector in {self.folder}")
        segments = list(self._segments.values())
        for start in range(0, len(keys), _ROWS_AT_ONCE):
            numbers, rows = (part[start : start + _ROWS_AT_ONCE] for part in (places.segments, places.rows))
            block = np.zeros((len(rows), self.dim), dtype=np.float16)
            for number in np.unique(numbers[numbers >= 0]):
                here = numbers == number
                block[here] = segments[number].vectors[rows[here]]
            yield block

    @contextmanager
    def writing(self) -> Iterator[bool]:
        """Holds the store for one writer; yields whether others have published since the last look.

        Raises:
            InputError: The folder cannot be written to.
        """
        message = f"text: waiting for another process that embeds texts into {self.folder}"
        with hold_lock(self._lock, waiting=message):
            # What looked damaged without the lock is judged again with it.
            self._damaged.clear()
            changed = self.refresh()
            self._sweep()
            yield changed

    def append(self, keys: Keys, vectors: npt.NDArray[np.floating]) -> None:
        """Publishes new vectors, all or none; merges segments where there have become many.

        The caller holds `writing`; `keys`, S16 [n], are distinct and not in the store yet; `vectors` are [n, dim].

        Raises:
            InputError: The disk is full or the folder cannot be written to.
        """
        if not len(keys):
            return
        order = np.argsort(keys)
        self._publish(keys[order], [vectors[order]])
        if len(self._segments) > _MAX_SEGMENTS:
            self._merge()

    def _publish(self, sorted_keys: Keys, blocks: Iterable[npt.NDArray[np.floating]]) -> None:
        name = uuid.uuid4().hex
        shape = (len(sorted_keys), self.dim)
        with atomic_file(self.folder / f"{name}{_VECTORS_FILE}", bytes_needed=2 * shape[0] * shape[1]) as unfinished:
            write_rows(unfinished, shape, np.float16, blocks)
        vectors, published = f"{name}{_VECTORS_FILE}", f"{name}{_KEYS_FILE}"
        with atomic_file(self.folder / published, bytes_needed=_KEY_BYTES * len(sorted_keys)) as unfinished:
            write_rows(unfinished, shape[:1], sorted_keys.dtype, [sorted_keys])
            hashes = {vectors: sha256_of(self.folder / vectors), published: sha256_of(unfinished)}
            write_checksums(self.folder, hashes, f"{name}{NOTE_SUFFIX}")
        self.refresh()

    def _merge(self) -> None:
        """Merges the small segments, so that there are never many and no vector is copied often.

        Taken are, from the smallest on, all segments no larger than those before them together.
        """
        by_size = sorted(self._segments, key=lambda name: len(self._segments[name].keys))
        sizes = [len(self._segments[name].keys) for name in by_size]
        count = 2
        while count < len(by_size) and sizes[count] <= sum(sizes[:count]):
            count += 1
        merged = by_size[:count]
        keys = np.unique(np.concatenate([self._segments[name].keys for name in merged]))
        self._publish(keys, self._blocks(keys))
        for name in merged:
            self._remove(name)
        self.refresh()

    def _remove(self, name: str) -> None:
        # Keys first: vectors without keys are no segment.
        (self.folder / f"{name}{_KEYS_FILE}").unlink(missing_ok=True)
        for suffix in (_VECTORS_FILE, NOTE_SUFFIX):
            (self.folder / f"{name}{suffix}").unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Removes what is no part of the store; nobody else writes meanwhile."""
        for name in self._damaged:
            _LOG.info(f"text: the vectors in {self.folder / name}* are damaged; their texts are embedded again")
            self._remove(name)
        self._damaged.clear()
        for suffix in (_VECTORS_FILE, NOTE_SUFFIX):
            for path in self.folder.glob(f"*{suffix}"):
                if path.name.removesuffix(suffix) not in self._segments:
                    path.unlink(missing_ok=True)
        for path in self.folder.glob(".*.unfinished"):
            path.unlink(missing_ok=True)
