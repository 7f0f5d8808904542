"""The folder of an Edge index: versions side by side, and the link that says which one is served.

    index/
      current -> versions/20260102-030405-0a1b2c3d
      versions/20260102-030405-0a1b2c3d/     version.json, shard/, previous -> ../20260101-...
      .lock                                  held by whoever writes

The link is replaced in one step, so that a reader finds the old version or the new one. Each version remembers the
one that it took over from; that is where a rollback goes.
"""

import errno
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Final

from rec_sys.files import writable_folder
from rec_sys.locks import hold_lock
from rec_sys.vector_database.contract import EmptyIndexError, IndexUnavailableError
from rec_sys.vector_database.edge_version import VERSION_FILE, EdgeVersion, UnreadableVersionError, drop_version

_CURRENT: Final = "current"
_PREVIOUS: Final = "previous"
_OPENING_ATTEMPTS: Final = 5  # a version would have to be replaced and dropped during each of them
_SECONDS_BETWEEN: Final = 0.05


class EdgeFolder:
    """Paths and links; see the module."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.versions = self.root / "versions"
        self._current = str(self.root / _CURRENT)  # read at every question

    def served(self) -> str | None:
        """The name of the version served; None before the first."""
        return _target(self._current)

    def previous(self, name: str) -> str | None:
        """The whole version that this one took over from; None where there is none any more."""
        before = _target(self.path(name) / _PREVIOUS)
        return before if before is not None and self.is_whole(before) else None

    def path(self, name: str) -> Path:
        """A version's folder."""
        return self.versions / name

    def is_whole(self, name: str) -> bool:
        """Whether a version was written to its end."""
        return (self.path(name) / VERSION_FILE).is_file()

    def open_served(self) -> EdgeVersion:
        """Opens the version served.

        Raises:
            IndexUnavailableError: There is none, or it is damaged.
        """
        for attempt in range(_OPENING_ATTEMPTS):
            name = self.served()
            if name is None:
                raise EmptyIndexError(
                    "the index is empty",
                    where=str(self.root),
                    remedy="run rec_sys.vector_database.create_vectorbase first, or set index.folder",
                )
            try:
                return EdgeVersion.open(self.path(name))
            except UnreadableVersionError as error:
                # Between reading the link and opening, the version may have been replaced and dropped.
                if attempt + 1 == _OPENING_ATTEMPTS or (self.served() == name and self.is_whole(name)):
                    raise IndexUnavailableError(
                        f"the version served cannot be opened: {error}",
                        where=str(self.path(name)),
                        remedy="publish again, or go back with action=rollback",
                    ) from error
                time.sleep(_SECONDS_BETWEEN)
        raise AssertionError("the loop returns or raises")

    def open_kept(self, name: str) -> EdgeVersion:
        """Opens a version that may not be served any more.

        Raises:
            IndexUnavailableError: It was dropped, or is damaged.
        """
        try:
            return EdgeVersion.open(self.path(name))
        except UnreadableVersionError as error:
            raise IndexUnavailableError(
                f"version {name} cannot be opened: {error}", where=str(self.root), remedy="ask again"
            ) from error

    def kept(self, name: str) -> list[str]:
        """The whole versions that a rollback from this one can go to, the latest first."""
        chain = [name]
        while (before := self.previous(chain[-1])) is not None and before not in chain:
            chain.append(before)
        return chain[1:]

    def switch(self, name: str, kept: Sequence[str]) -> None:
        """Serves a version; a rollback can go to `kept`, the latest first."""
        chain = [name, *kept]
        (self.path(chain[-1]) / _PREVIOUS).unlink(missing_ok=True)
        for later, earlier in pairwise(chain):
            _link(self.path(later) / _PREVIOUS, Path("..") / earlier)
        _link(self.root / _CURRENT, Path(self.versions.name) / name)

    def drop(self, name: str) -> None:
        """Removes a version; who has it open goes on reading it."""
        drop_version(self.path(name))

    def drop_all_but(self, kept: set[str]) -> list[str]:
        """Removes other versions and what killed writers left; the names of the whole ones that are gone."""
        dropped = []
        for folder in sorted(self.versions.iterdir()):
            if folder.name not in kept:
                is_whole = self.is_whole(folder.name)
                drop_version(folder)
                dropped += [folder.name] if is_whole and not folder.exists() else []
        return dropped

    @contextmanager
    def locked(self, timeout: float) -> Iterator[None]:
        """Lets one writer at a time in; the lock goes with its process.

        Raises:
            InputError: Another one is at work for longer than `timeout` seconds, or the folder cannot be written to.
        """
        writable_folder(self.versions, "index.folder")
        remedy = "wait for it, or give this one a folder of its own with index.folder=..."
        busy = "another process is writing to the index", remedy
        with hold_lock(self.root / ".lock", timeout=timeout, busy=busy, setting="index.folder"):
            yield


def _target(link: Path | str) -> str | None:
    try:
        return os.path.basename(os.readlink(link))
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise IndexUnavailableError(
            "what should be a link is none; was the index copied without its links?",
            where=str(link),
            remedy="copy it with them (cp -a, rsync -a), or remove this one and publish again",
        ) from error


def _link(link: Path, target: Path) -> None:
    """Makes a link or turns it to another target, in one step."""
    waiting = link.with_name(f".{link.name}.new")
    waiting.unlink(missing_ok=True)
    waiting.symlink_to(target)
    waiting.replace(link)
    handle = os.open(link.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
