"""Questions, points and answers of the product index in Qdrant Edge's own words."""

from typing import Any, Final

from qdrant_edge import (
    Expression,
    FieldCondition,
    Filter,
    Formula,
    HasIdCondition,
    MatchAny,
    MatchValue,
    Mmr,
    Point,
    Prefetch,
    Query,
    QueryRequest,
    RangeFloat,
    SearchParams,
    SparseVector,
)

from rec_sys.contracts import IndexVector, PayloadField
from rec_sys.vector_database.catalogue import IndexPoint
from rec_sys.vector_database.search_request import DiversityRequest, SearchRequest, StoredPoint, details_of

# Scores of the first and the second prefetch; a product without any memory is only in the first.
_SUM: Final = Formula(
    Expression.Sum([Expression.Variable("$score[0]"), Expression.Variable("$score[1]")]), defaults={"$score[1]": 0.0}
)


def search_query(request: SearchRequest, with_points: bool) -> QueryRequest:
    """A search in the engine's own words; without the points themselves it brings their scores alone."""
    vectors = (request.vectors or False) if with_points else False
    allowed, search = _filter(request), SearchParams(exact=request.search_width is None, hnsw_ef=request.search_width)
    by_vector = Query.Nearest(request.vector, request.name)
    by_words = None if request.words is None else Query.Nearest(SparseVector(*request.words), IndexVector.WORDS)
    if request.memory is None or by_words is not None:
        return QueryRequest(
            limit=request.limit,
            offset=request.offset,
            query=by_words or by_vector,
            filter=allowed,
            params=None if by_words else search,
            with_payload=with_points,
            with_vector=vectors,
        )
    by_memory = Query.Nearest(SparseVector(*request.memory), IndexVector.MEMORY)
    candidates = [
        Prefetch(limit=request.candidates, query=by_vector, filter=allowed, params=search),
        Prefetch(limit=request.candidates, query=by_memory, filter=allowed),
    ]
    both = 2 * request.candidates
    return QueryRequest(
        limit=request.limit,
        offset=request.offset,
        query=_SUM,
        prefetches=[
            # A graph would look for the best of them and miss some; exact, each is scored.
            Prefetch(limit=both, query=by_vector, prefetches=candidates, params=SearchParams(exact=True)),
            Prefetch(limit=both, query=by_memory, prefetches=candidates),
        ],
        with_payload=with_points,
        with_vector=vectors,
    )


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
    """A scored point or a record, which share all but the score."""
    vectors = point.vector or {}
    sparse = vectors.pop(IndexVector.MEMORY, None)
    memory = {} if sparse is None else dict(zip(sparse.indices, sparse.values, strict=True))
    return StoredPoint(point.id, getattr(point, "score", 0.0), details_of(point.payload or {}), vectors, memory)
