"""Search plans in the words of Qdrant Edge."""

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
    Prefetch,
    Query,
    QueryRequest,
    RangeFloat,
    SearchParams,
    SparseVector,
)

from rec_sys.contracts import IndexVector, PayloadField
from rec_sys.vector_database.search_request import DiversePlan, SearchPlan

# Scores of the first and the second prefetch; a product without any memory is only in the first.
_SUM: Final = Formula(
    Expression.Sum([Expression.Variable("$score[0]"), Expression.Variable("$score[1]")]), defaults={"$score[1]": 0.0}
)


def search_request(plan: SearchPlan) -> QueryRequest:
    """One request for a plan."""
    allowed, search = _filter(plan), SearchParams(exact=plan.search_width is None, hnsw_ef=plan.search_width)
    by_vector = Query.Nearest(plan.vector, plan.name)
    if plan.memory is None:
        return QueryRequest(
            limit=plan.limit,
            offset=plan.offset,
            query=by_vector,
            filter=allowed,
            params=search,
            with_payload=True,
            with_vector=plan.vectors or False,
        )
    by_memory = Query.Nearest(SparseVector(*plan.memory), IndexVector.MEMORY)
    candidates = [
        Prefetch(limit=plan.candidates, query=by_vector, filter=allowed, params=search),
        Prefetch(limit=plan.candidates, query=by_memory, filter=allowed),
    ]
    both = 2 * plan.candidates
    return QueryRequest(
        limit=plan.limit,
        offset=plan.offset,
        query=_SUM,
        prefetches=[
            # A graph would look for the best of them and miss some; exact, each is scored.
            Prefetch(limit=both, query=by_vector, prefetches=candidates, params=SearchParams(exact=True)),
            Prefetch(limit=both, query=by_memory, prefetches=candidates),
        ],
        with_payload=True,
        with_vector=plan.vectors,
    )


def diverse_request(plan: DiversePlan) -> QueryRequest:
    """One request for a plan; only the order of what comes back means anything."""
    return QueryRequest(
        limit=plan.limit,
        query=Mmr(vector=plan.vector, lambda_=1 - plan.strength, candidates_limit=len(plan.points), using=plan.name),
        filter=Filter(must=[HasIdCondition(set(plan.points))]),
        params=SearchParams(exact=True),
    )


def _filter(plan: SearchPlan) -> Filter | None:
    wanted = plan.filter
    must: list[Any] = [FieldCondition(PayloadField.CATEGORIES, MatchValue(name)) for name in wanted.categories_all]
    for field, values in ((PayloadField.CATEGORIES, wanted.categories_any), (PayloadField.BRAND, wanted.brands)):
        if values:
            must.append(FieldCondition(field, MatchAny(list(values))))
    if wanted.min_price is not None or wanted.max_price is not None:
        must.append(FieldCondition(PayloadField.PRICE, range=RangeFloat(gte=wanted.min_price, lte=wanted.max_price)))
    if wanted.min_rating is not None:
        must.append(FieldCondition(PayloadField.RATING_MEAN, range=RangeFloat(gte=wanted.min_rating)))
    must_not: list[Any] = [HasIdCondition(set(plan.excluded))] if plan.excluded else []
    return Filter(must=must or None, must_not=must_not or None) if must or must_not else None
