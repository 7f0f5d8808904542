"""Opens raw files of any usual packing and encoding as UTF-8, and says in plain words why one cannot be read."""

import bz2
import codecs
import difflib
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

from backports import zstd

from rec_sys.contracts import InputError

PARQUET: Final = b"PAR1"
_CHUNK: Final = 1 << 20
# Bytes; beyond them the file is no list of reviews, and memory would run out.
LONGEST_RECORD: Final = 64 << 20
LONGEST_LINE: Final = 16 << 20  # of a table
_MOST_BLANK: Final = 1 << 20  # bytes of blank lines in a row; readers take seconds for them
# Real reviews are packed to a tenth. What unpacks to so many times its size was made to fill the memory or the day.
_MOST_UNPACKED: Final = 200
_ALWAYS_UNPACKED: Final = 64 << 20  # bytes
_PACKINGS: Final[dict[bytes, tuple[str, Callable[[BinaryIO], Any]]]] = {
    b"\x1f\x8b": ("gzip", lambda file: gzip.GzipFile(fileobj=file)),
    b"BZh": ("bzip2", bz2.BZ2File),
    b"\xfd7zXZ": ("xz", lzma.LZMAFile),
    b"\x28\xb5\x2f\xfd": ("zstd", zstd.ZstdFile),
}
_BROKEN_PACKING: Final = (EOFError, OSError, zlib.error, lzma.LZMAError, zstd.ZstdError)
_SAVE: Final = "save it as CSV or Parquet with the tool that wrote it"
_PAGE: Final = ("a web page", "download the file itself, perhaps after a login")
_TAR_AT: Final = 257  # bytes before the mark of a tar archive
_FOREIGN: Final = {
    PARQUET: ("Parquet", "read it with data=table and a map of its columns"),
    b"PK\x03\x04": (
        "a zip archive",
        "unpack it and give the file inside; an Excel workbook is one too: save its sheet as CSV",
    ),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", "save its sheet as CSV"),
    b"ARROW1": ("Arrow, or Feather", _SAVE),
    b"SQLite f": ("an SQLite database", "export its table as CSV"),
    b"Obj\x01": ("Avro", _SAVE),
    b"\x89HDF": ("HDF5", _SAVE),
    b"\x80\x04\x95": ("a Python pickle", _SAVE),
    b"\x80\x05\x95": ("a Python pickle", _SAVE),
    b"%PDF": ("PDF", "give the table that it was made from"),
    b"<!DOCTYP": _PAGE,
    b"<!doctyp": _PAGE,
    b"<html": _PAGE,
    b"<?xml": ("XML", _SAVE),
}
# The longer mark first: UTF-32's begins with UTF-16's.
_BYTE_ORDER_MARKS: Final = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
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


def empty_file(path: Path, what: str = "the file is empty") -> InputError:
    """For a file without a single record; `what` says what it has instead."""
    return InputError(what, where=str(path), remedy="check that it was downloaded or written completely")


@contextmanager
def open_raw(path: Path, encoding: str = "auto", *, by_line: bool = False) -> Iterator[io.BufferedReader]:
    """Opens a text as UTF-8 bytes, unpacking gzip, bzip2, xz and zstd whatever its name says.

    Args:
        path: The file.
        encoding: What the file is written in; auto: UTF-8, or what its byte order mark says, which counts in any
            case and is skipped.
        by_line: It is read a line at a time, so that no line may be endless.

    Raises:
        InputError: The file is missing, a folder, empty or no text; later, while it is read, it breaks off, is not of
            this encoding, or goes on for ever.
    """
    with _open_unpacked(path, by_line) as stream:
        start = stream.peek(_CHUNK)
        if start[_TAR_AT:].startswith(b"ustar"):
            raise InputError("the file is a tar archive", where=str(path), remedy="unpack it and give the file inside")
        for magic, (kind, remedy) in _FOREIGN.items():
            if start.startswith(magic):
                raise InputError(f"the file is {kind}", where=str(path), remedy=remedy)
        marked = [(mark, name) for mark, name in _BYTE_ORDER_MARKS.items() if start.startswith(mark)]
        if marked and marked[0][1] == "utf-8":
            stream.read(len(codecs.BOM_UTF8))
            encoding = "utf-8"
        elif marked:
            encoding = marked[0][1]
        yield stream if is_utf8(encoding) else io.BufferedReader(_Recoded(stream, path, encoding), _CHUNK)


