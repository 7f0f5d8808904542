"""How many reviewed products the metadata describe, and, where many are missing, what makes their ids differ."""

from dataclasses import dataclass
from typing import Final

import polars as pl

WORTH_A_WARNING: Final = 0.9  # share of the reviewed products with metadata below which something is wrong
_ID: Final = pl.element()
# What tools do to ids on their way from one file to another, and the form in which both sides are equal again.
_CAUSES: Final[dict[str, pl.Expr]] = {
    "the ending .0 of a number": _ID.str.replace(r"\.0+$", ""),
    "leading zeros that one side has lost": _ID.str.strip_chars_start("0"),
    "capital letters": _ID.str.to_lowercase(),
    "blanks or dashes within": _ID.str.replace_all(r"[\s-]", ""),
}


@dataclass(frozen=True)
class ProductJoin:
    """The products of the reviews beside those of the metadata.

    Args:
        num_products: Reviewed products.
        num_described: Those of them that the metadata know.
        reviewed: The id of a reviewed product that the metadata lack; None where there is none.
        described: The id of a product of the metadata that nobody has reviewed; the same.
        cause: What the ids that found no partner differ by, where it can be seen.
    """

    num_products: int
    num_described: int
    reviewed: str | None
    described: str | None
    cause: str | None

    @property
    def is_whole(self) -> bool:
        """Whether as many products are described as one may expect."""
        return self.num_described >= WORTH_A_WARNING * self.num_products

    def __str__(self) -> str:
        sentence = f"{self.num_described:,} of {self.num_products:,} products have metadata"
        sides = {"reviewed": self.reviewed, "in the metadata": self.described}
        examples = ", ".join(f"{id_!r} is only {side}" for side, id_ in sides.items() if id_ is not None)
        return f"{sentence} ({examples})" if self.reviewed is not None else sentence

    @property
    def remedy(self) -> str:
        """What to do where it is not whole."""
        if self.cause is None:
            return "give metadata and reviews of the same category and year, with ids of one kind"
        return f"the ids differ by {self.cause}: write them as text, in one form, to both files"


def join_products(reviewed: pl.Series, described: pl.Series) -> ProductJoin:
    """Compares the ids of both sides."""
    alone = reviewed.filter(~reviewed.is_in(described.implode())).sort()
    others = described.filter(~described.is_in(reviewed.implode()))
    return ProductJoin(
        num_products=len(reviewed),
        num_described=len(reviewed) - len(alone),
        reviewed=alone[0] if len(alone) else None,
        described=others[0] if len(others) else None,
        cause=_cause(alone, others) if len(others) else None,
    )


def _cause(reviewed: pl.Series, described: pl.Series) -> str | None:
    """The change of form under which most ids of the two sides meet."""
    found = {}
    for cause, form in _CAUSES.items():
        plain, others = (side.implode().list.eval(form).explode() for side in (reviewed, described))
        found[cause] = int(plain.is_in(others.implode()).sum())
    best = max(found, key=found.__getitem__)
    return best if found[best] else None
