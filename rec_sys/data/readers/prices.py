"""Prices as shops print them."""

from typing import Final

import polars as pl

_NUMBER: Final = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
# The whole text must be a price or a range of prices: a scraped style sheet is full of numbers too.
_PRICE: Final = rf"^\s*(?:from\s+)?(?:US)?\s*[$€£]?\s*({_NUMBER})\s*(?:[-\u2013]\s*(?:US)?\s*[$€£]?\s*{_NUMBER}\s*)?$"
_DECIMAL_COMMA: Final = r"^\s*[€£$]?\s*(\d+),(\d{1,2})\s*€?\s*$"


def price(text: pl.Expr) -> pl.Expr:
    """A price in the data's currency, float32; of a range ("$5.00 - $9.99") the lower; null for anything else."""
    point = text.str.replace(_DECIMAL_COMMA, "${1}.${2}")
    number = point.str.extract(_PRICE).str.replace_all(",", "").cast(pl.Float32, strict=False)
    return pl.when(number > 0).then(number)
