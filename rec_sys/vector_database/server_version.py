"""One version of the index as a collection of a Qdrant server, and the aliases that say which one is served."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final
from uuid import UUID

from pydantic import ValidationError
from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse

from rec_sys.contracts import IndexVector, InputError, PayloadField
from rec_sys.settings import ServerIndex
from rec_sys.vector_database.catalogue import IndexPoint
from rec_sys.vector_database.contract import IndexUnavailableError, IndexVersion
from rec_sys.vector_database.search_request import (
    DiversityRequest,
    SearchRequest,
    StoredPoint,
    VersionGoneError,
    details_of,
)

_SEPARATOR: Final = "--"
_NOT_FOUND: Final = 404
_NOT_ALLOWED: Final = (401, 403)
# The same request may succeed a little later.
_PASSING: Final = (408, 425, 429, 500, 502, 503, 504)
# Scores of the first and the second prefetch; a product without any memory is only in the first.
_SUM: Final = models.FormulaQuery(
    formula=models.SumExpression(sum=["$score[0]", "$score[1]"]), defaults={"$score[1]": 0.0}
)


class ServerNames:
    """What an index's aliases and collections are called."""

    def __init__(self, settings: ServerIndex) -> None:
        self.served = settings.collection
        before = f"{settings.collection}-previous"
        # Of what a rollback can go to, the latest first.
        self.kept = [before, *(f"{before}-{steps}" for steps in range(2, settings.kept_versions))]
        self.prefix = settings.collection + _SEPARATOR

    def collection(self, version: str) -> str:
        """The collection of a version."""
        return self.prefix + version

    def version(self, collection: str) -> str:
        """The version in a collection."""
        return collection.removeprefix(self.prefix)


class ServerVersion:
    """A version, asked by the name of its own collection: what an alias points to may change between two requests."""

    def __init__(self, version: IndexVersion, client: QdrantClient, settings: ServerIndex) -> None:
        self.version, self._client, self._settings = version, client, settings
        self._collection = ServerNames(settings).collection(version.name)

    def write(self, points: Sequence[IndexPoint]) -> None:
        """Adds points or replaces them, and waits until searches find them."""
        with explained(self._settings):
            self._client.upsert(self._collection, [_server_point(point) for point in points], wait=True)

    def query(self, requests: Sequence[SearchRequest]) -> list[list[StoredPoint]]:
        """Runs searches; the memory comes back with requests that use it."""
        found = self._run([_search_query(request) for request in requests])
        return [[_stored(point) for point in points] for points in found]

    def diversify(self, request: DiversityRequest) -> list[UUID]:
        """Runs a request; the points in their new order."""
        return [UUID(str(point.id)) for point in self._run([_diversity_query(request)])[0]]

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

    def _run(self, requests: list[models.QueryRequest]) -> list[list[models.ScoredPoint]]:
        with explained(self._settings):
            found = self._client.query_batch_points(self._collection, requests=requests)
        return [response.points for response in found]


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
            where=str(settings.url),
            remedy="publish again, under another index.collection if this one has another use; the server must be"
            " Qdrant 1.16 or later",
        ) from error


def connect(settings: ServerIndex) -> QdrantClient:
    """A client of the server; nothing is asked of it yet."""
    with warnings.catch_warnings():
        # It warns of a key on a line without TLS; between containers of one host that is the usual thing.
        warnings.filterwarnings("ignore", message=".*insecure connection.*")
        return QdrantClient(
            url=settings.url.get_secret_value(),
            api_key=settings.api_key.get_secret_value() or None if settings.api_key else None,
            timeout=settings.timeout,
            check_compatibility=False,
        )


@contextmanager
def explained(settings: ServerIndex) -> Iterator[None]:
    """Turns the client's errors into ours.

    Raises:
        VersionGoneError: The collection does not exist (any more).
        IndexUnavailableError: The server cannot be reached, is overloaded or at fault.
        InputError: It does not let us in.
    """
    try:
        yield
    except (ApiException, ResourceExhaustedResponse) as error:
        status = error.status_code if isinstance(error, UnexpectedResponse) else None
        if status == _NOT_FOUND:
            raise VersionGoneError(str(error)) from error
        if status in _NOT_ALLOWED:
            raise InputError(
                "the Qdrant server refuses the API key",
                where=str(settings.url),
                remedy="set QDRANT_API_KEY or index.api_key",
            ) from error
        if status not in _PASSING and not isinstance(error, ResponseHandlingException | ResourceExhaustedResponse):
            raise
        reason = error.source if isinstance(error, ResponseHandlingException) else str(error).partition("\n")[0]
        raise IndexUnavailableError(
            f"the Qdrant server does not answer ({reason})",
            where=str(settings.url),
            remedy="start it, or give its address with index.url=...; index=edge needs no server",
        ) from error
    except ValueError as error:  # what the client's in-memory mode says where a server answers 404
        if "not found" in str(error):
            raise VersionGoneError(str(error)) from error
        raise


