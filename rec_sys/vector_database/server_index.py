"""The product index on a Qdrant server."""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from qdrant_client import QdrantClient

from rec_sys.settings import ServerIndex
from rec_sys.vector_database.contract import (
    EmptyIndexError,
    IndexUnavailableError,
    IndexVersion,
    NewProduct,
    ProductAnswer,
    ProductIndex,
    ProductQuery,
)
from rec_sys.vector_database.overlay import layered
from rec_sys.vector_database.search_request import VersionGoneError
from rec_sys.vector_database.searching import answer, upserted_points
from rec_sys.vector_database.server_version import ServerNames, ServerVersion, describe_collection, read_aliases

Result = TypeVar("Result")

_ATTEMPTS: Final = 5  # a version would have to be replaced and dropped during each of them


class ServerProductIndex(ProductIndex):
    """Asks the collection that the alias points to when a request begins; the request ends on that one."""

    def __init__(self, settings: ServerIndex, client: QdrantClient) -> None:
        self._settings, self._client = settings, client
        self._names = ServerNames(settings)
        self._known: dict[str, IndexVersion] = {}  # by collection; what a version is never changes

    def version(self) -> IndexVersion:
        """See `ProductIndex`."""
        return self._with_served(lambda reader: reader.version, answers_from_held=False)

    def search_many(self, queries: Sequence[ProductQuery]) -> list[ProductAnswer]:
        """See `ProductIndex`."""
        return self._with_served(lambda reader: answer(layered(reader, self.overlay), queries, self._settings))

    def upsert(self, products: Sequence[NewProduct]) -> IndexVersion:
        """See `ProductIndex`. The collection served is written to; its version keeps its name."""

        def write(reader: ServerVersion) -> IndexVersion:
            reader.write(upserted_points(reader, products))
            return reader.version

        for _ in range(_ATTEMPTS):
            written = self._with_served(write)
            if self.version().name == written.name:
                return written
        raise self._restless()

    def close(self) -> None:
        """See `ProductIndex`."""
        self._client.close()

    def _with_served(self, ask: Callable[[ServerVersion], Result], answers_from_held: bool = True) -> Result:
        for _ in range(_ATTEMPTS):
            try:
                held = self.held if answers_from_held else None
                return ask(self._open() if held is None else ServerVersion(held, self._client, self._settings))
            except VersionGoneError:
                continue  # it was replaced and dropped since the alias was read
        raise self._restless()

    def _open(self) -> ServerVersion:
        collection = read_aliases(self._client, self._settings).get(self._names.served)
        if collection is None:
            raise EmptyIndexError(
                f"the index is empty: there is no alias {self._names.served}",
                where=str(self._settings.url),
                remedy="run rec_sys.vector_database.create_vectorbase index=server first, or set index.collection",
            )
        version = self._known.get(collection)
        if version is None:
            version = describe_collection(self._client, self._settings, collection)
            self._known = {collection: version}
        return ServerVersion(version, self._client, self._settings)

    def _restless(self) -> IndexUnavailableError:
        return IndexUnavailableError(
            "versions are replaced faster than they can be asked", where=str(self._settings.url), remedy="ask again"
        )
