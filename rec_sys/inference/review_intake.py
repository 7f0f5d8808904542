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
    return tuple(_tidy(review) for review in reviews)


def _tidy(review: AnyReview) -> AnyReview:
    if not (_UNTIDY.search(review.title or "") or _UNTIDY.search(review.text or "")):
        return review
    title, text = plain_text(pl.Series([review.title, review.text], dtype=pl.String)).to_list()
    return review.model_copy(update={"title": title, "text": text})


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
