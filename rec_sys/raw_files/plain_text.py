"""Turns what a web shop stores as text (HTML, entities, widget markup, prices) into what a person reads."""

import html
import re
from collections.abc import Callable
from typing import Final

import polars as pl
from price_parser import Price

UNREAD_PRICES: Final = "prices that cannot be read"  # of `Batch.counts`
_HIDDEN: Final = r"(?is)<!--.*?-->|<(script|style)\b.*?</(script|style)\s*>"
_VIDEO: Final = r"\[\[VIDEOID:[^\]]*\]\]"
_PRODUCT_LINK: Final = r"\[\[ASIN:\w+\s*([^\]]*)\]\]"
# A tag has a name and then a space or its end: "<3", "a < b" and "<me@home.org>" are no tags.
_INLINE_TAG: Final = r"(?i)</?(?:a|b|i|u|em|strong|span|font|small|big|sup|sub)(?:\s[^<>]*)?/?>"
_TAG: Final = r"</?[a-zA-Z][a-zA-Z0-9]*(?:\s[^<>]*)?/?>"
# Named entities need their semicolon, or "rock&not" would lose letters.
_ENTITY: Final = r"&(?:#\d{1,7};?|#[xX][0-9a-fA-F]{1,6};?|[a-zA-Z][a-zA-Z0-9]{1,31};)"
_ENTITIES: Final = re.compile(_ENTITY)
# Nearly all that reviews hold; polars replaces these without a detour through Python.
_FREQUENT: Final = {"&#34;": '"', "&quot;": '"', "&#39;": "'", "&#x27;": "'", "&nbsp;": " ", "&lt;": "<", "&gt;": ">"}
_NEEDS_TIDYING: Final = r"[\x00-\x1f\x7f-\u{a0}]|  |^ | $|^$"
_CONTROL: Final = r"[\x00-\x08\x0e-\x1f\x7f]"
_NUMBER: Final = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
# The whole text must be a price or a range of prices: a scraped style sheet is full of numbers too.
_PRICE: Final = rf"^\s*(?:from\s+)?(?:US)?\s*[$€£]?\s*({_NUMBER})\s*(?:[-\u2013]\s*(?:US)?\s*[$€£]?\s*{_NUMBER}\s*)?$"
_DECIMAL_COMMA: Final = r"^\s*[€£$]?\s*(\d+),(\d{1,2})\s*€?\s*$"
# The rest of the world's prices, one or two of them: "₹1,234", "1.299,00 €", "CHF 1'299.-", "12 - 15 zł", "$.99".
_CURRENCY: Final = r"[\p{L}\p{Sc}][\p{L}\p{Sc}. ]{0,6}"
_AMOUNT: Final = r"[.,]?\d[\d.,'\s]*(?:[.,]-)?"
_ANY_PRICE: Final = rf"^\s*(?:(?:{_CURRENCY})?\s*{_AMOUNT}\s*(?:{_CURRENCY})?[\s\u{{2013}}-]*){{1,2}}$"
_CURRENCY_WORDS: Final = {r"(?i)\beuros?\b": "EUR", r"(?i)\bdollars?\b": "USD", "[\u2019`]": "'"}


def plain_text(texts: pl.Series) -> pl.Series:
    """Strips markup, unescapes entities and collapses white space; blank texts become null.

    Markup may itself be escaped ("&lt;br&gt;"), so it is taken off twice. Only rows that hold any are rewritten.
    """
    cleaned = texts
    for _ in range(2):
        cleaned = _rewritten(cleaned, r"[<&]|\[\[", _without_markup)
    return _rewritten(cleaned, _NEEDS_TIDYING, _tidied)


def prices(texts: pl.Series) -> pl.Series:
    """Prices in the data's currency, float32; of a range ("$5.00 - $9.99") the lower; null for anything else."""
    point = texts.str.replace(_DECIMAL_COMMA, "${1}.${2}")
    number = point.str.extract(_PRICE).str.replace_all(",", "").cast(pl.Float32, strict=False)
    unread = texts.filter(number.is_null()).drop_nulls().unique()
    if len(unread):
        read = pl.Series([_foreign_price(text) for text in _possible_prices(unread)], dtype=pl.Float32)
        number = number.fill_null(texts.replace_strict(unread, read, default=None, return_dtype=pl.Float32))
    return number.set(number <= 0, None)


def count_unread_prices(texts: pl.Series, read: pl.Series) -> dict[str, int]:
    """How many texts say something and are no price above 0, as `Batch.counts`."""
    unread = int((read.is_null() & (texts.str.strip_chars() != "")).sum())
    return {UNREAD_PRICES: unread} if unread else {}


def _possible_prices(texts: pl.Series) -> list[str | None]:
    """Texts that are a price and nothing else; null for others, since a parser finds a number in every text."""
    plain = texts
    for pattern, replacement in _CURRENCY_WORDS.items():
        plain = plain.str.replace_all(pattern, replacement)
    return plain.set(~plain.str.contains(_ANY_PRICE), None).to_list()


def _foreign_price(text: str | None) -> float | None:
    if text is None:
        return None
    found = Price.fromstring(text)
    if found.amount_float and "¢" in text:
        return found.amount_float / 100
    # A number beside letters that are no currency is an amount of something else: "12 m".
    return found.amount_float if found.currency or not any(character.isalpha() for character in text) else None


def _rewritten(texts: pl.Series, pattern: str, rewrite: Callable[[pl.Series], pl.Series]) -> pl.Series:
    found = texts.str.contains(pattern).fill_null(False)
    if not found.any():
        return texts
    return texts.scatter(found.arg_true(), rewrite(texts.filter(found)))


def _without_markup(texts: pl.Series) -> pl.Series:
    stripped = (
        texts.str.replace_all(_HIDDEN, " ")
        .str.replace_all(_VIDEO, " ")
        .str.replace_all(_PRODUCT_LINK, "$1")
        .str.replace_all(_INLINE_TAG, "")
        .str.replace_all(_TAG, " ")
    )
    replaced = stripped.str.replace_many(list(_FREQUENT), list(_FREQUENT.values()))
    return _rewritten(replaced, _ENTITY, _unescaped)


def _unescaped(texts: pl.Series) -> pl.Series:
    plain = [_ENTITIES.sub(lambda entity: html.unescape(entity.group()), text) for text in texts.to_list()]
    return pl.Series(texts.name, plain, dtype=pl.String)


def _tidied(texts: pl.Series) -> pl.Series:
    # Single spaces, nearly all white space there is, are left alone: several times faster than replacing them.
    tidy = texts.str.replace_all(_CONTROL, "").str.replace_all(r"\s\s+|[^\S ]", " ").str.replace_all("^ | $", "")
    return tidy.set(tidy == "", None)
