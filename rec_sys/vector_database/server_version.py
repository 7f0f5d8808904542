"""One version of the index as a collection of a Qdrant server, and the aliases that say which one is served."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from pydantic import ValidationError
from qdrant_client import QdrantClient, models

from rec_sys.contracts import IndexVector, InputError
from rec_sys.settings import ServerIndex
from rec_sys.vector_database.catalogue import IndexPoint
from rec_sys.vector_database.contract import IndexVersion
from rec_sys.vector_database.search_request import DiversePlan, SearchPlan, StoredPoint
from rec_sys.vector_database.server_connection import explained
from rec_sys.vector_database.server_queries import diverse_request, search_request

_SEPARATOR: Final = "--"


class ServerNames:
    """What an index's aliases and collections are called.

    Args:
        settings: The index.
    """

    def __init__(self, settings: ServerIndex) -> None:
        self.served = settings.collection
        self.previous = f"{settings.collection}-previous"
        self.prefix = settings.collection + _SEPARATOR

    def collection(self, version: str) -> str:
        """The collection of a version."""
        return self.prefix + version

    def version(self, collection: str) -> str:
        """The version in a collection."""
        return collection.removeprefix(self.prefix)


class ServerVersion:
    """A version, asked by the name of its own collection: what an alias points to may change between two requests.

    Args:
        version: What it is.
        client: The server.
        settings: The index.
    """

    def __init__(self, version: IndexVersion, client: QdrantClient, settings: ServerIndex) -> None:
        self._version, self._client, self._settings = version, client, settings
        self._collection = ServerNames(settings).collection(version.name)

    @property
    def version(self) -> IndexVersion:
        """What is held."""
        return self._version

    def write(self, points: Sequence[IndexPoint]) -> None:
        """Adds points or replaces them, and waits until searches find them."""
        with explained(self._settings):
            self._client.upsert(self._collection, [_server_point(point) for point in points], wait=True)

    def query(self, plans: Sequence[SearchPlan]) -> list[list[StoredPoint]]:
        """Runs searches; the memory comes back with plans that use it."""
        return self._run([search_request(plan) for plan in plans])

    def diversify(self, plan: DiversePlan) -> list[UUID]:
        """Runs a plan; the points in their new order."""
        return [point.id for point in self._run([diverse_request(plan)])[0]]

    def retrieve(self, points: Sequence[UUID], vectors: Sequence[str] = ()) -> list[StoredPoint]:
        """Reads points, with the dense vectors named; unknown ones are left out."""
        ids: list[int | str | UUID] = [str(point) for point in points]
        with explained(self._settings):
            found = self._client.retrieve(
                self._collection, ids=ids, with_payload=True, with_vectors=list(vectors) or False
            )
        return [_stored(record) for record in found]

    def count(self) -> int:
        """Points held."""
        with explained(self._settings):
            return self._client.count(self._collection, exact=True).count

    def _run(self, requests: list[models.QueryRequest]) -> list[list[StoredPoint]]:
        with explained(self._settings):
            found = self._client.query_batch_points(self._collection, requests=requests)
        return [[_stored(point) for point in response.points] for response in found]


def read_aliases(client: QdrantClient, settings: ServerIndex) -> dict[str, str]:
    """The collection behind every alias of the server."""
    with explained(settings):
        return {alias.alias_name: alias.collection_name for alias in client.get_aliases().aliases}


def describe_collection(client: QdrantClient, settings: ServerIndex, collection: str) -> IndexVersion:
    """What a collection says that it is.

    Raises:
        InputError: It does not say, so it is not one of ours.
    """
    with explained(settings):
        metadata = client.get_collection(collection).config.metadata
    try:
        return IndexVersion.model_validate(metadata)
    except ValidationError as error:
        raise InputError(
            f"collection {collection} was not written by create_vectorbase, or by another version of it",
            where=settings.url,
            remedy="publish again, under another index.collection if this one has another use; the server must be"
            " Qdrant 1.16 or later",
        ) from error


def _server_point(point: IndexPoint) -> models.PointStruct:
    vectors: dict[str, Any] = {IndexVector.GRAPH: point.vector}
    if point.text is not None:
        vectors[IndexVector.TEXT] = point.text
    if point.memory is not None:
        dimensions, weights = point.memory
        vectors[IndexVector.MEMORY] = models.SparseVector(indices=dimensions, values=weights)
    return models.PointStruct(id=str(point.id), vector=vectors, payload=point.payload)


def _stored(point: models.ScoredPoint | models.Record) -> StoredPoint:
    vectors: dict[str, Any] = dict(point.vector) if isinstance(point.vector, dict) else {}
    sparse = vectors.pop(IndexVector.MEMORY, None)
    memory = {} if sparse is None else dict(zip(sparse.indices, sparse.values, strict=True))
    score = point.score if isinstance(point, models.ScoredPoint) else 0.0
    return StoredPoint(UUID(str(point.id)), score, point.payload or {}, vectors, memory)
