"""Locks between processes: one way to take them, in folders that are proven writable first."""

import logging
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from filelock import BaseFileLock, FileLock, Timeout

from rec_sys.contracts import InputError
from rec_sys.files import OUTPUT_DIR, explain_disk_errors, writable_folder

_LOG: Final = logging.getLogger(__name__)
_PATIENCE: Final = 1.0  # seconds after which waiting is said
FOREVER: Final = -1.0


def hold_lock(
    lock: Path | BaseFileLock,
    *,
    waiting: str = "",
    timeout: float = FOREVER,
    busy: tuple[str, str] = ("", ""),
    setting: str = OUTPUT_DIR,
) -> AbstractContextManager[object]:
    """Acquires a lock, for a `with` block; it goes with its process.

    Args:
        lock: Its file, or a lock that its holder may take again.
        waiting: Said while another process holds it, where one waits as long as it takes.
        timeout: Seconds to wait.
        busy: What is wrong, and what to do, where another process holds it for longer.
        setting: Which one chooses the folder, for errors.

    Raises:
        InputError: Another process holds it, or the folder cannot be written to or knows no locks.
    """
    lock = FileLock(lock) if isinstance(lock, Path) else lock
    folder = writable_folder(Path(lock.lock_file).parent, setting)
    with explain_disk_errors(folder, may_not_write=True, setting=setting):
        try:
            return lock.acquire(timeout=_PATIENCE if waiting and timeout == FOREVER else timeout)
        except Timeout as error:
            if timeout != FOREVER:
                raise InputError(busy[0], where=str(folder), remedy=busy[1]) from error
            _LOG.info(waiting)
            return lock.acquire()
        except NotImplementedError as error:
            remedy = f"choose another one with {setting}=..."
            raise InputError("this folder's file system knows no locks", where=str(folder), remedy=remedy) from error


def locked_folder(path: Path, what: str, remedy: str) -> AbstractContextManager[object]:
    """Makes a folder and holds it for this process, for a `with` block.

    Raises:
        InputError: `what`, with `remedy`: another process holds it; or it cannot be written to.
    """
    return hold_lock(path / ".lock", timeout=0, busy=(what, remedy))
