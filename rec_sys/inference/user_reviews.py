"""A user as the towers and the memory read them: their newest reviews, known and sent, in one order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from rec_sys.contracts import MILLISECONDS_A_DAY, TowerTensor
from rec_sys.inference.contract import IgnoredReview, RecommendationRequest, Review, UnknownUserError
from rec_sys.inference.live_reviews import NOTHING_ON_RECORD, OnRecord
from rec_sys.inference.review_intake import checked
from rec_sys.inference.review_texts import join_text, texts_to_read
from rec_sys.inference.served_bundle import ServedBundle
from rec_sys.raw_files.rating_scales import to_stars
from rec_sys.score_terms import term_weights
from rec_sys.settings import InferenceSettings
from rec_sys.vector_database.catalogue import FloatArray, IntArray

SNIPPET_LENGTH: Final = 200  # characters, as training keeps of the known reviews
_REPEATED: Final = "it is sent again further down, and counts once"
_WRITTEN: Final = "it is written already, and counts once"
_NO_TIME: Final = -1
_NO_AGE: Final = -1.0


@dataclass(frozen=True, eq=False)
class UserReviews:
    """The reviews of one user that can be used.

    Attributes:
        origin: int64 `[num_reads]`, newest first: a place in the bundle's histories, or -1 - i for the i-th sent.
        product: int64 `[num_reads]`, rows of `ServedBundle.inputs`.
        rating: float32 `[num_reads]`, 0 where missing.
        timestamp: int64 `[num_reads]`, -1 where unknown.
        weight: float32 `[num_reads]`, how much each says beside others.
        texts: What is to be embedded, by place in `sent`.
        known_user: Whether the bundle knows the user.
        user: Row of `KnownUsers.facts`, the last one where nothing is known of the user.
        seen: Products to leave out, of all reviews and not only of the newest; of events, of those that are predicted.
        ignored: Reviews, or texts, that cannot be used.
    """

    origin: IntArray
    product: IntArray
    rating: FloatArray
    timestamp: IntArray
    weight: FloatArray
    sent: tuple[Review, ...]
    texts: Mapping[int, str]
    known_user: bool
    user: int
    seen: tuple[str, ...]
    ignored: tuple[IgnoredReview, ...]

    def __len__(self) -> int:
        return len(self.origin)


def read_user(
    request: RecommendationRequest,
    served: ServedBundle,
    limits: InferenceSettings,
    record: OnRecord = NOTHING_ON_RECORD,
) -> UserReviews:
    """What there is of a user, and what of it can be used; `record` is what the store says of them.

    Raises:
        RequestError: There are too many reviews, or one is too long; the field is named.
        UnknownUserError: A user id of whom nothing is known, and no reviews.
    """
    sent = _Sent.of(record, checked(request.reviews, limits, served.rating_scale), served.rating_scale)
    users = served.users
    rows = np.zeros(0, dtype=np.int64)
    if request.user_id is not None:
        rows = record.still_there(users.rows(request.user_id), users.sequence)
    known = bool(len(rows) or record.reviews)
    user = users.place(None if record.forgotten else request.user_id)
    if request.user_id is not None and not known and not request.reviews and request.unknown == "refuse":
        raise UnknownUserError(
            f"there is no user {request.user_id}",
            where=f"bundle {served.identity}",
            remedy="send the user's reviews, or check the id",
        )
    reviewed = [served.asins[product] for product in users.product[rows[users.known[rows]]]]
    targets = served.target_events
    others = [one.asin for one in sent.reviews if not targets or one.event is None or one.event in targets]
    seen = tuple(dict.fromkeys([*reviewed, *others]))
    if sent.reviews:
        return _merge(sent, rows, served, known, user, seen)
    return stored_reviews(rows, served, user, known, seen)


class _Sent(NamedTuple):
    """Reviews that the bundle does not have, those of the store before those of the request, and how each is called."""

    reviews: tuple[Review, ...]
    names: tuple[str, ...]
    repeated: dict[int, str]  # why a place counts for nothing

    @classmethod
    def of(cls, record: OnRecord, asked: tuple[Review, ...], scale: tuple[float, float]) -> "_Sent":
        low, high = scale
        written = [  # perhaps under a model whose data had another scale
            one if one.rating is None or low <= one.rating <= high else one.model_copy(update={"rating": None})
            for one in record.reviews.values()
        ]
        reviews = (*written, *asked)
        last = {review: place for place, review in enumerate(reviews)}
        repeated = {place: _REPEATED for place, review in enumerate(reviews) if last[review] != place}
        if known := [*written, *(record.trained or {}).values()]:
            without_time = {one.model_copy(update={"timestamp": None}) for one in known}
            repeated |= {len(written) + at: _WRITTEN for at, one in enumerate(asked) if one in without_time}
        names = (*(f"written[{name}]" for name in record.reviews), *(f"reviews[{at}]" for at in range(len(asked))))
        return cls(reviews, names, repeated)


def stored_reviews(
    rows: IntArray, served: ServedBundle, user: int, known: bool = True, seen: tuple[str, ...] = ()
) -> UserReviews:
    """A user's newest reviews of those that the bundle has; `rows` are places in its histories, newest first."""
    users, rows = served.users, rows[: served.manifest.user_reviews]
    columns = (users.product[rows], users.rating[rows], users.timestamp[rows], users.weight[rows])
    return UserReviews(rows, *columns, (), {}, known, user, seen, ())


