"""The form of a product: what was typed, and what of it is another than before."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from rec_sys.inference.product_messages import ChangedFacts, ListedProduct, ProductFacts
from rec_sys.serving.page.customer_form import as_message

_TYPED: Final = ("asin", "title", "brand", "categories", "price", "description")
_FACTS: Final = tuple(ProductFacts.model_fields)
WAS: Final = "was_"
_DECIMAL_COMMA: Final = re.compile(r"(\d+),(\d{1,2})")


@dataclass(frozen=True)
class ProductForm:
    """Each field is what was typed; `categories` has one a line.

    A form that changes a product carries what it was filled from, too, each field under `WAS` and its name.
    """

    asin: str = ""
    title: str = ""
    brand: str = ""
    categories: str = ""
    price: str = ""
    description: str = ""
    in_stock: bool = True

    @classmethod
    def read(cls, fields: Sequence[tuple[str, str]], prefix: str = "") -> Self:
        """From what a browser sends, of the fields whose names begin so; a box that is not ticked is not sent."""
        given = dict(fields)
        asin, title, brand, categories, price, description = (given.get(prefix + name, "").strip() for name in _TYPED)
        return cls(asin, title, brand, categories, price, description, f"{prefix}in_stock" in given)

    @classmethod
    def of(cls, product: ListedProduct) -> Self:
        """Filled with what is known of a product."""
        price = "" if product.price is None else f"{product.price:.12g}"
        texts = (product.title or "", product.brand or "", "\n".join(product.categories), price)
        return cls(product.asin, *texts, product.description or "", product.in_stock)

    def facts(self) -> ProductFacts:
        """All of it.

        Raises:
            RequestError: Something in it cannot be meant.
        """
        return as_message(ProductFacts, **self._typed())

    def changes(self, filled: Self, known: ListedProduct) -> ChangedFacts | None:
        """What is another than the form was filled with, and than what is known; None where nothing is.

        What somebody else has changed since the form was opened is none of it. Raises as `facts`.
        """
        facts = self.facts()
        before, typed = filled._typed(), self._typed()
        changed = [name for name in _FACTS if typed[name] != before[name]]
        changed = [name for name in changed if getattr(facts, name) != getattr(known, name)]
        return as_message(ChangedFacts, **{name: typed[name] for name in changed}) if changed else None

    def _typed(self) -> dict[str, Any]:
        price = _DECIMAL_COMMA.sub(r"\1.\2", self.price) if _DECIMAL_COMMA.fullmatch(self.price) else self.price
        lines = [line.strip() for line in self.categories.splitlines()]
        return {
            **{name: _by_lines(getattr(self, name)) or None for name in ("title", "brand", "description")},
            "price": price or None,
            "categories": tuple(line for line in lines if line),
            "in_stock": self.in_stock,
        }


def _by_lines(text: str) -> str:
    """A text as it is kept: browsers send each line's end as two characters."""
    return text.replace("\r\n", "\n")
