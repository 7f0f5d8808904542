"""What a sent review must be, by the rules that training has for its rows: sizes, rating, time; markup is taken off."""

import re
from collections.abc import Sequence
from typing import Final, TypeVar

import polars as pl

from rec_sys.inference.contract import RequestError, Review
from rec_sys.raw_files.plain_text import plain_text
from rec_sys.settings import InferenceSettings

AnyReview = TypeVar("AnyReview", bound=Review)

# What `plain_text` would change; most texts hold none of it.
_UNTIDY: Final = re.compile(r"[<&\x00-\x1f\x7f-\xa0]|\[\[|  |^ | $|^$")


def checked(
    reviews: Sequence[AnyReview], limits: InferenceSettings, scale: tuple[float, float]
) -> tuple[AnyReview, ...]:
    """The reviews as training reads them.

    Raises:
        RequestError: There are too many, one is too long, or a rating is outside the scale; the field is named.
    """
    _check_sizes(reviews, limits)
    _check_ratings(reviews, scale)
    return _tidied(reviews)


def _tidied(reviews: Sequence[AnyReview]) -> tuple[AnyReview, ...]:
    """The reviews with their headlines and texts as training cleans them, all that need it at once."""
    untidy = [at for at, one in enumerate(reviews) if _is_untidy(one.title) or _is_untidy(one.text)]
    if not untidy:
        return tuple(reviews)
    texts = [text for at in untidy for text in (reviews[at].title, reviews[at].text)]
    clean = iter(plain_text(pl.Series(texts, dtype=pl.String)).to_list())
    found = list(reviews)
    for at in untidy:
        found[at] = found[at].model_copy(update={"title": next(clean), "text": next(clean)})
    return tuple(found)


def _is_untidy(text: str | None) -> bool:
    return text is not None and _UNTIDY.search(text) is not None


def _check_sizes(reviews: Sequence[Review], limits: InferenceSettings) -> None:
    if len(reviews) > limits.max_reviews:
        raise RequestError(
            f"{len(reviews):,} reviews are sent, {limits.max_reviews:,} are the most",
            field="reviews",
            remedy="send the newest; older ones are not read anyway",
        )
    for place, review in enumerate(reviews):
        length = len(review.text or "") + len(review.title or "")
        if length > limits.max_text_characters:
            raise RequestError(
                f"this review has {length:,} characters, {limits.max_text_characters:,} are the most",
                field=f"reviews[{place}].text",
                remedy="shorten it; only its beginning is read anyway",
            )


def _check_ratings(reviews: Sequence[Review], scale: tuple[float, float]) -> None:
    low, high = scale
    for place, review in enumerate(reviews):
        if review.rating is not None and not low <= review.rating <= high:
            raise RequestError(
                f"a rating of {review.rating:g} is outside the scale of this model's data, {low:g} to {high:g}",
                field=f"reviews[{place}].rating",
                remedy=f"give it on that scale, or leave it out; it is {review.rating:g}",
            )
