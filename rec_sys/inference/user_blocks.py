"""Answers several users at once: one run of the tower, one question to the index, and each user's own answer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from rec_sys.inference.answers import (
    ReviewContributions,
    Stars,
    popular_products,
    predicted_stars,
    recommend_hits,
    to_query,
)
from rec_sys.inference.backends import Backends, OtherBundleError
from rec_sys.inference.clock import StepClock, timed
from rec_sys.inference.contract import (
    Basis,
    Recommendation,
    RecommendationAnswer,
    RecommendationRequest,
    ServingUnavailable,
    Versions,
)
from rec_sys.inference.dynamic_batcher import answer_apart
from rec_sys.inference.filling import filled_up
from rec_sys.inference.filter_names import explain_empty
from rec_sys.inference.live_reviews import OnRecord
from rec_sys.inference.rules import CANDIDATES, arrange, check_rules, has_rules, is_boosted, merged, ruled_queries
from rec_sys.inference.second_stage import RankedHits, rank_hits, widened
from rec_sys.inference.served_bundle import ServedBundle
from rec_sys.inference.user_reviews import MemoryQuery, UserReviews, memory_queries, read_user, tower_inputs
from rec_sys.settings import InferenceSettings
from rec_sys.vector_database.catalogue import FloatArray
from rec_sys.vector_database.contract import ProductAnswer, ProductFilter, ProductHit, UserTaste


@dataclass(frozen=True, eq=False)
class PreparedUser:
    """A user whose texts are vectors.

    Attributes:
        served: The bundle that the request was read with.
        texts: Vectors of the texts sent, float32 `[text_dim]`, by their place.
        fallback: Why the encoder here stood in for Triton's; None where it did not.
        with_seen: Whether products that they have reviewed are answered too.
    """

    request: RecommendationRequest
    served: ServedBundle
    reviews: UserReviews
    texts: dict[int, FloatArray]
    clock: StepClock
    fallback: str | None
    with_seen: bool

    @property
    def gets_popular(self) -> bool:
        """Whether what most have reviewed is the answer."""
        return self.request.model == "popular" or is_unknown(self.request, self.reviews)

    @property
    def filter(self) -> ProductFilter:
        """What may be answered."""
        return self.request.filter.for_index(() if self.with_seen else self.reviews.seen)


def answers_seen(request: RecommendationRequest, settings: InferenceSettings) -> bool:
    """Whether products that a user has reviewed are answered too: where the request, or the setting, says so."""
    return request.include_seen or settings.repeats == "show"


async def prepare(
    backends: Backends, request: RecommendationRequest, served: ServedBundle, clock: StepClock, record: OnRecord
) -> PreparedUser:
    """Reads a user and embeds their new texts; raises as `Recommender.recommend`."""
    reviews = read_user(request, served, backends.settings, record)
    to_query(UserTaste(served.inputs[0]), request, ProductFilter())  # refuses a page before any work is done
    check_rules(request)
    with_seen = answers_seen(request, backends.settings)
    if not reviews.texts:
        return PreparedUser(request, served, reviews, {}, clock, None, with_seen)
    with timed("text", [clock]):
        vectors, fallback = await backends.embed(list(reviews.texts.values()), served)
    return PreparedUser(
        request, served, reviews, dict(zip(reviews.texts, vectors, strict=True)), clock, fallback, with_seen
    )


async def answer_users(backends: Backends, users: Sequence[PreparedUser]) -> list[RecommendationAnswer | Exception]:
    """Answers, or what went wrong; users prepared with different bundles are answered apart."""
    answers: dict[int, RecommendationAnswer | Exception] = {}
    for identity in dict.fromkeys(user.served.identity for user in users):
        places = [place for place, user in enumerate(users) if user.served.identity == identity]
        together = [users[place] for place in places]
        found = await answer_apart(partial(_answer, backends), together, (ServingUnavailable, OtherBundleError))
        answers |= dict(zip(places, found, strict=True))
    return [answers[place] for place in range(len(users))]


async def _answer(backends: Backends, users: Sequence[PreparedUser]) -> list[RecommendationAnswer]:
    served, clocks = users[0].served, [user.clock for user in users]
    with timed("tower", clocks):
        inputs = tower_inputs([user.reviews for user in users], [user.texts for user in users], served)
        (vectors, weights), towers, fallback = await backends.read_users(served, inputs)
    in_memory = memory_queries([user.reviews for user in users], inputs, served)
    with timed("index", clocks):
        found = await _search(backends, users, vectors, in_memory)
    ranked: dict[int, RankedHits] = {}
    ranker = None
    to_rank = [place for place in found if users[place].request.model == "hybrid"]
    if served.ranker is not None and to_rank:
        with timed("ranker", clocks):
            reviews = [users[place].reviews for place in to_rank]
            hits = [found[place] for place in to_rank]
            orders, ranker, missed = await rank_hits(backends, served, served.ranker, reviews, hits)
        ranked, fallback = dict(zip(to_rank, orders, strict=True)), fallback or missed
    answers = []
    for place, user in enumerate(users):
        attention = weights[place, : len(user.reviews)]
        contributions = ReviewContributions(user.reviews, attention, in_memory[place], backends.settings.max_reasons)
        runs = _Runs(towers, ranker if place in ranked else None, user.fallback or fallback)
        answers.append(_put_together(user, found.get(place), ranked.get(place), contributions, runs))
    return answers


async def _search(
    backends: Backends, users: Sequence[PreparedUser], vectors: FloatArray, in_memory: Sequence[MemoryQuery]
) -> dict[int, ProductAnswer]:
    """What the index finds for each user, by place; nothing for those who get what is popular."""
    served, queries, owners = users[0].served, [], []
    for place, user in enumerate(users):
        request = user.request
        drawn = bool(request.examples.asins)
        if user.gets_popular or not (drawn or len(user.reviews) or backends.settings.empty_history == "tower"):
            continue
        # Of somebody without reviews the products that they like say more than the tower, which knows nothing.
        is_silent = request.model == "memory" or (bool(request.like) and not len(user.reviews))
        vector = np.zeros_like(vectors[place]) if is_silent else vectors[place]
        weights = {} if request.model == "graph" else in_memory[place].summed
        query = to_query(UserTaste(vector, weights), request, user.filter)
        if request.model == "memory":
            query = replace(query, limit=query.offset + query.limit, offset=0)  # see `_by_memory`
        asked = ruled_queries(query, request)
        if request.model == "hybrid":
            asked = [widened(one, served.ranker) for one in asked]
        queries += asked
        owners += [place] * len(asked)
    answers = await backends.search(queries, served)
    found: dict[int, list[ProductAnswer]] = {}
    for place, answer in zip(owners, answers, strict=True):
        found.setdefault(place, []).append(answer)
    return {
        place: ProductAnswer(several[0].version, merged([one.hits for one in several]))
        for place, several in found.items()
    }


@dataclass(frozen=True)
class _Runs:
    """Where an answer's models ran, and why one of them was a fallback."""

    towers: str
    ranker: str | None
    fallback: str | None


