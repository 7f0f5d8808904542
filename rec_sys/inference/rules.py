"""Rules of a request: some products are to stand higher or lower, and of a brand only so many."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from rec_sys.inference.contract import Boost, Page, RecommendationRequest, RequestError
from rec_sys.vector_database.catalogue import FloatArray, IntArray
from rec_sys.vector_database.contract import ProductFilter, ProductHit, ProductQuery

_WITHOUT_VECTORS: Final = ("memory", "popular")
CANDIDATES: Final = 1_000  # best products that rules put in order; pages end there


@dataclass(frozen=True, eq=False)
class Arranged:
    """Products in the order of the rules.

    Attributes:
        places: int64 `[n]`, among those that were found.
        added: float32 `[n]`, to their scores.
        rules: Those that moved each.
        kept: int64 `[num_kept]`, the places of the whole ranking that the page was cut from.
    """

    places: IntArray
    added: FloatArray
    rules: list[tuple[str, ...]]
    kept: IntArray


def has_rules(request: RecommendationRequest) -> bool:
    """Whether there is any."""
    return bool(request.boost) or request.max_per_brand is not None


def drawn_rules(hit: ProductHit, page: Page) -> tuple[str, ...]:
    """How the request's examples moved a product, as an answer says it: `like B00SAMPLE1 +0.42`."""
    return tuple(
        f"{'like' if asin in page.like else 'unlike'} {asin} {part:+.2f}"
        for asin, part in hit.drawn_by.items()
        if round(part, 2)
    )


def is_boosted(hit: ProductHit, request: RecommendationRequest) -> bool:
    """Whether the request wants a product higher."""
    return any(boost.by > 0 and _is_meant(boost, hit) for boost in request.boost)


def check_rules(request: RecommendationRequest) -> None:
    """Refuses what cannot be meant.

    Raises:
        RequestError: Naming the field.
    """
    if request.examples.asins and request.model in _WITHOUT_VECTORS:
        raise RequestError(
            f"the model {request.model} compares no products",
            field="like" if request.like else "unlike",
            remedy="ask for hybrid or graph, or leave it out",
        )
    if not has_rules(request):
        return
    if request.diversity:
        raise RequestError(
            "rules and diversity both choose the order", field="diversity", remedy="leave one of them out"
        )
    if request.offset + request.limit > CANDIDATES:
        raise RequestError(
            f"the page ends at product {request.offset + request.limit}, and rules order the best {CANDIDATES:,}",
            field="offset",
            remedy="ask for an earlier page, or without rules",
        )


def ruled_queries(query: ProductQuery, request: RecommendationRequest) -> list[ProductQuery]:
    """A question as the index is asked it: for the best products, and for the best of those that shall stand higher."""
    if not has_rules(request):
        return [query]
    all_of_them = replace(query, limit=CANDIDATES, offset=0)
    narrowed = [_narrowed(query.filter, boost) for boost in request.boost if boost.by > 0]
    most = request.offset + request.limit
    return [all_of_them, *(replace(all_of_them, filter=one, limit=most) for one in narrowed if one is not None)]


def merged(found: Sequence[Sequence[ProductHit]]) -> tuple[ProductHit, ...]:
    """What several questions of one user found, each product once, the best first."""
    if len(found) == 1:
        return tuple(found[0])
    hits = {hit.product.asin: hit for some in found for hit in some}
    return tuple(sorted(hits.values(), key=lambda hit: -hit.score))


def arrange(hits: Sequence[ProductHit], score: FloatArray, request: RecommendationRequest) -> Arranged:
    """The page that was asked for; `score` is float32 `[num_hits]`, in falling order."""
    added = np.zeros(len(hits), dtype=np.float32)
    moved: list[list[str]] = [[] for _ in hits]
    for boost in request.boost:
        for place, hit in enumerate(hits):
            if _is_meant(boost, hit):
                added[place] += boost.by
                moved[place].append(boost.name)
    order = np.argsort(-(score + added), kind="stable")
    if request.max_per_brand is not None:
        order = _few_of_each(order, hits, request.max_per_brand, moved)
    places = order[request.offset : request.offset + request.limit].astype(np.int64)
    return Arranged(places, added[places], [tuple(moved[place]) for place in places.tolist()], order)


def _few_of_each(order: IntArray, hits: Sequence[ProductHit], most: int, moved: list[list[str]]) -> IntArray:
    """The order without what is too many of a brand; products of no brand are not of the same."""
    counts: Counter[str] = Counter()
    kept, rule, is_any_left_out = [], f"max_per_brand {most}", False
    for place in order.tolist():
        brand = hits[place].product.brand
        if brand is not None and counts[brand] >= most:
            is_any_left_out = True
            continue
        if brand is not None:
            counts[brand] += 1
        if is_any_left_out:
            moved[place].append(rule)
        kept.append(place)
    return np.array(kept, dtype=np.int64)


def _is_meant(boost: Boost, hit: ProductHit) -> bool:
    product = hit.product
    return (
        (boost.asin is not None and product.asin == boost.asin)
        or (boost.brand is not None and product.brand == boost.brand)
        or (boost.category is not None and boost.category in product.categories)
    )


def _narrowed(wanted: ProductFilter, boost: Boost) -> ProductFilter | None:
    """The filter for what is boosted alone; None where it lets nothing of it through."""
    if boost.brand is not None:
        brands = (boost.brand,) if not wanted.brands or boost.brand in wanted.brands else None
        return None if brands is None else replace(wanted, brands=brands)
    if boost.category is not None:
        return replace(wanted, categories_all=(*wanted.categories_all, boost.category))
    assert boost.asin is not None
    only = (boost.asin,) if not wanted.only or boost.asin in wanted.only else None
    return None if only is None else replace(wanted, only=only)
