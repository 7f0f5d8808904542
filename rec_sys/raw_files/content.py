"""Opens raw files, plain or gzip, and says in plain words why one cannot be read."""

import difflib
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rec_sys.contracts import InputError

PARQUET: Final = b"PAR1"
_GZIP: Final = b"\x1f\x8b"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_CHUNK: Final = 1 << 20
_FOREIGN: Final = {
    PARQUET: ("Parquet", "read it with data=table and a map of its columns"),
    b"PK\x03\x04": ("a zip archive", "unpack it and give the file inside"),
    b"BZh": ("bzip2-compressed", "unpack it with bunzip2"),
    b"\xfd7zXZ": ("xz-compressed", "unpack it with unxz"),
    b"\x28\xb5\x2f\xfd": ("zstd-compressed", "unpack it with unzstd"),
    b"\xff\xfe": ("UTF-16 text", "save it as UTF-8"),
    b"\xfe\xff": ("UTF-16 text", "save it as UTF-8"),
}


def first_bytes(path: Path) -> bytes:
    """The first bytes of a file, which tell its format.

    Raises:
        InputError: The file is missing, a folder, unreadable or empty.
    """
    if path.is_dir():
        inside = sorted(child.name for child in path.iterdir() if child.is_file())[:3]
        remedy = f"name a file in it, such as {', '.join(inside)}" if inside else "name a file"
        raise InputError("a file is needed and this is a folder", where=str(path), remedy=remedy)
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except (FileNotFoundError, NotADirectoryError) as error:
        near = [child.name for child in path.parent.iterdir()] if path.parent.is_dir() else []
        found = difflib.get_close_matches(path.name, near, n=1, cutoff=0.75)
        remedy = f"did you mean {path.parent / found[0]}?" if found else "check the path"
        raise InputError("the file does not exist", where=str(path), remedy=remedy) from error
    except OSError as error:
        raise InputError(
            f"the file cannot be read ({error.strerror})", where=str(path), remedy="check its permissions"
        ) from error
    if not head:
        raise empty_file(path)
    return head


def empty_file(path: Path) -> InputError:
    """For a file without a single record."""
    return InputError("the file is empty", where=str(path), remedy="check that it was downloaded or written completely")


@contextmanager
def open_raw(path: Path) -> Iterator[io.BufferedReader]:
    """Opens a UTF-8 file as bytes, unpacking gzip whatever its name says; a byte order mark is skipped.

    Raises:
        InputError: The file is missing, a folder, empty or in a format that is no UTF-8 text; later, while it is
            read, the gzip stream breaks off.
    """
    head = first_bytes(path)
    with path.open("rb") as plain:
        packed = head.startswith(_GZIP)
        source = gzip.GzipFile(fileobj=plain) if packed else plain
        stream: io.BufferedReader = io.BufferedReader(_RawText(source, path), _CHUNK)
        start = stream.peek(8)
        for magic, (kind, remedy) in _FOREIGN.items():
            if start.startswith(magic):
                raise InputError(f"the file is {kind}", where=str(path), remedy=remedy)
        if start.startswith(_BYTE_ORDER_MARK):
            stream.read(len(_BYTE_ORDER_MARK))
        yield stream


class _RawText(io.RawIOBase):
    """Counts the lines that pass, so that a broken gzip stream can be told by its line."""

    def __init__(self, source: gzip.GzipFile | io.BufferedReader, path: Path) -> None:
        self._source = source
        self._path = path
        self._lines = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # io takes any buffer, the reader above gives this one
        """Fills the buffer with what one read gives; refuses a gzip stream that is cut off or damaged."""
        try:
            data = self._source.read1(len(buffer))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(
                f"the gzip file breaks off ({str(error).rstrip('.')})",
                where=f"{self._path}, unpacked line {self._lines + 1}",
                remedy="download or copy it again; nothing was prepared from it",
            ) from error
        self._lines += data.count(b"\n")
        buffer[: len(data)] = data
        return len(data)
