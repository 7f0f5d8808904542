"""Questions, points and answers of the product index in Qdrant Edge's own words."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from qdrant_edge import (
    FieldCondition,
    Filter,
    HasIdCondition,
    MatchAny,
    MatchValue,
    Mmr,
    Point,
    Query,
    QueryRequest,
    RangeFloat,
    SearchParams,
    SparseVector,
)

from rec_sys.contracts import IndexVector, PayloadField
from rec_sys.vector_database.catalogue import IndexPoint
from rec_sys.vector_database.search_request import DiversityRequest, SearchRequest, StoredPoint, details_of


def nearest(request: SearchRequest, by: str, limit: int) -> QueryRequest:
    """The ids and scores of the best products by one of a request's vectors, a `contracts.IndexVector`."""
    return QueryRequest(
        limit=limit,
        query=_by(request, by),
        filter=_filter(request),
        params=SearchParams(exact=request.search_width is None, hnsw_ef=request.search_width),
    )


def scores_of(request: SearchRequest, by: str, points: Collection[UUID]) -> QueryRequest:
    """The ids and scores of these products by one of a request's vectors."""
    among = Filter(must=[HasIdCondition(set(points))])
    return QueryRequest(limit=len(points), query=_by(request, by), filter=among, params=SearchParams(exact=True))


def _by(request: SearchRequest, by: str) -> Query:
    sparse = {IndexVector.MEMORY: request.memory, IndexVector.WORDS: request.words}.get(by)
    return Query.Nearest(request.vector if sparse is None else SparseVector(*sparse), by)


def diversity_query(request: DiversityRequest) -> QueryRequest:
    """A choice of diverse products in the engine's own words; only the order of what comes back means anything."""
    marginal = Mmr(
        request.vector, lambda_=1 - request.strength, candidates_limit=len(request.points), using=request.name
    )
    return QueryRequest(
        limit=request.limit,
        query=marginal,
        filter=Filter(must=[HasIdCondition(set(request.points))]),
        params=SearchParams(exact=True),
    )


def _filter(request: SearchRequest) -> Filter | None:
    limits = request.filter
    must: list[Any] = [FieldCondition(PayloadField.CATEGORIES, MatchValue(name)) for name in limits.categories_all]
    for field, values in request.one_of.items():
        must.append(FieldCondition(field, MatchAny(list(values))))
    if limits.min_price is not None or limits.max_price is not None:
        must.append(FieldCondition(PayloadField.PRICE, range=RangeFloat(gte=limits.min_price, lte=limits.max_price)))
    if limits.min_rating is not None:
        must.append(FieldCondition(PayloadField.RATING_MEAN, range=RangeFloat(gte=limits.min_rating)))
    must_not: list[Any] = [HasIdCondition(set(request.excluded))] if request.excluded else []
    return Filter(must=must or None, must_not=must_not or None) if must or must_not else None


def edge_point(point: IndexPoint) -> Point:
    """A point with the vectors that it has."""
    vectors: dict[str, Any] = {IndexVector.GRAPH: point.vector}
    if point.text is not None:
        vectors[IndexVector.TEXT] = point.text
    if point.memory is not None:
        vectors[IndexVector.MEMORY] = SparseVector(*point.memory)
    if point.words is not None:
        vectors[IndexVector.WORDS] = SparseVector(*point.words)
    return Point(point.id, vectors, point.payload)


def stored(point: Any) -> StoredPoint:
    """What was read of a point."""
    vectors = point.vector or {}
    sparse = vectors.pop(IndexVector.MEMORY, None)
    memory = {} if sparse is None else dict(zip(sparse.indices, sparse.values, strict=True))
    return StoredPoint(point.id, 0.0, details_of(point.payload or {}), vectors, memory)
