"""From what the index found to an answer in the user's words, with its reasons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from rec_sys.contracts import PayloadField
from rec_sys.inference.contract import Page, Reason, Recommendation, RequestError, Source
from rec_sys.inference.served_bundle import ServedBundle
from rec_sys.inference.user_reviews import SNIPPET_LENGTH, UserReviews, join_text
from rec_sys.vector_database.catalogue import FloatArray
from rec_sys.vector_database.contract import (
    Diversity,
    ProductAnswer,
    ProductFilter,
    ProductHit,
    ProductQuery,
    SimilarTo,
    TextMeaning,
    UserTaste,
)
from rec_sys.vector_database.searching import details_of

DIVERSIFIED: Final = 200  # best products that a diverse page is chosen from


@dataclass(frozen=True, eq=False)
class Attention:
    """What of a user's reviews explains an answer.

    Attributes:
        reviews: The reviews.
        weights: float32 `[num_reads]`, the tower's attention.
        memory_weights: float32 `[num_reads]`, what each weighs in the memory.
        summed: The same by product.
        limit: Most reasons of a product.
    """

    reviews: UserReviews
    weights: FloatArray
    memory_weights: FloatArray
    summed: Mapping[int, float]
    limit: int


def to_query(by: UserTaste | SimilarTo | TextMeaning, page: Page, wanted: ProductFilter) -> ProductQuery:
    """A page of a ranking as the index is asked for it.

    Raises:
        RequestError: A diverse page ends beyond the products that are diversified.
    """
    if not page.diversity:
        return ProductQuery(by, wanted, limit=page.limit, offset=page.offset)
    if page.offset + page.limit > DIVERSIFIED:
        raise RequestError(
            f"the page ends at product {page.offset + page.limit}, and the best {DIVERSIFIED} are diversified",
            field="offset",
            remedy="ask for an earlier page, or with diversity=0",
        )
    return ProductQuery(by, wanted, page.limit, page.offset, Diversity(page.diversity, DIVERSIFIED))


def recommend_hits(
    found: ProductAnswer, page: Page, served: ServedBundle, attention: Attention | None
) -> tuple[Recommendation, ...]:
    """A user's answer; without attention it gives no reasons."""
    return tuple(
        _recommendation(hit, page.offset + place, _larger_part(hit), _reasons(hit, served, attention))
        for place, hit in enumerate(found.hits, start=1)
    )


def list_hits(found: ProductAnswer, page: Page, source: Source) -> tuple[Recommendation, ...]:
    """An answer to a question about a product or a text."""
    return tuple(_recommendation(hit, page.offset + place, source, ()) for place, hit in enumerate(found.hits, start=1))


def popular_products(served: ServedBundle, page: Page, wanted: ProductFilter) -> tuple[Recommendation, ...]:
    """What most have reviewed, for when nothing better can be said; the score is the number of reviews."""
    order = served.by_popularity
    chosen = order[served.exact.matching(wanted)[order]][page.offset : page.offset + page.limit]
    hits = [
        ProductHit(details_of(payload), float(payload[PayloadField.REVIEW_COUNT]))
        for payload in served.catalogue.details[chosen].to_dicts()
    ]
    return tuple(_recommendation(hit, page.offset + place, "popular", ()) for place, hit in enumerate(hits, start=1))


def _larger_part(hit: ProductHit) -> Source:
    return "memory" if hit.memory_score > hit.score - hit.memory_score else "graph"


def _recommendation(hit: ProductHit, rank: int, source: Source, reasons: tuple[Reason, ...]) -> Recommendation:
    product = hit.product
    return Recommendation.model_construct(
        rank=rank,
        asin=product.asin,
        title=product.title,
        brand=product.brand,
        categories=product.categories,
        price=product.price,
        rating_mean=product.rating_mean,
        review_count=product.review_count,
        score=hit.score,
        memory_score=hit.memory_score,
        source=source,
        reasons=reasons,
    )


def _reasons(hit: ProductHit, served: ServedBundle, attention: Attention | None) -> tuple[Reason, ...]:
    """The reviews that matter most: by the memory's part where that is the larger one, else by attention."""
    if attention is None or not attention.limit or not len(attention.reviews):
        return ()
    products = attention.reviews.product.tolist()
    shares = [
        hit.memory_of[product] / attention.summed[product] * weight if product in hit.memory_of else 0.0
        for product, weight in zip(products, attention.memory_weights.tolist(), strict=True)
    ]
    by_memory = _larger_part(hit) == "memory"
    order = np.argsort(-np.asarray(shares if by_memory else attention.weights), kind="stable")[: attention.limit]
    return tuple(
        _reason(attention, served, place, shares[place])
        for place in order.tolist()
        if shares[place] > 0 or not by_memory
    )


def _reason(attention: Attention, served: ServedBundle, place: int, memory: float) -> Reason:
    reviews = attention.reviews
    origin, product = int(reviews.origin[place]), int(reviews.product[place])
    rating, timestamp = float(reviews.rating[place]), int(reviews.timestamp[place])
    if origin >= 0:
        asin, snippet = served.asins[product], served.users.snippet[origin]
    else:
        review = reviews.sent[-1 - origin]
        asin, text = review.asin, join_text(review)
        snippet = None if text is None else text[:SNIPPET_LENGTH]
    return Reason.model_construct(
        asin=asin,
        title=served.title(product),
        snippet=snippet,
        rating=rating or None,
        timestamp=timestamp if timestamp >= 0 and (origin < 0 or served.manifest.has_time) else None,
        weight=float(attention.weights[place]),
        memory=memory,
    )


def weights_of(users: Sequence[UserReviews], weights: FloatArray) -> list[FloatArray]:
    """Each user's weights without the padding."""
    return [row[: len(user)] for user, row in zip(users, weights, strict=True)]
