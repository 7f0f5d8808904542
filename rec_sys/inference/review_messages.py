"""What users write, and what is answered to it; the service sends the same messages over HTTP."""

from typing import Any, Final, Literal

from pydantic import Field, model_validator

from rec_sys.inference.contract import Closed, Id, Review

MOST_REVIEWS: Final = 1_000  # of a request


class NewReview(Review):
    """A review, with its writer."""

    user_id: Id = Field(description="Who wrote it.")


class NewReviews(Closed):
    """Reviews that are taken together or not at all; a single one may be sent as it is, without the list around it."""

    reviews: tuple[NewReview, ...] = Field(min_length=1, max_length=MOST_REVIEWS, description="In any order.")

    @model_validator(mode="before")
    @classmethod
    def _single_is_a_list(cls, content: Any) -> Any:
        return {"reviews": [content]} if isinstance(content, dict) and "asin" in content else content


class TakenReview(Closed):
    """A review that is safe."""

    review_id: str = Field(description="Names it; the same for the same review, however often it is sent.")
    sequence: int = Field(description="Where it stands in the log.")


class TakenReviews(Closed):
    """What was taken, in the order sent."""

    reviews: tuple[TakenReview, ...]


class ListedReview(Closed):
    """A review of a user."""

    review_id: str | None = Field(description="Null where it comes from the data that the model was trained on.")
    asin: str
    title: str | None
    text: str | None = Field(description="Of a review of the model's data how it begins.")
    rating: float | None = Field(description="Of a written review on the scale of the data, else in stars.")
    timestamp: int | None = Field(description="Milliseconds since 1970 UTC; null where unknown.")
    source: Literal["written", "trained"] = Field(description="From the store, or from the model's data.")


class NewestReview(ListedReview):
    """A review among the newest of all users."""

    user_id: str
    sequence: int = Field(description="Where it stands in the log.")


class ListedReviews(Closed):
    """A page of a user's reviews, the latest first: those written, then those of the model's data."""

    user_id: str
    total: int = Field(description="Of all pages.")
    reviews: tuple[ListedReview, ...]


class Forgotten(Closed):
    """How much of a user was removed."""

    written: int = Field(description="Reviews of the store.")
    trained: int = Field(description="Reviews of the served bundle; its files keep them until the next one is made.")
