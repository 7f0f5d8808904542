"""Ratings of any scale become stars, 1 to 5; and which scale is meant where they do not fit."""

from collections.abc import Mapping
from typing import Final, TypeVar

import polars as pl

Ratings = TypeVar("Ratings", float, pl.Series)

STARS: Final = (1.0, 5.0)
# Scales that public data sets and shops use, the narrowest first.
_KNOWN_SCALES: Final[tuple[tuple[float, float], ...]] = (
    *((0, 1), (-1, 1), STARS, (0.5, 5), (0, 5), (1, 7), (1, 10), (0, 10)),
    *((-10, 10), (1, 100), (0, 100)),
)
_MEANT_SHARE: Final = 0.99  # of the ratings that a scale holds; the rest is dirt
_MOST_WORDS: Final = 12  # more different texts are no scale


def stars(ratings: pl.Series, scale: tuple[float, float], words: Mapping[str, float]) -> pl.Series:
    """Stars, float64: `1 + 4 * (rating - low) / (high - low)`; a word has the stars given for it; else null.

    A rating outside the scale stays outside 1 to 5.
    """
    texts = ratings.str.strip_chars()
    numbers = to_stars(_numbers(texts), scale)
    if words:
        known = {word.strip().lower(): float(value) for word, value in words.items()}
        by_word = texts.str.to_lowercase().replace_strict(known, default=None, return_dtype=pl.Float64)
        numbers = by_word.fill_null(numbers)
    return numbers


def stars_within(ratings: pl.Series, scale: tuple[float, float]) -> pl.Series:
    """Stars, float64, of numbers on a scale; null for what is none or outside."""
    found = stars(ratings, scale, {})
    return found.set(~found.is_between(*STARS), None)


def to_stars(ratings: Ratings, scale: tuple[float, float]) -> Ratings:
    """Ratings of a scale as stars, the lowest 1 and the highest 5.

    >>> to_stars(5.0, (0, 10)), to_stars(4.0, (1, 5))
    (3.0, 4.0)
    """
    low, high = scale
    return ratings if scale == STARS else 1 + 4 * (ratings - low) / (high - low)


def on_scale(stars: pl.Series, scale: tuple[float, float]) -> pl.Series:
    """Stars as ratings of a scale, the other way round."""
    low, high = scale
    return stars if scale == STARS else (low + (stars - 1) * (high - low) / 4).clip(low, high)


def describe_scale(scale: tuple[float, float], words: Mapping[str, float]) -> str:
    """A scale, and the words that stand for stars, in words."""
    numbers = "{:g} to {:g}".format(*scale) + ("" if scale == STARS else ", read as 1 to 5 stars")
    return ", ".join([numbers, *(f"{word} = {value:g} stars" for word, value in words.items())])


def proposed_settings(ratings: pl.Series) -> dict[str, str]:
    """Setting -> value under which these ratings, some of them refused, could be read; empty where they are dirt."""
    texts = ratings.drop_nulls().str.strip_chars()
    numbers = _numbers(texts)
    words = texts.filter(numbers.is_null()).str.to_lowercase().unique(maintain_order=True)
    if len(words) and 2 * numbers.null_count() > len(numbers):
        listed = ", ".join(f"{word}: STARS" for word in words.sort().to_list())
        return {"data.rating_words": f"'{{{listed}}}'"} if len(words) <= _MOST_WORDS else {}
    numbers = numbers.drop_nulls()
    if numbers.is_empty():
        return {}
    if numbers.n_unique() == 1:  # tells no scale
        return {} if STARS[0] <= numbers[0] <= STARS[1] else {"data.rating_scale": "[LOW,HIGH]"}
    fitting = [scale for scale in _KNOWN_SCALES if numbers.is_between(*scale).sum() >= _MEANT_SHARE * len(numbers)]
    seen = sorted(numbers.to_list())
    low, high = fitting[0] if fitting else (seen[0], seen[-1])
    return {} if (low, high) == STARS or low == high else {"data.rating_scale": f"[{low:g},{high:g}]"}


def _numbers(texts: pl.Series) -> pl.Series:
    numbers = texts.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
    return numbers.set(~numbers.is_finite(), None)
