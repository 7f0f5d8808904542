"""What is asked of the recommender and what it answers; the service speaks the same words over HTTP."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator
from pydantic.functional_validators import AfterValidator, BeforeValidator

from rec_sys.contracts import LONGEST_ID, InputError, tidy_id
from rec_sys.inference.request_times import LAST_TIMESTAMP, as_milliseconds
from rec_sys.vector_database.contract import Examples, ProductFilter
from rec_sys.vector_database.contract import UnknownProductError as UnknownProductError  # the service answers 404

Source = Literal["graph", "memory", "popular", "text", "trending", "new"]
Basis = Literal["reviews", "no_reviews", "no_known_product", "unknown_user"]
Fallback = Literal["in_process", "popular"]
Runtime = Literal["in_process", "triton"]
Component = Literal["triton", "index", "bundle", "store"]

REVIEWS_COUNTED: Final = (
    "Reviews that the model has of it: its training data's, or of a product that came later those written since."
)
# Blanks around an id may be sent, as training takes them off.
Id = Annotated[str, Field(min_length=1, max_length=2 * LONGEST_ID, coerce_numbers_to_str=True), AfterValidator(tidy_id)]


class RequestError(InputError):
    """The request cannot be meant; the service answers 422.

    Attributes:
        field: What is at fault, such as `reviews[3].rating`.
    """

    def __init__(self, what: str, *, field: str, remedy: str) -> None:
        super().__init__(what, where=field, remedy=remedy)
        self.field = field


class UnknownModelError(InputError):
    """There is no such model; the service answers 404."""


class UnknownUserError(InputError):
    """Nothing is known of a user who sends no reviews either; the service answers 404."""


class ServingUnavailable(InputError):
    """A component that the answer needs is away, and no fallback is allowed; the service answers 503.

    Attributes:
        component: Which one.
        retry_after: Seconds after which another try makes sense.
    """

    def __init__(self, what: str, *, component: Component, where: str, remedy: str, retry_after: float) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.component: Component = component
        self.retry_after = retry_after


class Closed(BaseModel):
    """Frozen, closed to names that it does not know, and to texts that have no UTF-8 form, whatever field has them."""

    # Half of a surrogate pair is found by no library that reads the text later: each fails in a way of its own, or
    # takes others' questions with it. pydantic looks into a text where something is asked of it, be it any length.
    model_config = ConfigDict(frozen=True, extra="forbid", str_min_length=0)


class Review(Closed):
    """What somebody wrote about a product; all but the product may be missing."""

    asin: Id = Field(description="The product reviewed.")
    text: str | None = Field(None, description="What was written.")
    title: str | None = Field(None, description="Its headline.")
    rating: FiniteFloat | None = Field(None, description="On the data's scale, 1 to 5 unless /v1/models says another.")
    timestamp: Annotated[int | None, BeforeValidator(as_milliseconds)] = Field(
        None,
        ge=0,
        le=LAST_TIMESTAMP,
        description="Milliseconds since 1970 UTC, or a date of ISO 8601; it orders the reviews that have one. Those"
        " without are taken for the newest, the last one given for the newest of all.",
    )
    weight: FiniteFloat = Field(
        1.0,
        gt=0,
        le=1_000_000,
        description="How much it says beside others, where the data has events that weigh differently.",
    )
    event: str | None = Field(
        None, description="Its kind, where the data has events: what was only looked at may still be recommended."
    )


class Filter(Closed):
    """Which products may be answered; what is left out does not limit."""

    not_seen: tuple[str, ...] = Field((), max_length=10_000, description="Products to leave out.")
    categories_any: tuple[str, ...] = Field((), max_length=100, description="At least one of these.")
    categories_all: tuple[str, ...] = Field((), max_length=100, description="Each of these.")
    brands: tuple[str, ...] = Field((), max_length=100, description="One of these.")
    min_price: FiniteFloat | None = Field(None, ge=0, description="In the data's currency.")
    max_price: FiniteFloat | None = Field(None, ge=0, description="In the data's currency.")
    min_rating: FiniteFloat | None = Field(None, ge=1, le=5, description="Mean stars, 1 to 5, whatever the scale.")
    only: tuple[str, ...] = Field((), max_length=10_000, description="One of these products.")
    out_of_stock: bool = Field(False, description="Also products that cannot be had now.")

    @model_validator(mode="after")
    def _prices_are_in_order(self) -> "Filter":
        if self.min_price is not None and self.max_price is not None and self.min_price > self.max_price:
            raise ValueError(f"min_price {self.min_price} is above max_price {self.max_price}")
        return self

    def for_index(self, seen: tuple[str, ...] = ()) -> ProductFilter:
        """As the index takes it; `seen` is left out too."""
        return ProductFilter(**dict(self) | {"not_seen": {*self.not_seen, *seen}})


class Excerpt(Closed):
    """Which part of a ranking is asked for, how varied, and what it is drawn to."""

    limit: int = Field(10, ge=1, le=100, description="Most products.")
    offset: int = Field(0, ge=0, le=10_000, description="Products to skip, for later pages.")
    diversity: FiniteFloat = Field(
        0.0, ge=0, le=1, description="0 = by score alone, 1 = as unlike as can be; pages end at the best 200 then."
    )
    like: tuple[Id, ...] = Field((), max_length=100, description="Products to answer more like; not answered.")
    unlike: tuple[Id, ...] = Field((), max_length=100, description="Products to answer less like; not answered.")

    @model_validator(mode="after")
    def _likes_are_not_unlikes(self) -> "Excerpt":
        if both := sorted({*self.like} & {*self.unlike}):
            raise ValueError(f"{both[0]} is both in like and in unlike")
        return self

    @property
    def examples(self) -> Examples:
        """As the index takes them."""
        return Examples(tuple(dict.fromkeys(self.like)), tuple(dict.fromkeys(self.unlike)))


class Page(Excerpt):
    """Which part of a ranking is asked for, and of what."""

    filter: Filter = Field(Filter(), description="Which products may be answered.")


class Boost(Closed):
    """Products of one kind that are to stand higher, or lower."""

    brand: str | None = None
    category: str | None = None
    asin: Id | None = None
    by: FiniteFloat = Field(ge=-100, le=100, description="Added to their scores; below zero they stand lower.")

    @model_validator(mode="after")
    def _means_one_kind(self) -> "Boost":
        if sum(one is not None for one in (self.brand, self.category, self.asin)) != 1:
            raise ValueError("give one of brand, category and asin")
        return self

    @property
    def name(self) -> str:
        """As an answer calls it."""
        kind = next(name for name in ("brand", "category", "asin") if getattr(self, name) is not None)
        return f"boost {kind} {getattr(self, kind)} {self.by:+g}"


class RecommendationRequest(Page):
    """A user, who is their reviews.

    With a known `user_id` the reviews are added to those that the bundle has of this user; with an unknown one, or
    none, they are all there is.
    """

    user_id: Id | None = None
    reviews: tuple[Review, ...] = Field(
        (),
        description="What the user wrote, the newest last. The order counts: newer reviews weigh more. Reviews with a"
        " timestamp are ordered by it; those without one are the newest, in the order given.",
    )
    include_seen: bool = Field(False, description="Also answer products that the user has reviewed.")
    explain: bool = Field(True, description="Give reasons.")
    model: str = Field(
        "hybrid",
        max_length=100,
        description="hybrid; or a part of it: graph, memory; or popular, the same for everyone.",
    )
    unknown: Literal["refuse", "popular"] = Field(
        "refuse", description="Whoever is unknown and sends no reviews gets 404, or what most have reviewed."
    )
    boost: tuple[Boost, ...] = Field((), max_length=10, description="What is to stand higher or lower.")
    max_per_brand: int | None = Field(None, ge=1, le=100, description="Most products of one brand.")


@dataclass(slots=True)  # an answer has dozens, and making one frozen, or checking it, takes most of the time
class Reason:
    """A review that drew the attention, or that the memory knows something about."""

    asin: Annotated[str, Field(description="The product reviewed.")]
    title: Annotated[str | None, Field(description="The product's title.")]
    snippet: Annotated[str | None, Field(description="How the review begins.")]
    rating: Annotated[float | None, Field(description="Stars, 1 to 5, whatever the scale of the data.")]
    timestamp: Annotated[int | None, Field(description="Milliseconds since 1970 UTC; null where unknown.")]
    weight: Annotated[
        float, Field(description="The review's share of the user tower's attention; those of a user sum to 1.")
    ]
    memory: Annotated[float, Field(description="What the co-review memory adds to this product's score for it.")]


@dataclass(slots=True, kw_only=True)
class Recommendation:
    """A product in an answer."""

    rank: Annotated[int, Field(description="Counted from 1, pages before this one included.")]
    asin: str
    title: str | None
    brand: str | None
    categories: tuple[str, ...]
    price: float | None
    rating_mean: Annotated[float | None, Field(description="Of the reviews that `review_count` counts.")]
    review_count: Annotated[int, Field(description=REVIEWS_COUNTED)]
    score: Annotated[
        float,
        Field(
            description="The model's score for a user; of a search reciprocal ranks; a cosine, or a count, otherwise."
        ),
    ]
    memory_score: Annotated[float, Field(description="The memory's part in it, popularity and repeats included.")]
    ranker_score: Annotated[
        float, Field(description="The ranker's part in it, which orders the best products anew.")
    ] = 0.0
    predicted_rating: Annotated[
        float | None,
        Field(description="Stars that the user would give, without reviews the mean; null where the data has none."),
    ] = None
    source: Annotated[Source, Field(description="graph or memory: the larger part of the score; text: a search.")]
    reasons: tuple[Reason, ...] = ()
    rules: Annotated[tuple[str, ...], Field(description="Rules of the request that moved it.")] = ()
    ranker_reasons: Annotated[
        Mapping[str, float], Field(description="Shapley values of its features, the strongest first.")
    ] = field(default_factory=dict)


class IgnoredReview(Closed):
    """A review, or the text of one, that the answer could not make use of."""

    field: str = Field(description="Which one: `reviews[3]`, `reviews[3].text`; of the store `written[its review_id]`.")
    asin: str
    reason: str


class StepTimes(Closed):
    """Where the time of an answer went, in milliseconds; of users answered together, the time of all."""

    text: float = Field(0.0, description="New texts to vectors.")
    tower: float = Field(0.0, description="Reviews to user vectors.")
    index: float = Field(0.0, description="Vectors to products.")
    ranker: float = Field(0.0, description="The best products to their new order.")
    rest: float = Field(0.0, description="Everything else.")
    total: float = 0.0


class Versions(Closed):
    """What an answer was made with; all of it comes from one bundle."""

    bundle: str = Field(description="The bundle's identity.")
    index: str | None = Field(description="The version of the index; null where it was not asked.")
    towers: str = Field(description="in_process, or triton and the version of the model asked.")
    ranker: str | None = Field(None, description="Likewise; null where the bundle has none.")
    text_encoder: str = Field(description="Its identity, or none / given.")


class ProductsAnswer(Closed):
    """Products, the best first."""

    products: tuple[Recommendation, ...]
    hints: tuple[str, ...] = Field((), description="Why there is no product, where there is none.")
    fallback: Fallback | None = Field(None, description="What answered in place of a component that was away.")
    fallback_reason: str | None = Field(None, description="Which component that was, and why.")
    versions: Versions
    times: StepTimes


class RecommendationAnswer(ProductsAnswer):
    """A user's recommendations."""

    user_id: str | None
    model: str = Field("hybrid", description="The one that was asked for.")
    known_user: bool = Field(description="Whether the bundle, or the store, has reviews of this user.")
    basis: Basis = Field(
        description="reviews: the user's own; no_reviews: there are none, so the tower's vector for somebody unknown"
        " or popularity answers; no_known_product: there are, but nothing of them could be read, likewise;"
        " unknown_user: nothing is known of the user, and the request wants popular products then."
    )
    reviews_used: int = Field(description="Reviews that the towers read, the newest.")
    rating_scale: tuple[float, float] = Field(
        (1, 5), description="The lowest and the highest rating of the model's data, which ratings in requests are on."
    )
    ignored: tuple[IgnoredReview, ...] = ()