def _put_together(
    user: PreparedUser,
    found: ProductAnswer | None,
    ranked: RankedHits | None,
    contributions: ReviewContributions,
    runs: _Runs,
) -> RecommendationAnswer:
    served, request = user.served, user.request
    stars = predicted_stars(served, user.reviews, user.texts)
    explaining = contributions if request.explain else None
    if found is None:
        products = _popular(user, stars)
    elif has_rules(request):
        hits = _by_memory(found.hits, request) if ranked is None else list(ranked.hits)
        score = np.array([hit.score for hit in hits], dtype=np.float32) if ranked is None else ranked.score
        arranged = arrange(hits, score, request)
        chosen = [hits[place] for place in arranged.places.tolist()]
        page = None if ranked is None else ranked.at(arranged.places)
        products = recommend_hits(chosen, request, served, explaining, page, arranged, stars)
        before = [hits[place] for place in arranged.kept.tolist()]
        products = filled_up(products, before, request, served, user.filter, stars)
    elif request.model == "memory":
        known = _by_memory(found.hits, request)
        chosen = known[request.offset : request.offset + request.limit]
        products = recommend_hits(chosen, request, served, explaining, None, stars=stars)
        products = filled_up(products, known, request, served, user.filter, stars)
    else:
        page = None if ranked is None else ranked.page(request, served)
        products = recommend_hits(found.hits, request, served, explaining, page, stars=stars)
    return RecommendationAnswer(
        **about_user(request, user.reviews, served),
        products=products,
        hints=() if products else explain_empty(request, served, seen_left_out=not user.with_seen),
        fallback=None if runs.fallback is None else "in_process",
        fallback_reason=runs.fallback,
        versions=Versions(
            bundle=served.identity,
            index=None if found is None else found.version.name,
            towers=runs.towers,
            ranker=runs.ranker,
            text_encoder=served.manifest.text_encoder,
        ),
        times=user.clock.times(),
    )


