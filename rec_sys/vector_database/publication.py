"""How a bundle's products come to be served, the same way for both backends.

A version is built beside the one that is served, asked a sample of questions whose answers are known, and only then
served, in one step. A process killed on the way leaves what is served as it is, and the next one goes on.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from rec_sys.contracts import InputError
from rec_sys.settings import IndexCommon
from rec_sys.vector_database.catalogue import Catalogue
from rec_sys.vector_database.contract import IndexVersion
from rec_sys.vector_database.search_request import VersionReader
from rec_sys.vector_database.verification import verify_version

_LOG: Final = logging.getLogger(__name__)

Check = Callable[[VersionReader], None]


@dataclass(frozen=True)
class Publication:
    """What publishing came to.

    Attributes:
        version: The version served now.
        is_new: False where the same bundle was served already.
        replaced: The version that a rollback goes to; None where there is none.
        dropped: Older versions that are gone.
    """

    version: IndexVersion
    is_new: bool
    replaced: str | None
    dropped: tuple[str, ...]


@dataclass(frozen=True)
class IndexStatus:
    """What an index serves, and what a rollback would serve."""

    served: IndexVersion | None
    previous: str | None


class IndexPublisher(ABC):
    """Writes versions of an index and chooses the one that is served.

    Args:
        settings: The index.
    """

    def __init__(self, settings: IndexCommon) -> None:
        self._common = settings

    def publish(self, catalogue: Catalogue) -> Publication:
        """Serves a bundle's products.

        Raises:
            InputError: The new version does not answer as the bundle says, another process is writing, or the index
                cannot be reached; what was served is served still.
        """
        version = catalogue.version(self._common)
        with self._exclusive():
            before = self._served()
            if before is not None and not self._is_sound(before):
                _LOG.info(f"version {before} is served and damaged; it is replaced")
                before = self._previous(before)
            elif before is not None and base_name(before) == version.name:
                return Publication(self._describe(before), False, self._previous(before), ())
            self._build(catalogue, version, lambda reader: verify_version(reader, catalogue, self._common))
            self._switch(version.name, before)
            dropped = self._drop_all_but({version.name} if before is None else {version.name, before})
        return Publication(version, True, before, tuple(dropped))

    def rollback(self) -> IndexVersion:
        """Serves the version before the one that is served.

        Raises:
            InputError: There is none.
        """
        with self._exclusive():
            served = self._served()
            previous = None if served is None else self._previous(served)
            if previous is None:
                raise InputError(
                    "there is no version to go back to",
                    where=self.place,
                    remedy="one is kept when a bundle takes over from another; publish the bundle that you want",
                )
            self._switch(previous, None)
            return self._describe(previous)

    def status(self) -> IndexStatus:
        """What is served."""
        served = self._served()
        if served is None:
            return IndexStatus(None, None)
        return IndexStatus(self._describe(served), self._previous(served))

    def _is_sound(self, served: str) -> bool:
        """Whether the version served can be opened at all."""
        return True

    @property
    @abstractmethod
    def place(self) -> str:
        """Where the index is, for messages."""

    @abstractmethod
    def _exclusive(self) -> AbstractContextManager[None]:
        """Keeps other writers out, as far as the backend can."""

    @abstractmethod
    def _served(self) -> str | None:
        """The name of the version served."""

    @abstractmethod
    def _previous(self, served: str) -> str | None:
        """The name of the version that a rollback would serve."""

    @abstractmethod
    def _describe(self, name: str) -> IndexVersion:
        """What a whole version is."""

    @abstractmethod
    def _build(self, catalogue: Catalogue, version: IndexVersion, check: Check) -> None:
        """Writes a version whole, or finishes one, and has it checked; `check` raises `InputError`."""

    @abstractmethod
    def _switch(self, name: str, previous: str | None) -> None:
        """Serves a version in one step; a rollback from it goes to `previous`, nowhere for None."""

    @abstractmethod
    def _drop_all_but(self, kept: set[str]) -> list[str]:
        """Removes other versions; the names of those that were whole."""


def base_name(version: str) -> str:
    """The published version that a revision, such as `20260102-030405-0a1b2c3d.2`, was upserted into."""
    return version.partition(".")[0]


def next_revision(version: str) -> str:
    """The name of a version with further products upserted."""
    base, _, revision = version.partition(".")
    return f"{base}.{int(revision or 0) + 1}"
