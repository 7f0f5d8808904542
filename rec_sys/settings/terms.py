"""What counts beside the towers: the co-review memory, the ranker, popularity, repeats, and predicted stars."""

from typing import Annotated, Literal

from pydantic import Field

from rec_sys.settings.base import Section


class MemorySettings(Section):
    """The co-review memory: a sparse linear model between products."""

    method: Literal["ridge", "counts", "best"] = Field(
        "ridge",
        description="ridge: regressions; counts: weighted counts, for some thousand reviews; best: validation decides.",
    )
    l2: tuple[float, ...] = Field((30.0, 100.0, 300.0), min_length=1, description="Validation chooses one.")
    candidates: int = Field(100, ge=1, le=1000, description="Products that a product is predicted from.")
    weights: tuple[float, ...] = Field(
        (0, 5, 10, 20, 40, 60, 80, 120, 160, 200, 300, 500),
        min_length=1,
        description="Of the memory against the tower's logits; validation chooses one.",
    )
    neighbours: int = Field(100, ge=1, le=1000, description="Weights kept a product.")
    recency: float = Field(0.9, gt=0, le=1, description="Weight of a review against the next newer one.")
    directed: float = Field(0.5, ge=0, description="Weight of the part that knows the order; 0 = leave it out.")
    past: float = Field(0.5, gt=0, lt=1, description="Decay of the history a step back, in fitting that part.")
    future: float = Field(0.3, gt=0, lt=1, description="Decay of the future a step ahead.")
    session: float = Field(
        0.0, ge=0, description="How much more reviews of one session weigh: of a history's newest days, and as counts."
    )
    session_days: float = Field(7.0, gt=0, description="Days in which that fades to a third.")
    author_power: float = Field(0.5, ge=0, description="counts: a user of n reviews counts n to minus this.")
    product_power: float = Field(0.25, ge=0, description="counts: the same for the product that was reviewed.")
    text: float = Field(0.0, ge=0, description="counts: weight of the likeness of two products' reviews.")


class RankerSettings(Section):
    """The second stage: boosted trees that order what the first stage proposes."""

    candidates: int = Field(100, ge=10, le=1000, description="The first stage's best products, which it orders.")
    rounds: int = Field(100, ge=1, le=5000, description="Trees.")
    leaves: int = Field(8, ge=2, le=256, description="Of a tree; CatBoost takes the nearest power of two.")
    shrinkage: float = Field(0.05, gt=0, le=1, description="Share of a tree's value that is added.")
    l2: float = Field(20.0, ge=0, description="Shrinks the values of leaves.")
    min_candidates: int = Field(50, ge=1, description="Fewest candidates of a leaf; LightGBM's alone.")
    truncation: int = Field(20, ge=1, le=1000, description="Places from the top whose order counts in learning.")
    num_threads: int = Field(1, ge=0, description="0 = every core.")


class NewcomerSettings(Section):
    """Where products stand that the co-review memory does not know; see `rec_sys.newcomers`."""

    factor: float = Field(0.75, ge=0, description="Weight of what the most similar known products have; 0 = nothing.")
    neighbours: int = Field(5, ge=1, le=100, description="How many of these are read.")
    evenness: float = Field(
        0.75, ge=0, le=1, description="1: popular neighbours say as much as others, 0: more, as they are popular."
    )
    by: Literal["text", "kind"] = Field(
        "text", description="What makes products similar: the texts; or categories, brand and price."
    )
    rare: int = Field(
        0,
        ge=0,
        description="Products of up to so many train reviews get what others of such texts have, where validation is no"
        " worse for it; 0: none.",
    )


class PopularitySettings(Section):
    """How popular a product has been, as a term of the score; only splits by time can tell what it is worth."""

    weights: tuple[float, ...] = Field(
        (0, 0.5, 1, 2, 4, 8),
        min_length=1,
        description="Of the popularity, at most 1, against the tower's logits; validation chooses one. (0,): without.",
    )
    half_life_days: tuple[float, ...] = Field(
        (90.0, 365.0), min_length=1, description="In which a review halves its weight; validation chooses one."
    )


class RepeatSettings(Section):
    """How likely a product is come to again, as a term of the score; without such cases in training there is none."""

    weights: tuple[float, ...] = Field(
        (0, 1, 3, 10, 30, 100, 300),
        min_length=1,
        description="Of the share of repeats against the tower's logits; validation chooses one. (0,): without.",
    )


class ShortHistorySettings(Section):
    """What the score's parts count for users of one review or a few; validation chooses, with histories cut short."""

    lengths: int = Field(2, ge=0, le=10, description="Histories of up to so many reviews are weighed; 0 = none.")
    memory: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        (0.25, 0.5), description="Shares of the memory's weight to choose from, beside all of it."
    )
    popularity: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        (1, 2, 4, 8), description="Weights of the popularity, at most 1, to choose from, beside none."
    )


class CascadeSettings(Section):
    """Candidates by several ways, a filter, the ranker: what each stage keeps is measured, see `evaluation.cascade`."""

    enabled: bool = Field(False, description="Measure it, where there is a ranker.")
    towers: int = Field(300, ge=0, description="Candidates by the towers alone.")
    memory: int = Field(300, ge=0, description="By the memory, popularity and repeats.")
    popular: int = Field(200, ge=0, description="The most taken of the last days.")
    popular_days: float = Field(7.0, gt=0, description="Which these are.")
    repurchased: int = Field(100, ge=0, description="What the user took before, the newest first.")
    same_brand: int = Field(100, ge=0, description="Of the brand of what they took, as the same product in a colour.")
    in_stock_days: float = Field(28.0, gt=0, description="What nobody took in these days is out of stock.")
    shown: int = Field(12, ge=1, description="Length of the list at the end.")


class PredictedRatingSettings(Section):
    """The stars that answers predict; see `rec_sys.predicted_rating`."""

    mean_weights: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(
        (0, 0.2, 0.4, 0.6, 0.8, 1),
        min_length=1,
        description="Weights of a product's mean that validation chooses from.",
    )
    mean_pseudo_counts: float = Field(
        20.0, gt=0, description="Reviews that what is known of a product's mean counts as; Goodreads' validation users."
    )
    sharpness: float = Field(4.0, gt=0, description="Power of the cosine of two products.")
    evidence: float = Field(1.0, gt=0, description="Reviews that a user's level counts as, against similar products.")