def encoding_of(path: Path, encoding: str) -> str:
    """The encoding that `open_raw` reads a file in."""
    with _open_unpacked(path) as stream:
        start = stream.peek(8)
    marked = [name for mark, name in _BYTE_ORDER_MARKS.items() if start.startswith(mark)]
    return (marked or ["utf-8" if is_utf8(encoding) else encoding])[0]


def is_utf8(encoding: str) -> bool:
    """Whether the bytes are read as they are."""
    return encoding == "auto" or codecs.lookup(encoding).name == "utf-8"


@contextmanager
def _open_unpacked(path: Path, by_line: bool = False) -> Iterator[io.BufferedReader]:
    head = first_bytes(path)
    with path.open("rb") as plain:
        packing, unpack = next((found for magic, found in _PACKINGS.items() if head.startswith(magic)), ("", None))
        source = plain if unpack is None else unpack(plain)
        longest = LONGEST_LINE if by_line else None
        yield io.BufferedReader(_Unpacked(source, path, packing, longest), _CHUNK)


class _Unpacked(io.RawIOBase):
    """Counts the lines that pass, so that a broken packed stream is named by its line, and ends endless ones."""

    def __init__(self, source: Any, path: Path, packing: str, longest_line: int | None) -> None:
        self._source = source
        self._path = path
        self._packing = packing
        self._longest_line = longest_line
        self._most = max(_ALWAYS_UNPACKED, _MOST_UNPACKED * path.stat().st_size) if packing else None
        self._lines = self._size = self._blank = self._unended = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # io takes any buffer, the reader above gives this one
        """Fills the buffer with what one read gives; refuses a packed stream that is cut off or damaged."""
        try:
            data = self._source.read1(len(buffer))
        except _BROKEN_PACKING as error:
            raise InputError(
                f"the {self._packing or 'raw'} file breaks off ({str(error).rstrip('.')})",
                where=f"{self._path}, unpacked line {self._lines + 1}",
                remedy="download or copy it again; nothing was prepared from it",
            ) from error
        self._lines += data.count(b"\n")
        self._refuse_endless(data)
        buffer[: len(data)] = data
        return len(data)

    def _refuse_endless(self, data: bytes) -> None:
        self._size += len(data)
        self._blank = self._blank + len(data) if data.isspace() else 0
        last = data.rfind(b"\n")
        self._unended = self._unended + len(data) if last < 0 else len(data) - last - 1
        if self._most is not None and self._size > self._most:
            what = f"the {self._packing} file unpacks to more than {_MOST_UNPACKED} times its size"
            remedy = "unpack it and look at it; a plain file of that size is read"
        elif self._blank > _MOST_BLANK:
            what, remedy = f"there are {_MOST_BLANK >> 20} MB of blank lines", "remove them"
        elif self._longest_line is not None and self._unended > self._longest_line:
            what = f"a line is longer than {self._longest_line >> 20} MB"
            remedy = "give a table with a row a line, or JSON with an object a line"
        else:
            return
        raise InputError(what, where=f"{self._path}, unpacked line {self._lines + 1}", remedy=remedy)


class _Recoded(io.RawIOBase):
    """Another encoding as UTF-8; what is not of that encoding is refused, never replaced."""

    def __init__(self, source: io.BufferedReader, path: Path, encoding: str) -> None:
        self._source = source
        self._path = path
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._waiting = b""
        self._lines = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # io takes any buffer, the reader above gives this one
        """Fills the buffer with recoded text."""
        ended = False
        while not self._waiting and not ended:
            data = self._source.read(_CHUNK)
            ended = not data
            try:
                self._waiting = self._decoder.decode(data, ended).encode()
            except UnicodeError as error:
                raise InputError(
                    f"the file is not {self._encoding} ({error})",
                    where=f"{self._path}, after line {self._lines}",
                    remedy="give another data.encoding, or auto",
                ) from error
        data, self._waiting = self._waiting[: len(buffer)], self._waiting[len(buffer) :]
        self._lines += data.count(b"\n")
        buffer[: len(data)] = data
        return len(data)
