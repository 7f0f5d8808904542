"""The second stage of answers: what the index found for each user, put into the ranker's order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rec_sys import ragged
from rec_sys.inference.backends import Backends
from rec_sys.inference.contract import Page
from rec_sys.inference.served_bundle import ServedBundle
from rec_sys.inference.served_ranker import ServedRanker
from rec_sys.inference.user_reviews import UserReviews
from rec_sys.ranker.facts import FloatArray, IntArray
from rec_sys.ranker.features import AskedUsers, Candidates, describe_candidates
from rec_sys.vector_database.contract import ProductAnswer, ProductHit, ProductQuery
from rec_sys.vector_database.searching import order_diversely


@dataclass(frozen=True, eq=False)
class RankedHits:
    """A user's products in the ranker's order.

    Attributes:
        hits: Those behind the candidates stand as they were found.
        score: float32 `[num_hits]`, with the ranker's part in them.
        value: float32 `[num_hits]`, the ranker's part.
        features: float32 `[num_candidates, num_features]`, of the first of them.
    """

    hits: Sequence[ProductHit]
    score: FloatArray
    value: FloatArray
    features: FloatArray

    def page(self, page: Page, served: ServedBundle) -> "RankedHits":
        """The page that was asked for, its hits with their new scores, by which a diverse one is chosen."""
        places = np.arange(len(self.hits))
        if page.diversity and self.hits:
            relevance = self.score * np.float32(served.catalogue.temperature)
            known = [hit.product.product_index for hit in self.hits]
            vectors = np.zeros((len(known), served.manifest.dim), dtype=np.float32)
            for place, product in enumerate(known):
                if product is not None:
                    vectors[place] = served.catalogue.vectors[product]
            places = np.array(order_diversely(relevance, vectors, page.diversity, page.offset + page.limit))
        return self.at(places[page.offset : page.offset + page.limit])

    def at(self, places: IntArray) -> "RankedHits":
        """Some of them, their hits with their new scores."""
        score = self.score[places]
        hits = [self.hits[place] for place in places.tolist()]
        return RankedHits(
            [hit._replace(score=one) for hit, one in zip(hits, score.tolist(), strict=True)],
            score,
            self.value[places],
            self.features[places[places < len(self.features)]],
        )

    def reasons(self, ranker: ServedRanker, limit: int) -> list[dict[str, float]]:
        """For each product the features that moved the ranker most; none for those that it was not asked about."""
        contributions = ranker.trees.contributions(self.features)
        strongest = np.argsort(-np.abs(contributions), axis=1, kind="stable")[:, :limit]
        found = [
            {ranker.card.features[place]: float(row[place]) for place in places if row[place]}
            for row, places in zip(contributions, strongest.tolist(), strict=True)
        ]
        return found + [{} for _ in range(len(self.hits) - len(found))]


def widened(query: ProductQuery, ranker: ServedRanker | None) -> ProductQuery:
    """A question about a page as the index is asked it: for all that the ranker chooses from."""
    if ranker is None:
        return query
    most = query.offset + query.limit if query.diversity is None else query.diversity.candidates
    return replace(query, limit=max(ranker.card.candidates, most), offset=0, diversity=None)


async def rank_hits(
    backends: Backends,
    served: ServedBundle,
    ranker: ServedRanker,
    users: Sequence[UserReviews],
    answers: Sequence[ProductAnswer],
) -> tuple[list[RankedHits], str, str | None]:
    """What the index found for each user, in the ranker's order; raises as `Backends.rank`.

    Returns:
        Beside it where the ranker ran, and why it ran here as a fallback.
    """
    limit = ranker.card.candidates
    found = [answer.hits[:limit] for answer in answers]
    features = describe_hits(ranker, users, found)
    value, where, fallback = await backends.rank(served, ranker, features)
    ranked, start = [], 0
    for answer, hits in zip(answers, found, strict=True):
        own, described = value[start : start + len(hits)], features[start : start + len(hits)]
        start += len(hits)
        total = np.array([hit.score for hit in hits], dtype=np.float32) + own
        order = np.argsort(-total, kind="stable")
        behind = answer.hits[limit:]
        score = np.concatenate([total[order], np.array([hit.score for hit in behind], dtype=np.float32)])
        values = np.concatenate([own[order], np.zeros(len(behind), dtype=np.float32)])
        best = [hits[place] for place in order.tolist()]
        ranked.append(RankedHits([*best, *behind], score, values, described[order]))
    return ranked, where, fallback


def describe_hits(
    ranker: ServedRanker, users: Sequence[UserReviews], found: Sequence[Sequence[ProductHit]]
) -> FloatArray:
    """The features of all hits, user by user: float32 `[num_hits, num_features]`."""
    unknown = len(ranker.facts)
    hits = [hit for some in found for hit in some]
    product = [hit.product.product_index for hit in hits]
    candidates = Candidates(
        row=np.repeat(np.arange(len(users)), [len(some) for some in found]),
        product=np.array([unknown if one is None else one for one in product], dtype=np.int64),
        score=np.array([hit.score for hit in hits], dtype=np.float32),
        memory=np.array([hit.memory_score for hit in hits], dtype=np.float32),
    )
    return describe_products(ranker, users, candidates)


def describe_products(
    ranker: ServedRanker, users: Sequence[UserReviews], candidates: Candidates, before: IntArray | None = None
) -> FloatArray:
    """The features of candidates, float32 `[num_candidates, num_features]`; `Candidates.row` is a place in `users`.

    Each user sees so many of the past reviews as `before` says, int64 `[num_users]`; None for all.
    """

    def joined(name: str) -> IntArray:
        return np.concatenate([np.zeros(0), *(getattr(user, name) for user in users)]).astype(np.int64)

    weight = np.concatenate([np.zeros(0), *(user.weight for user in users)]).astype(np.float32)
    asked = AskedUsers(
        offsets=ragged.offsets_of(np.array([len(user) for user in users], dtype=np.int64)),
        product=np.minimum(joined("product"), len(ranker.facts)),
        timestamp=joined("timestamp"),
        weight=weight,
        before=np.full(len(users), len(ranker.past), dtype=np.int64) if before is None else before,
        known=ranker.people.values[[user.user for user in users]],
    )
    return describe_candidates(candidates, asked, ranker.past, ranker.facts)
