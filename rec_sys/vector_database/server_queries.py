"""Search plans in the words of a Qdrant server."""

from typing import Final

from qdrant_client import models

from rec_sys.contracts import IndexVector, PayloadField
from rec_sys.vector_database.search_request import DiversePlan, SearchPlan

# Scores of the first and the second prefetch; a product without any memory is only in the first.
_SUM: Final = models.FormulaQuery(
    formula=models.SumExpression(sum=["$score[0]", "$score[1]"]), defaults={"$score[1]": 0.0}
)


def search_request(plan: SearchPlan) -> models.QueryRequest:
    """One request for a plan."""
    allowed = _filter(plan)
    search = models.SearchParams(exact=plan.search_width is None, hnsw_ef=plan.search_width)
    if plan.memory is None:
        return models.QueryRequest(
            query=plan.vector,
            using=plan.name,
            filter=allowed,
            params=search,
            limit=plan.limit,
            offset=plan.offset,
            with_payload=True,
            with_vector=plan.vectors or False,
        )
    dimensions, weights = plan.memory
    by_memory = models.SparseVector(indices=dimensions, values=weights)
    candidates = [
        models.Prefetch(query=plan.vector, using=plan.name, limit=plan.candidates, filter=allowed, params=search),
        models.Prefetch(query=by_memory, using=IndexVector.MEMORY, limit=plan.candidates, filter=allowed),
    ]
    both = 2 * plan.candidates
    return models.QueryRequest(
        query=_SUM,
        prefetch=[
            # A graph would look for the best of them and miss some; exact, each is scored.
            models.Prefetch(
                query=plan.vector,
                using=plan.name,
                limit=both,
                prefetch=candidates,
                params=models.SearchParams(exact=True),
            ),
            models.Prefetch(query=by_memory, using=IndexVector.MEMORY, limit=both, prefetch=candidates),
        ],
        limit=plan.limit,
        offset=plan.offset,
        with_payload=True,
        with_vector=plan.vectors,
    )


def diverse_request(plan: DiversePlan) -> models.QueryRequest:
    """One request for a plan; only the order of what comes back means anything."""
    marginal = models.Mmr(diversity=plan.strength, candidates_limit=len(plan.points))
    return models.QueryRequest(
        query=models.NearestQuery(nearest=plan.vector, mmr=marginal),
        using=plan.name,
        filter=models.Filter(must=[models.HasIdCondition(has_id=[str(point) for point in plan.points])]),
        params=models.SearchParams(exact=True),
        limit=plan.limit,
    )


def _filter(plan: SearchPlan) -> models.Filter | None:
    wanted = plan.filter
    must: list[models.Condition] = [
        models.FieldCondition(key=PayloadField.CATEGORIES, match=models.MatchValue(value=name))
        for name in wanted.categories_all
    ]
    for field, values in ((PayloadField.CATEGORIES, wanted.categories_any), (PayloadField.BRAND, wanted.brands)):
        if values:
            must.append(models.FieldCondition(key=field, match=models.MatchAny(any=list(values))))
    if wanted.min_price is not None or wanted.max_price is not None:
        price = models.Range(gte=wanted.min_price, lte=wanted.max_price)
        must.append(models.FieldCondition(key=PayloadField.PRICE, range=price))
    if wanted.min_rating is not None:
        rating = models.Range(gte=wanted.min_rating)
        must.append(models.FieldCondition(key=PayloadField.RATING_MEAN, range=rating))
    must_not: list[models.Condition] = []
    if plan.excluded:
        must_not.append(models.HasIdCondition(has_id=[str(point) for point in plan.excluded]))
    return models.Filter(must=must or None, must_not=must_not or None) if must or must_not else None
