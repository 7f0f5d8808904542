"""Files and folders appear whole or not at all: every room writes through here.

A writer gets a temporary sibling of its target; only when it returns without an error does the sibling take the
target's name. A killed run leaves what stood before, and its sibling is swept away by the next writer in that folder.
"""

import ctypes
import errno
import fcntl
import hashlib
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from rec_sys.contracts import InputError

_LOG: Final = logging.getLogger(__name__)
_DISK_IS_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_MAY_NOT_WRITE: Final = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR}
# Libraries written in Rust or C++ wrap the error number into a text of their own.
_FULL_DISK_TEXTS: Final = (
    *("No space left on device", "Disk quota exceeded", "File too large", "disk is full"),
    "Not enough space available",  # Qdrant's
)
_SUFFIX: Final = ".unfinished"
OUTPUT_DIR: Final = "output_dir"  # the setting that chooses where most things are written


@contextmanager
def atomic_file(path: Path, bytes_needed: int | None = None) -> Iterator[Path]:
    """Yields a path to write to; its content becomes `path` when the block ends well.

    Args:
        path: The file to write; missing parent folders are made.
        bytes_needed: Expected size, named when the disk is full.

    Raises:
        InputError: The disk is full or the folder cannot be written to.
    """
    with explain_disk_errors(path.parent, may_not_write=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep_unfinished(path.parent)
        sibling, handle = _locked_sibling(path, _new_file)
    try:
        with explain_disk_errors(path.parent, bytes_needed=bytes_needed):
            yield sibling
            _synchronise(sibling)
        with explain_disk_errors(path.parent, may_not_write=True):
            sibling.chmod(0o666 & ~_umask())
            sibling.replace(path)
            _synchronise(path.parent)
    finally:
        sibling.unlink(missing_ok=True)
        os.close(handle)


@contextmanager
def atomic_folder(path: Path, bytes_needed: int | None = None, beside: Path | None = None) -> Iterator[Path]:
    """Yields an empty folder to fill; it becomes `path`, replacing what stood there, when the block ends well.

    Args:
        path: The folder to write; missing parent folders are made.
        bytes_needed: Expected size of its files together, named when the disk is full.
        beside: The path whose sibling is filled, on the same file system; `path` itself where none is given. For a
            parent folder that somebody watches, who would take the unfinished sibling for a finished one.

    Raises:
        InputError: The disk is full or the parent folder cannot be written to.
    """
    beside = beside or path
    with explain_disk_errors(path.parent, may_not_write=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() and _aside(beside).exists():
            _aside(beside).replace(path)
        sweep_unfinished(beside.parent)
        sibling, handle = _locked_sibling(beside, tempfile.mkdtemp)
    try:
        with explain_disk_errors(path.parent, bytes_needed=bytes_needed):
            yield sibling
            for file in sibling.rglob("*"):
                _synchronise(file)
        with explain_disk_errors(path.parent, may_not_write=True):
            sibling.chmod(0o777 & ~_umask())
            _take_place(sibling, path, _aside(beside))
            _synchronise(path.parent)
    finally:
        shutil.rmtree(sibling, ignore_errors=True)
        if sibling.exists():  # another user's folder in it
            _LOG.warning(f"what was replaced may not be removed; change its owner or its permissions: {sibling}")
        os.close(handle)


def forbidden(error: PermissionError) -> InputError:
    """What another user's file or folder is for whoever runs a command."""
    where = "unknown" if error.filename is None else str(Path(os.fsdecode(error.filename)).absolute())
    return InputError(
        f"this file or folder may not be used ({error.strerror or 'Permission denied'})",
        where=where,
        remedy="change its owner or its permissions, or choose another folder",
    )


@contextmanager
def explain_disk_errors(
    folder: Path, *, bytes_needed: int | None = None, may_not_write: bool = False, setting: str = OUTPUT_DIR
) -> Iterator[None]:
    """Turns a full disk, from whatever library it comes, into one clear message about `folder`.

    Args:
        folder: Where it is written.
        bytes_needed: Expected size, named when the disk is full.
        may_not_write: Explain missing permissions and the like too.
        setting: Which one chooses the folder, for errors.

    Raises:
        InputError: The disk, the quota or the allowed file size is exhausted, or the folder cannot be written to.
    """
    # Reading errors inside a writer's block carry EACCES too, so that one is explained only around our own calls.
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if _is_full_disk(error):
            raise _full_disk(folder, bytes_needed, setting) from error
        if may_not_write and isinstance(error, OSError) and error.errno in _MAY_NOT_WRITE:
            raise InputError(
                f"this folder cannot be written to ({error.strerror})",
                where=str(folder.absolute()),
                remedy=f"change its permissions or choose another folder with {setting}=...",
            ) from error
        raise


def require_space(folder: Path, bytes_needed: int, setting: str = OUTPUT_DIR) -> None:
    """Looks for the room before long work, or before a library maps files, which kills the process on a full tmpfs.

    Args:
        folder: An existing one.
        bytes_needed: What will be written, at most.
        setting: Which one chooses the folder, for errors.

    Raises:
        InputError: The disk has less.
    """
    if shutil.disk_usage(folder).free < bytes_needed:
        raise _full_disk(folder, bytes_needed, setting)


def writable_folder(path: Path, setting: str = OUTPUT_DIR) -> Path:
    """Makes a folder and its parents where they are missing, and proves that it can be written to.

    Called before long work whose result goes there.

    Raises:
        InputError: A parent is a file, the disk is full, or the permissions forbid it.
    """
    with explain_disk_errors(path, may_not_write=True, setting=setting):
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    return path


def sha256_of(path: Path) -> str:
    """The sha256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _full_disk(folder: Path, bytes_needed: int | None, setting: str) -> InputError:
    free = "unknown"
    with suppress(OSError):
        free = f"{shutil.disk_usage(folder).free:,}"
    needed = "" if bytes_needed is None else f", about {bytes_needed:,} bytes are needed"
    return InputError(
        "the disk is full",
        where=f"{folder.absolute()} ({free} bytes free{needed})",
        remedy=f"free some space or choose another folder with {setting}=...; nothing half-written was left",
    )


def _is_full_disk(error: BaseException | None) -> bool:
    while error is not None:
        is_full = isinstance(error, OSError) and error.errno in _DISK_IS_FULL
        if is_full or any(text in str(error) for text in _FULL_DISK_TEXTS):
            return True
        error = error.__cause__
    return False


def _umask() -> int:
    # The umask can only be read by setting it.
    value = os.umask(0o022)
    os.umask(value)
    return value


def _synchronise(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _new_file(suffix: str, prefix: str, folder: Path) -> str:
    handle, name = tempfile.mkstemp(suffix, prefix, folder)
    os.close(handle)
    return name


def _locked_sibling(path: Path, make: Callable[[str, str, Path], str]) -> tuple[Path, int]:
    """A new file or folder beside `path`, and the handle that locks it: as long as it is held, nobody sweeps it."""
    while True:
        sibling = Path(make(_SUFFIX, f".{path.name}.", path.parent))
        with suppress(FileNotFoundError):
            handle = os.open(sibling, os.O_RDONLY)
            fcntl.flock(handle, fcntl.LOCK_EX)
            if sibling.exists():
                return sibling, handle
            os.close(handle)  # swept before it was locked


def sweep_unfinished(folder: Path) -> None:
    """Removes what killed writers left, whatever they wrote; a living one holds a lock on its sibling."""
    for sibling in folder.glob(f".*{_SUFFIX}"):
        with suppress(FileNotFoundError, PermissionError):  # gone, or another user's
            handle = os.open(sibling, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if sibling.is_dir():
                    shutil.rmtree(sibling, ignore_errors=True)
                else:
                    sibling.unlink(missing_ok=True)
            except BlockingIOError:
                continue
            finally:
                os.close(handle)


def _take_place(sibling: Path, path: Path, aside: Path) -> None:
    if not path.is_dir():
        sibling.replace(path)
    elif not _exchange(sibling, path):
        # No atomic exchange on this file system: the old folder steps aside for an instant. A kill in that instant
        # is mended by the next writer, who puts it back.
        shutil.rmtree(aside, ignore_errors=True)
        path.replace(aside)
        sibling.replace(path)
        shutil.rmtree(aside, ignore_errors=True)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


def _exchange(first: Path, second: Path) -> bool:
    """Swaps the names of two folders in one step; False where the system cannot."""
    library = ctypes.CDLL(None, use_errno=True)
    here, swap = -100, 2  # AT_FDCWD, and RENAME_EXCHANGE (Linux) = RENAME_SWAP (macOS)
    names = os.fsencode(first.absolute()), os.fsencode(second.absolute())
    if sys.platform == "darwin":
        return bool(library.renamex_np(*names, swap) == 0)
    if not hasattr(library, "renameat2"):
        return False
    return bool(library.renameat2(here, names[0], here, names[1], swap) == 0)