def _search_query(request: SearchRequest) -> models.QueryRequest:
    """A search in the engine's own words."""
    allowed = _filter(request)
    search = models.SearchParams(exact=request.search_width is None, hnsw_ef=request.search_width)
    by_words = None if request.words is None else _sparse(request.words)
    if request.memory is None or by_words is not None:
        return models.QueryRequest(
            query=request.vector if by_words is None else by_words,
            using=request.name if by_words is None else IndexVector.WORDS,
            filter=allowed,
            params=search if by_words is None else None,
            limit=request.limit,
            offset=request.offset,
            with_payload=True,
            with_vector=request.vectors or False,
        )
    by_memory = _sparse(request.memory)
    candidates = [
        models.Prefetch(
            query=request.vector, using=request.name, limit=request.candidates, filter=allowed, params=search
        ),
        models.Prefetch(query=by_memory, using=IndexVector.MEMORY, limit=request.candidates, filter=allowed),
    ]
    both = 2 * request.candidates
    return models.QueryRequest(
        query=_SUM,
        prefetch=[
            # A graph would look for the best of them and miss some; exact, each is scored.
            models.Prefetch(
                query=request.vector,
                using=request.name,
                limit=both,
                prefetch=candidates,
                params=models.SearchParams(exact=True),
            ),
            models.Prefetch(query=by_memory, using=IndexVector.MEMORY, limit=both, prefetch=candidates),
        ],
        limit=request.limit,
        offset=request.offset,
        with_payload=True,
        with_vector=request.vectors,
    )


def _diversity_query(request: DiversityRequest) -> models.QueryRequest:
    """A choice of diverse products in the engine's own words; only the order of what comes back means anything."""
    marginal = models.Mmr(diversity=request.strength, candidates_limit=len(request.points))
    return models.QueryRequest(
        query=models.NearestQuery(nearest=request.vector, mmr=marginal),
        using=request.name,
        filter=models.Filter(must=[models.HasIdCondition(has_id=[str(point) for point in request.points])]),
        params=models.SearchParams(exact=True),
        limit=request.limit,
    )


def _filter(request: SearchRequest) -> models.Filter | None:
    limits = request.filter
    must: list[models.Condition] = [
        models.FieldCondition(key=PayloadField.CATEGORIES, match=models.MatchValue(value=name))
        for name in limits.categories_all
    ]
    for field, values in request.one_of.items():
        must.append(models.FieldCondition(key=field, match=models.MatchAny(any=list(values))))
    if limits.min_price is not None or limits.max_price is not None:
        price = models.Range(gte=limits.min_price, lte=limits.max_price)
        must.append(models.FieldCondition(key=PayloadField.PRICE, range=price))
    if limits.min_rating is not None:
        rating = models.Range(gte=limits.min_rating)
        must.append(models.FieldCondition(key=PayloadField.RATING_MEAN, range=rating))
    must_not: list[models.Condition] = []
    if request.excluded:
        must_not.append(models.HasIdCondition(has_id=[str(point) for point in request.excluded]))
    return models.Filter(must=must or None, must_not=must_not or None) if must or must_not else None


def _server_point(point: IndexPoint) -> models.PointStruct:
    vectors: dict[str, Any] = {IndexVector.GRAPH: point.vector}
    if point.text is not None:
        vectors[IndexVector.TEXT] = point.text
    if point.memory is not None:
        vectors[IndexVector.MEMORY] = _sparse(point.memory)
    if point.words is not None:
        vectors[IndexVector.WORDS] = _sparse(point.words)
    return models.PointStruct(id=str(point.id), vector=vectors, payload=point.payload)


def _sparse(parts: tuple[list[int], list[float]]) -> models.SparseVector:
    dimensions, weights = parts
    return models.SparseVector(indices=dimensions, values=weights)


def _stored(point: models.ScoredPoint | models.Record) -> StoredPoint:
    vectors: dict[str, Any] = dict(point.vector) if isinstance(point.vector, dict) else {}
    sparse = vectors.pop(IndexVector.MEMORY, None)
    memory = {} if sparse is None else dict(zip(sparse.indices, sparse.values, strict=True))
    score = point.score if isinstance(point, models.ScoredPoint) else 0.0
    return StoredPoint(UUID(str(point.id)), score, details_of(point.payload or {}), vectors, memory)
