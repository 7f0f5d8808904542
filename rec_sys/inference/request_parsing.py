"""From what JSON or Parquet holds to a message; what is at fault is named, with the way out."""

from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from rec_sys.inference.contract import Filter, RequestError, Review
from rec_sys.value_words import fault_in_words

# What Amazon's files call the fields of a review.
_AMAZON_NAMES: Final = {"overall": "rating", "reviewText": "text", "summary": "title", "unixReviewTime": "timestamp"}
Message = TypeVar("Message", bound=BaseModel)


def parse(message: type[Message], content: object) -> Message:
    """Reads a message from what JSON or Parquet holds.

    Raises:
        RequestError: Naming the first field at fault, such as `reviews[3].rating`.
    """
    try:
        return message.model_validate(content)
    except ValidationError as error:
        first, *others = error.errors(include_url=False)
        field = spell_field(first["loc"]) or "the request"
        given = repr(first["input"])
        remedy = f"change it; it is {given}" if len(given) <= 80 else f"change it; it begins with {given[:80]}"
        if first["type"] == "extra_forbidden":
            beside = [fault["loc"] for fault in others if fault["type"] == "extra_forbidden"]
            remedy = remedy_for_unknown(first["loc"], *(place for place in beside if place[:-1] == first["loc"][:-1]))
        raise RequestError(fault_in_words(first, field), field=field, remedy=remedy) from error


def remedy_for_unknown(location: tuple[int | str, ...], *others: tuple[int | str, ...]) -> str:
    """What to do about fields that a message does not have; filters are often put beside the reviews."""
    name = location[-1]
    if name in Filter.model_fields and "filter" not in location:
        return f'put it into the field filter: {{"filter": {{"{name}": ...}}}}'
    if "reviews" in location[:-1]:
        names = [str(place[-1]) for place in (location, *others)]
        what = [f"rename {name} to {_AMAZON_NAMES[name]}" for name in names if name in _AMAZON_NAMES]
        what += [f"leave out or rename {name}" for name in names if name not in _AMAZON_NAMES]
        return f"{', '.join(what)}; a review has {', '.join(Review.model_fields)}"
    return "leave it out, or spell it as /docs does"


def spell_field(location: tuple[int | str, ...]) -> str:
    """A place in a message as one would write it: `("reviews", 3, "rating")` is `reviews[3].rating`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".")