def _merge(
    sent: _Sent, rows: IntArray, served: ServedBundle, known: bool, user: int, seen: tuple[str, ...]
) -> UserReviews:
    """The newest of what is sent and what is known; `rows` are places in the histories, newest first."""
    reviews = sent.reviews
    texts, unread = texts_to_read(reviews, served)
    product = np.array([served.index_of.get(review.asin, served.unknown_product) for review in reviews])
    usable = np.array(
        [
            place not in sent.repeated and (row < served.unknown_product or (place in texts and served.reads_unknown))
            for place, row in enumerate(product)
        ]
    )
    places = np.flatnonzero(usable)
    rows = _without_sent(rows, {(int(product[at]), reviews[at].timestamp) for at in places.tolist()}, served)
    stamps = [reviews[place].timestamp for place in places]
    weights = [reviews[place].weight for place in places]
    given = [reviews[place].rating for place in places]
    ratings = [None if rating is None else to_stars(rating, served.rating_scale) for rating in given]
    # Newest first: what has no time is the newest, of those and of equals the last one sent.
    users = served.users
    origin = np.concatenate([-1 - places[::-1], rows])
    timestamp = np.concatenate([_filled(stamps, _NO_TIME)[::-1], users.timestamp[rows]]).astype(np.int64)
    age_order = np.where(timestamp < 0, np.iinfo(np.int64).min, -timestamp)
    order = np.lexsort((np.arange(len(origin)), age_order))[: served.manifest.user_reviews]
    read = origin[order]
    return UserReviews(
        origin=read,
        product=np.concatenate([product[places][::-1], users.product[rows]]).astype(np.int64)[order],
        rating=np.concatenate([_filled(ratings, 0.0)[::-1], users.rating[rows]]).astype(np.float32)[order],
        timestamp=timestamp[order],
        weight=np.concatenate([_filled(weights, 1.0)[::-1], users.weight[rows]]).astype(np.float32)[order],
        sent=reviews,
        texts={place: texts[place] for place in (-1 - read[read < 0]).tolist() if place in texts},
        known_user=known,
        user=user,
        seen=seen,
        ignored=_list_ignored(sent, usable.tolist(), unread, served),
    )


def _without_sent(rows: IntArray, sent: set[tuple[int, int | None]], served: ServedBundle) -> IntArray:
    """The known reviews but for those of a product and a moment that are sent too: these count once, as sent."""
    users = served.users
    pairs = zip(users.product[rows].tolist(), users.timestamp[rows].tolist(), strict=True)
    return rows[[pair not in sent for pair in pairs]] if len(rows) else rows


def _list_ignored(sent: _Sent, usable: list[bool], unread: str, served: ServedBundle) -> tuple[IgnoredReview, ...]:
    """Reviews that cannot be used, and texts that this model does not read."""
    nothing = f", and {unread or 'there is no text to go by'}" if served.reads_unknown else ""
    ignored = []
    for place, (review, name, used) in enumerate(zip(sent.reviews, sent.names, usable, strict=True)):
        if place in sent.repeated:
            ignored.append(IgnoredReview(field=name, asin=review.asin, reason=sent.repeated[place]))
        elif not used:
            is_new = review.asin in served.written
            what = "the product came after this model" if is_new else "the product is not in the catalogue"
            ignored.append(IgnoredReview(field=name, asin=review.asin, reason=f"{what}{nothing}"))
        elif unread and join_text(review) is not None:
            ignored.append(IgnoredReview(field=f"{name}.text", asin=review.asin, reason=unread))
    return tuple(ignored)


