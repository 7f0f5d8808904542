r"""The stars that a user would give, in their one home: the product's mean, moved by how they rated similar products.

.. math:: \hat r(u, p) = (1 - w) \, \bigl(m_p + d(u, p)\bigr) + w \, m_p, \qquad
    d(u, p) = \frac{c \, d_u + \sum_i k(p, i) \, (r_i - m_i)}{c + \sum_i k(p, i)}.

:math:`m_p` is the product's mean, :math:`r_i` the user's own stars of a product i, :math:`d_u` how far they rate above
the means altogether (shrunk by two reviews), and k the likeness of two products: the cosine of their vectors to the
power of s where it is above 0, and 1 more where brand or author is the same. This is the regression of Nadaraya and
Watson (1964) with the user's level as c reviews of every product. The letters are `RatingFormula`'s w = `mean_weight`,
c = `evidence`, s = `sharpness`; validation users choose w and whose vectors are compared.

Training, evaluation and answers compute with this module. numpy only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

LOWEST, HIGHEST = 1.0, 5.0  # stars
_LEVEL_COUNTS: Final = 2.0
NO_BRAND: Final = -1


class RatingFormula(BaseModel):
    """The numbers of the predicted stars; a bundle keeps them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean_weight: float = Field(ge=0, le=1, description="w: the mean's weight, 1 less the personal rating's.")
    by: Literal["text", "towers"] = Field("text", description="Whose product vectors are compared.")
    sharpness: float = Field(4.0, gt=0, description="s: power of the cosine.")
    evidence: float = Field(1.0, gt=0, description="c: how many reviews the user's level counts as.")


@dataclass(frozen=True, eq=False)
class Products:
    """Some products as predicted stars see them.

    Attributes:
        mean: float32 `[n]`, mean stars.
        vector: float32 `[n, dim]`, unit length, zero where there is none.
        brand: int64 `[n]`, equal for products of one brand, `NO_BRAND` where unknown.
    """

    mean: FloatArray
    vector: FloatArray
    brand: IntArray

    def take(self, rows: npt.NDArray[np.integer]) -> Self:
        """Some of them."""
        return type(self)(self.mean[rows], self.vector[rows], self.brand[rows])

    def joined(self, other: "Products") -> "Products":
        """Both, one after the other."""
        pairs = ((getattr(self, name), getattr(other, name)) for name in vars(self))
        return Products(*(np.concatenate(pair) for pair in pairs))


def number_brands(brands: Sequence[str | None]) -> IntArray:
    """int64 `[n]`: brands by number; of several authors the first, which stands before a comma, is the brand.

    >>> number_brands(["J. Author, A. Painter", None, "J. Author", "Fender"]).tolist()
    [0, -1, 0, 1]
    """
    numbers: dict[str, int] = {}
    first = ((brand or "").partition(",")[0].strip().casefold() for brand in brands)
    return np.array([numbers.setdefault(one, len(numbers)) if one else NO_BRAND for one in first], dtype=np.int64)


def fit_means(
    user: npt.NDArray[np.integer],
    product: npt.NDArray[np.integer],
    stars: npt.NDArray[np.floating],
    known: npt.NDArray[np.floating],
    pseudo_counts: float,
) -> FloatArray:
    """The mean stars of all products, float32 `[num_products]`.

    What the metadata says (`known`, NaN where nothing), else the mean of all, counts as so many reviews; each user's
    own level is taken off their reviews first.

    >>> user, product, stars = np.array([0, 1, 1]), np.array([0, 0, 1]), np.array([5.0, 3.0, 3.0])
    >>> fit_means(user, product, stars, np.array([4.5, np.nan, np.nan]), 10.0).astype(float).round(2).tolist()
    [4.45, 3.66, 3.67]
    """
    prior = np.where(np.isnan(known), stars.mean(), known)
    deviation = stars - prior[product]
    size = int(user.max(initial=-1)) + 1
    level = np.bincount(user, deviation, size) / (np.bincount(user, minlength=size) + _LEVEL_COUNTS)
    rest = np.bincount(product, deviation - level[user], len(prior))
    return np.asarray(prior + rest / (np.bincount(product, minlength=len(prior)) + pseudo_counts), dtype=np.float32)


def personal_deviation(
    formula: RatingFormula, rated: Products, stars: npt.NDArray[np.floating], asked: Products
) -> FloatArray:
    """d of the formula for the products asked about, float32 `[num_asked]`; `stars` are those of `rated`."""
    if not len(stars):
        return np.zeros(len(asked.mean), dtype=np.float32)
    above = stars - rated.mean
    level = above.sum() / (len(above) + _LEVEL_COUNTS)
    likeness = np.clip(asked.vector @ rated.vector.T, 0, 1) ** np.float32(formula.sharpness)
    likeness += (asked.brand[:, None] == rated.brand) & (rated.brand != NO_BRAND)
    total = likeness @ above + formula.evidence * level
    return np.asarray(total / (likeness.sum(axis=1) + formula.evidence), dtype=np.float32)


def predict_stars(formula: RatingFormula, mean: FloatArray, deviation: FloatArray) -> FloatArray:
    """Predicted stars, float32 `[num_asked]`, from the products' means and `personal_deviation`."""
    stars = mean + np.float32(1 - formula.mean_weight) * deviation
    return np.clip(stars, LOWEST, HIGHEST).astype(np.float32)
