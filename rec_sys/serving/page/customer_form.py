"""The form of the first view: everything that the page knows of a customer travels in it, so nothing is kept here."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlencode

from pydantic import BaseModel, ValidationError

from rec_sys.inference.contract import Filter, RecommendationRequest, RequestError, Review
from rec_sys.value_words import fault_in_words

Message = TypeVar("Message", bound=BaseModel)

SHOWN: Final = 10  # products of a page
ADD, REMOVE, TAKE_BACK, SKIP, SHOW = "add", "remove:", "take-back:", "skip:", "show"


@dataclass(frozen=True)
class WrittenReview:
    """A review as it stands in the form; each field is what was typed."""

    asin: str = ""
    stars: str = ""
    text: str = ""

    def fields(self) -> dict[str, Any]:
        """As messages call them."""
        return {"asin": self.asin, "rating": self.stars or None, "text": self.text.strip() or None}


@dataclass(frozen=True)
class CustomerForm:
    """What was sent.

    Attributes:
        user_id: A known user; empty for a visitor.
        reviews: A visitor's own, the newest last.
        new: The review that is being written.
        find: What is typed to find its product.
        skipped: Products that are not wanted.
        wanted: Whose view is asked for next, where that is asked for.
        action: The button pressed, and what it belongs to.
    """

    user_id: str = ""
    reviews: tuple[WrittenReview, ...] = ()
    new: WrittenReview = field(default_factory=WrittenReview)
    find: str = ""
    skipped: tuple[str, ...] = ()
    wanted: str = ""
    action: str = ""

    @classmethod
    def read(cls, fields: Sequence[tuple[str, str]]) -> Self:
        """From the fields of a form or of an address."""

        def every(name: str) -> list[str]:
            return [value for key, value in fields if key == name]

        def last(name: str) -> str:
            return (every(name) or [""])[-1]

        written = zip(every("asin"), every("stars"), every("text"), strict=False)
        new = WrittenReview(last("new_asin"), last("new_stars"), last("new_text"))
        form = cls(
            *(last("user_id").strip(), tuple(WrittenReview(*one) for one in written), new, last("find").strip()),
            *(tuple(dict.fromkeys(every("skip"))), last("customer").strip(), last("do")),
        )
        if form.action.startswith(SKIP):
            return replace(form, skipped=(*form.skipped, form.action.removeprefix(SKIP)))
        if form.action.startswith(REMOVE):
            gone = form.action.removeprefix(REMOVE)
            kept = tuple(one for place, one in enumerate(form.reviews) if str(place) != gone)
            return replace(form, reviews=kept)
        return form

    def added(self) -> Self:
        """With the new review among the others."""
        return replace(self, reviews=(*self.reviews, self.new), new=WrittenReview(), find="")

    def request(self) -> RecommendationRequest:
        """As the recommender takes it.

        Raises:
            RequestError: Something in it cannot be meant.
        """
        return as_message(
            RecommendationRequest,
            user_id=self.user_id or None,
            reviews=tuple(as_message(Review, **one.fields()) for one in self.reviews),
            filter=as_message(Filter, not_seen=self.skipped),
            limit=SHOWN,
            unknown="popular",
        )

    def address(self) -> str:
        """Where a known user goes on, once a review is kept."""
        return "/?" + urlencode([("user_id", self.user_id), *(("skip", asin) for asin in self.skipped)])

    def address_of_wanted(self) -> str:
        """Where somebody else's view is, with the review that is being written."""
        half = zip(("new_asin", "new_stars", "new_text"), (self.new.asin, self.new.stars, self.new.text), strict=True)
        fields = [("user_id", self.wanted), ("find", self.find), *half]
        return "/?" + urlencode([(name, value) for name, value in fields if value])


def as_message(kind: type[Message], **fields: Any) -> Message:
    """A message of what was typed.

    Raises:
        RequestError: It takes something else.
    """
    try:
        return kind(**fields)
    except ValidationError as error:
        fault = error.errors()[0]
        name = ".".join(str(part) for part in fault["loc"])
        raise RequestError(fault_in_words(fault, name), field=name, remedy="change it") from error
