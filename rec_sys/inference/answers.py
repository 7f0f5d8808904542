"""From what the index found to an answer in the user's words, with its reasons."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from rec_sys.inference.clock import StepClock
from rec_sys.inference.contract import (
    Page,
    ProductsAnswer,
    Reason,
    Recommendation,
    RequestError,
    Source,
    Versions,
)
from rec_sys.inference.explanations import strongest_reviews
from rec_sys.inference.predicted_stars import RatedReviews
from rec_sys.inference.review_texts import join_text
from rec_sys.inference.rules import Arranged, drawn_rules
from rec_sys.inference.second_stage import RankedHits
from rec_sys.inference.served_bundle import ServedBundle
from rec_sys.inference.user_reviews import SNIPPET_LENGTH, MemoryQuery, UserReviews
from rec_sys.scoring import is_from_memory
from rec_sys.vector_database.catalogue import FloatArray
from rec_sys.vector_database.contract import (
    Diversity,
    ProductAnswer,
    ProductDetails,
    ProductFilter,
    ProductHit,
    ProductQuery,
    SimilarTo,
    TextMeaning,
    UserTaste,
)

DIVERSIFIED: Final = 200  # best products that a diverse page is chosen from


Stars = Callable[[Sequence[ProductDetails]], Sequence[float | None]]


def no_stars(products: Sequence[ProductDetails]) -> Sequence[float | None]:
    """The predicted stars of products where the data has none."""
    return [None] * len(products)


def predicted_stars(
    served: ServedBundle, reviews: UserReviews | None = None, texts: Mapping[int, FloatArray] | None = None
) -> Stars:
    """How the stars of products are predicted for a user; without reviews they are the means."""
    if served.stars is None:
        return no_stars
    return partial(served.stars.of_products, reviews=None if reviews is None else rated_reviews(reviews, texts or {}))


def rated_reviews(reviews: UserReviews, texts: Mapping[int, FloatArray]) -> RatedReviews:
    """A user's reviews that have stars; `texts` are vectors of the texts sent, by their place."""
    places = np.flatnonzero(reviews.rating > 0)
    sent = (-1 - reviews.origin[places]).tolist()
    vectors = {place: texts[origin] for place, origin in enumerate(sent) if origin in texts}
    return RatedReviews(reviews.product[places], reviews.rating[places], vectors)


@dataclass(frozen=True, eq=False)
class ReviewContributions:
    """What each review of a user contributes: its share of the tower's attention, and its weight in the memory.

    Attributes:
        attention: float32 `[num_reads]`; they sum to 1.
        memory: What they weigh there.
        limit: Most reasons of a product.
    """

    reviews: UserReviews
    attention: FloatArray
    memory: MemoryQuery
    limit: int


class DescribedReview(NamedTuple):
    """A `Reason` without what the memory adds, which each product has of its own."""

    asin: str
    title: str | None
    snippet: str | None
    rating: float | None
    timestamp: int | None
    weight: float


def to_query(by: UserTaste | SimilarTo | TextMeaning, page: Page, wanted: ProductFilter) -> ProductQuery:
    """A page of a ranking as the index is asked for it.

    Raises:
        RequestError: A diverse page ends beyond the products that are diversified.
    """
    if not page.diversity:
        return ProductQuery(by, wanted, limit=page.limit, offset=page.offset, examples=page.examples)
    if page.offset + page.limit > DIVERSIFIED:
        raise RequestError(
            f"the page ends at product {page.offset + page.limit}, and the best {DIVERSIFIED} are diversified",
            field="offset",
            remedy="ask for an earlier page, or with diversity=0",
        )
    return ProductQuery(by, wanted, page.limit, page.offset, Diversity(page.diversity, DIVERSIFIED), page.examples)


def recommend_hits(
    found: Sequence[ProductHit],
    page: Page,
    served: ServedBundle,
    contributions: ReviewContributions | None,
    ranked: RankedHits | None,
    arranged: Arranged | None = None,
    stars: Stars = no_stars,
) -> tuple[Recommendation, ...]:
    """A user's answer; without contributions it gives no reasons, and what was ranked stands for what was found."""
    hits = found if ranked is None else ranked.hits
    added = np.zeros(len(hits)) if ranked is None else ranked.value
    first = np.array([hit.score for hit in hits]) - added
    by_memory = is_from_memory(first, np.array([hit.memory_score for hit in hits]))
    explained: list[dict[str, float]] = [{} for _ in hits]
    if ranked is not None and served.ranker is not None and contributions is not None and contributions.limit:
        explained = ranked.reasons(served.ranker, contributions.limit)
    reasons: list[list[Reason]] = [[] for _ in hits]
    if contributions is not None and contributions.limit and len(contributions.reviews):
        parts = _memory_parts(hits, contributions)
        every = np.repeat(np.arange(len(hits)), parts.shape[1])
        attention = np.tile(contributions.attention, len(hits))
        described: dict[int, DescribedReview] = {}  # most products are explained by the same few reviews
        strongest = strongest_reviews(every, attention, parts.ravel(), by_memory, contributions.limit)
        for chosen, part in zip(strongest.tolist(), parts.ravel()[strongest].tolist(), strict=True):
            hit, place = divmod(chosen, parts.shape[1])
            if place not in described:
                described[place] = describe_review(contributions, served, place)
            reasons[hit].append(Reason(*described[place], part))
    sources: list[Source] = ["memory" if one else "graph" for one in by_memory.tolist()]
    return tuple(
        _recommendation(
            *(
                hit,
                page.offset + place + 1,
                sources[place],
                tuple(reasons[place]),
                float(added[place]),
                explained[place],
                0.0 if arranged is None else float(arranged.added[place]),
                (*(() if arranged is None else arranged.rules[place]), *drawn_rules(hit, page)),
                rating,
            )
        )
        for (place, hit), rating in zip(enumerate(hits), stars([hit.product for hit in hits]), strict=True)
    )