def tower_inputs(
    users: Sequence[UserReviews], texts: Sequence[Mapping[int, FloatArray]], served: ServedBundle
) -> dict[str, FloatArray]:
    """The user tower's inputs, see `contracts.TowerTensor`; at least one place a row, masked out where it is empty.

    `texts` are each user's vectors of the texts sent, by their place.
    """
    counts = np.array([len(user) for user in users], dtype=np.int64)
    length = max(1, int(counts.max(initial=0)))
    shape = (len(users), length)
    row, place = np.nonzero(np.arange(length) < counts[:, None])

    def spread(values: Sequence[IntArray] | Sequence[FloatArray], missing: float) -> FloatArray:
        block = np.full(shape, missing, dtype=np.float32)
        if len(row):
            block[row, place] = np.concatenate(list(values))
        return block

    origin = np.concatenate([user.origin for user in users]) if len(users) else np.zeros(0, dtype=np.int64)
    inputs = np.zeros((*shape, served.inputs.shape[1]), dtype=np.float32)
    text = np.zeros((*shape, served.manifest.text_dim), dtype=np.float32)
    has_text = np.zeros(shape, dtype=np.float32)
    if len(row):
        inputs[row, place] = served.inputs[np.concatenate([user.product for user in users])]
        known = np.maximum(origin, 0)  # more reviews may be sent than the bundle has
        text_row = np.where(origin >= 0, served.users.text_row[known] if len(served.users.text_row) else -1, -1)
        stored = np.flatnonzero(text_row >= 0)
        text[row[stored], place[stored]] = served.history_text[text_row[stored]]
        has_text[row[stored], place[stored]] = 1
    for number, (user, vectors) in enumerate(zip(users, texts, strict=True)):
        for where in np.flatnonzero(user.origin < 0) if vectors else ():
            vector = vectors.get(-1 - int(user.origin[where]))
            if vector is not None:
                text[number, where], has_text[number, where] = vector, 1
    return {
        TowerTensor.PRODUCT_INPUTS: inputs,
        TowerTensor.REVIEW_TEXT: text,
        TowerTensor.HAS_TEXT: has_text,
        TowerTensor.RATING: spread([user.rating for user in users], 0.0),
        TowerTensor.AGE: spread([_ages(user.timestamp, served.manifest.has_time) for user in users], _NO_AGE),
        TowerTensor.MASK: spread([user.weight for user in users], 0.0),
    }


@dataclass(frozen=True, eq=False)
class MemoryQuery:
    """What a user's reviews weigh beside the towers.

    Attributes:
        weights: float32 `[num_reads]`, of each review in the memory.
        repeats: float32 `[num_reads]`, what each adds to the score of its own product.
        summed: By row of the memory, as `UserTaste.review_weights`.
    """

    weights: FloatArray
    repeats: FloatArray
    summed: dict[int, float]


def memory_queries(
    users: Sequence[UserReviews], inputs: Mapping[str, FloatArray], served: ServedBundle
) -> list[MemoryQuery]:
    """The weights of the users' reviews in the memory, and of the score's further terms; `inputs` are the tower's."""
    ages = inputs[TowerTensor.AGE]
    return [_memory_query(user, ages[row, : len(user)], served) for row, user in enumerate(users)]


def _memory_query(user: UserReviews, age: FloatArray, served: ServedBundle) -> MemoryQuery:
    formula, nothing = served.manifest.score, np.zeros(len(user), dtype=np.float32)
    if served.catalogue.memory is None:
        return MemoryQuery(nothing, nothing, {})
    newer = np.arange(len(user))
    repeats = nothing
    if formula.repeats is not None:
        repeats = formula.repeats.of_reviews(user.product, newer, age, user.weight)
    repeats = np.where(user.product < served.unknown_product, repeats, np.float32(0))
    reads = np.array([len(user)])
    more = term_weights(served.unknown_product, float(formula.popularity_weights(reads)[0]), user.product, repeats)
    weights = nothing
    summed: dict[int, float] = {}
    if formula.memory_weight:
        weights = np.float32(formula.memory_weight) * formula.weigh_reviews(newer, age, user.weight)
        weights *= formula.memory_shares(reads)
        weights[user.product >= served.unknown_product] = 0
        for product, weight in zip(user.product.tolist(), weights.tolist(), strict=True):
            if weight:
                summed[product] = summed.get(product, 0.0) + weight
    return MemoryQuery(weights, repeats, summed | more)


def _filled(values: Sequence[float | None], missing: float) -> FloatArray:
    return np.array([missing if value is None else value for value in values], dtype=np.float64)


def _ages(timestamp: IntArray, has_time: bool) -> FloatArray:
    """Days before the newest review that has a time; -1 where a review has none."""
    newest = timestamp.max(initial=_NO_TIME)
    known = (timestamp >= 0) & has_time
    return np.where(known, (newest - timestamp) / MILLISECONDS_A_DAY, _NO_AGE).astype(np.float32)
