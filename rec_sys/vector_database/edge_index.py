"""The product index in this process: Qdrant Edge on a folder of versions."""

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager

import numpy as np

from rec_sys.files import atomic_folder, require_space
from rec_sys.progress import WorkProgress
from rec_sys.settings import EdgeIndex
from rec_sys.vector_database.catalogue import Catalogue
from rec_sys.vector_database.contract import IndexVersion, NewProduct, ProductAnswer, ProductIndex, ProductQuery
from rec_sys.vector_database.edge_folder import EdgeFolder
from rec_sys.vector_database.edge_version import (
    EMPTY_VERSION_BYTES,
    EdgeVersion,
    UnreadableVersionError,
    copied_bytes,
    copy_version,
    note_files,
    read_version,
    write_version,
)
from rec_sys.vector_database.overlay import layered
from rec_sys.vector_database.publication import Check, IndexPublisher, next_revision
from rec_sys.vector_database.searching import answer, upserted_points


class EdgeProductIndex(ProductIndex):
    """Asks the version that the folder's link points to.

    The link is read at every request. Another process may turn it at any time: requests under way end on the version
    that they began with, which stays open, and usable, until the last of them is done; the next request opens the
    new one.
    """

    def __init__(self, settings: EdgeIndex) -> None:
        self._settings = settings
        self._folder = EdgeFolder(settings.folder)
        self._opening = threading.Lock()
        self._reader: EdgeVersion | None = None

    @property
    def is_open(self) -> bool:
        """See `ProductIndex`; a version that is not open yet is read whole, to compare it with its checksums."""
        reader = self._reader
        return reader is not None and reader.version.name == self._wanted()

    def version(self) -> IndexVersion:
        """See `ProductIndex`."""
        served = None if self.held is None else self._folder.served()
        return self._current().version if served is None else read_version(self._folder.path(served))

    def search_many(self, queries: Sequence[ProductQuery]) -> list[ProductAnswer]:
        """See `ProductIndex`."""
        return answer(layered(self._current(), self.overlay), queries, self._settings)

    def upsert(self, products: Sequence[NewProduct]) -> IndexVersion:
        """See `ProductIndex`. The served version's folder is copied, not rebuilt, and the copy is served.

        Other processes may be reading the folder itself.
        """
        with self._folder.locked(self._settings.lock_timeout):
            served = self._current()
            points = upserted_points(served, products)
            old = served.version.name
            version = served.version.model_copy(update={"name": next_revision(old)})
            needed = copied_bytes(self._folder.path(old))
            require_space(self._folder.root, needed, "index.folder")
            with atomic_folder(self._folder.path(version.name), bytes_needed=needed) as building:
                copy_version(self._folder.path(old), building)
                write_version(building, version)
                revision = EdgeVersion.open(building)
                revision.write(points)
                revision.close()
                # Edge puts its files in order when it opens them, journals of what was written among them.
                EdgeVersion.open(building).close()
                note_files(building)
            self._folder.switch(version.name, self._folder.kept(old))
            self._folder.drop(old)
        return self.version()

    def close(self) -> None:
        """See `ProductIndex`."""
        self._reader = None  # requests under way keep it open until they end

    def _current(self) -> EdgeVersion:
        reader, wanted = self._reader, self._wanted()
        if reader is not None and reader.version.name == wanted:
            return reader
        with self._opening:
            if self._reader is None or self._reader.version.name != self._wanted():
                held = self.held
                self._reader = self._folder.open_served() if held is None else self._folder.open_kept(held.name)
            return self._reader

    def _wanted(self) -> str | None:
        return self._folder.served() if self.held is None else self.held.name


class EdgePublisher(IndexPublisher):
    """Writes versions into the folder."""

    def __init__(self, settings: EdgeIndex) -> None:
        super().__init__(settings)
        self._settings = settings
        self._folder = EdgeFolder(settings.folder)

    @property
    def place(self) -> str:
        """Where the index is, for messages."""
        return str(self._folder.root)

    def _exclusive(self) -> AbstractContextManager[None]:
        return self._folder.locked(self._settings.lock_timeout)

    def _served(self) -> str | None:
        return self._folder.served()

    def _kept(self, served: str) -> list[str]:
        return self._folder.kept(served)

    def _is_sound(self, served: str) -> bool:
        try:
            EdgeVersion.open(self._folder.path(served))
        except UnreadableVersionError:
            return False
        return True

    def _describe(self, name: str) -> IndexVersion:
        return read_version(self._folder.path(name))

    def _build(self, catalogue: Catalogue, version: IndexVersion, check: Check) -> None:
        rows = np.arange(len(catalogue), dtype=np.int64)
        needed = EMPTY_VERSION_BYTES + catalogue.num_bytes(rows)
        require_space(self._folder.root, needed, "index.folder")
        with atomic_folder(self._folder.path(version.name), bytes_needed=needed) as building:
            writer = EdgeVersion.create(building, version, self._settings)
            with WorkProgress("index: writing", "products", len(rows), shown=self._settings.progress) as progress:
                for batch in catalogue.batches(rows, self._settings.batch_bytes):
                    writer.write(catalogue.points(batch))
                    progress.advance(len(batch))
            writer.build()
            writer.close()
            write_version(building, version)
            # Opened once before anybody serves it: Edge puts its files in order when it opens them.
            reader = EdgeVersion.open(building)
            check(reader)
            reader.close()
            note_files(building)

    def _switch(self, name: str, kept: Sequence[str]) -> None:
        self._folder.switch(name, kept)

    def _drop_all_but(self, kept: set[str]) -> list[str]:
        return self._folder.drop_all_but(kept)