def list_products(
    found: ProductAnswer,
    page: Page,
    source: Literal["graph", "text"],
    clock: StepClock,
    served: ServedBundle,
    hints: tuple[str, ...] = (),
    fallback: str | None = None,
) -> ProductsAnswer:
    """An answer to a question about a product or a text."""
    version = found.version
    return ProductsAnswer(
        products=listed(
            found.hits,
            page,
            [source] * len(found.hits),
            predicted_stars(served) if served.identity == version.bundle else no_stars,
        ),
        hints=hints,
        fallback=None if fallback is None else "in_process",
        fallback_reason=fallback,
        versions=Versions(bundle=version.bundle, index=version.name, towers="none", text_encoder=version.text_encoder),
        times=clock.times(),
    )


def listed(
    hits: Sequence[ProductHit], page: Page, sources: Sequence[Source], stars: Stars
) -> tuple[Recommendation, ...]:
    """Hits of a page as they are answered, where no user's reviews speak for them."""
    ratings = stars([hit.product for hit in hits])
    return tuple(
        _recommendation(hit, page.offset + place, source, (), rules=drawn_rules(hit, page), rating=rating)
        for place, (hit, source, rating) in enumerate(zip(hits, sources, ratings, strict=True), start=1)
    )


def popular_products(
    served: ServedBundle, page: Page, wanted: ProductFilter, stars: Stars = no_stars
) -> tuple[Recommendation, ...]:
    """What most have come to, for when nothing better can be said; the score is the reviews' weight: their number."""
    listing = served.listing
    rows = listing.passing(listing.by_popularity, served.available(wanted))[page.offset : page.offset + page.limit]
    return listed(listing.hits(rows, listing.popularity), page, ["popular"] * len(rows), stars)


def _recommendation(
    hit: ProductHit,
    rank: int,
    source: Source,
    reasons: tuple[Reason, ...],
    ranker_score: float = 0.0,
    ranker_reasons: dict[str, float] | None = None,
    boost: float = 0.0,
    rules: tuple[str, ...] = (),
    rating: float | None = None,
) -> Recommendation:
    product = hit.product
    return Recommendation(
        rank=rank,
        asin=product.asin,
        title=product.title,
        brand=product.brand,
        categories=product.categories,
        price=product.price,
        rating_mean=product.rating_mean,
        review_count=product.review_count,
        score=hit.score + boost,
        memory_score=hit.memory_score,
        ranker_score=ranker_score,
        predicted_rating=rating,
        source=source,
        reasons=reasons,
        ranker_reasons=ranker_reasons or {},
        rules=rules,
    )


def _memory_parts(hits: Sequence[ProductHit], contributions: ReviewContributions) -> npt.NDArray[np.float64]:
    """What each review adds to each product's score, float64 `[num_hits, num_reads]`.

    From the index's own answer: it knows products that were added after training.
    """
    query, products = contributions.memory, contributions.reviews.product.tolist()
    # Reviews of one product share what the index gives for it.
    share = query.weights / np.array([query.summed.get(product, 1.0) for product in products])
    by_product = [[hit.memory_of.get(product, 0.0) for product in products] for hit in hits]
    parts = np.array(by_product).reshape(len(hits), len(products)) * share
    answered = np.array([-1 if hit.product.product_index is None else hit.product.product_index for hit in hits])
    parts += query.repeats * (answered[:, None] == contributions.reviews.product)
    return np.asarray(parts, dtype=np.float64)


def describe_review(contributions: ReviewContributions, served: ServedBundle, place: int) -> DescribedReview:
    """A review as a `Reason` shows it."""
    reviews = contributions.reviews
    origin, product = int(reviews.origin[place]), int(reviews.product[place])
    rating, timestamp = float(reviews.rating[place]), int(reviews.timestamp[place])
    if origin >= 0:
        asin, snippet = served.asins[product], served.users.snippet[origin]
    else:
        review = reviews.sent[-1 - origin]
        asin, text = review.asin, join_text(review)
        snippet = None if text is None else text[:SNIPPET_LENGTH]
    return DescribedReview(
        asin=asin,
        title=served.title_of(asin),
        snippet=snippet,
        rating=rating or None,
        timestamp=timestamp if timestamp >= 0 and (origin < 0 or served.manifest.has_time) else None,
        weight=float(contributions.attention[place]),
    )