def _by_memory(hits: Sequence[ProductHit], request: RecommendationRequest) -> list[ProductHit]:
    """What the model asked for knows something of, or a rule names: the memory not all that the index finds."""
    if request.model != "memory":
        return list(hits)
    return [hit for hit in hits if hit.memory_score > 0 or is_boosted(hit, request)]


def _popular(user: PreparedUser, stars: Stars) -> tuple[Recommendation, ...]:
    """What most have reviewed, in the order of the rules."""
    served, request = user.served, user.request
    if not has_rules(request):
        return popular_products(served, request, user.filter, stars)
    listing = served.listing
    rows = listing.passing(listing.by_popularity, served.available(user.filter))[:CANDIDATES]
    hits = listing.hits(rows, listing.popularity)
    arranged = arrange(hits, listing.popularity[rows], request)
    chosen = [hits[place] for place in arranged.places.tolist()]
    products = recommend_hits(chosen, request, served, None, None, arranged, stars)
    products = tuple(replace(one, source="popular") for one in products)
    return filled_up(products, [hits[place] for place in arranged.kept.tolist()], request, served, user.filter, stars)


def is_unknown(request: RecommendationRequest, reviews: UserReviews) -> bool:
    """Whether an id was given of whom nothing is known, and neither reviews nor examples."""
    has_taste = reviews.sent or request.examples.asins
    return request.user_id is not None and not reviews.known_user and not has_taste


def about_user(request: RecommendationRequest, reviews: UserReviews, served: ServedBundle) -> dict[str, Any]:
    """What an answer says of its user."""
    basis: Basis = "reviews" if len(reviews) else "no_known_product" if reviews.sent else "no_reviews"
    if is_unknown(request, reviews):
        basis = "unknown_user"
    return {
        "user_id": request.user_id,
        "model": request.model,
        "known_user": reviews.known_user,
        "basis": basis,
        "reviews_used": len(reviews),
        "rating_scale": served.rating_scale,
        "ignored": reviews.ignored,
    }


def answer_popular(
    served: ServedBundle,
    request: RecommendationRequest,
    reviews: UserReviews,
    with_seen: bool,
    reason: str,
    clock: StepClock,
) -> RecommendationAnswer:
    """The fallback that needs neither towers nor an index: what most have reviewed, for whatever `reason`."""
    wanted = request.filter.for_index(() if with_seen else reviews.seen)
    products = popular_products(served, request, wanted, predicted_stars(served, reviews))
    made = Versions(bundle=served.identity, index=None, towers="none", text_encoder=served.manifest.text_encoder)
    return RecommendationAnswer(
        **about_user(request, reviews, served),
        products=products,
        hints=() if products else explain_empty(request, served, seen_left_out=not with_seen),
        fallback="popular",
        fallback_reason=reason,
        versions=made,
        times=clock.times(),
    )
