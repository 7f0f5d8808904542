"""What a product index is asked."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class UserTaste:
    """A user.

    Attributes:
        vector: float32 `[dim]`, unit length.
        review_weights: What each review weighs in the memory, by the index of the product reviewed; the sum where a
            product was reviewed twice. Indices beyond the products are the rows of `score_terms`.
    """

    vector: npt.NDArray[np.float32]
    review_weights: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SimilarTo:
    """A product, to find others like it.

    Attributes:
        asin: The product; it is not among its own answers.
        by: `graph` compares what reviews made of the products, `text` compares their texts.
    """

    asin: str
    by: Literal["graph", "text"] = "graph"


@dataclass(frozen=True, eq=False)
class TextMeaning:
    """A text, to find products whose text means the like, or whose titles have its words.

    With words, both rankings are fused by reciprocal rank, see `searching`.

    Attributes:
        vector: float32 `[text_dim]`, from the version's text encoder.
        words: The text itself; None to compare by meaning alone.
    """

    vector: npt.NDArray[np.float32]
    words: str | None = None


@dataclass(frozen=True)
class Examples:
    """Products that a ranking is drawn to, or away from; they are not answered themselves.

    The vector v that is asked with becomes that of Qdrant's recommend query with the strategy average_vector,

        q = 2 mean(v, likes) - mean(unlikes), or mean(v, likes) where there is no unlike,

    scaled to length one; a v of zeros says nothing and is no part of the mean. It is worked out before the index is
    asked, once for every engine and layer: an engine knows the products of its own layer alone.

    Attributes:
        like: By asin.
        unlike: By asin.
    """

    like: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()

    @property
    def asins(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.like, *self.unlike)


@dataclass(frozen=True)
class ProductFilter:
    """Which products may be answered; what is left empty does not limit.

    Attributes:
        not_seen: Products to leave out, by asin; unknown ones do no harm.
        categories_any: At least one of these.
        categories_all: Each of these.
        brands: One of these.
        min_price: In the data's currency; with a bound on the price, products without one are left out.
        max_price: Likewise.
        min_rating: Mean stars; products without ratings are left out.
        only: One of these products, by asin.
        out_of_stock: Whether products may be answered that cannot be had.
    """

    not_seen: Collection[str] = ()
    categories_any: Collection[str] = ()
    categories_all: Collection[str] = ()
    brands: Collection[str] = ()
    min_price: float | None = None
    max_price: float | None = None
    min_rating: float | None = None
    only: Collection[str] = ()
    out_of_stock: bool = False


@dataclass(frozen=True)
class Diversity:
    """Maximal marginal relevance (Carbonell and Goldstein 1998) over the best products.

    The order weighs a product's score, on the scale of a cosine, against its cosine to the products already chosen.
    Scores stay the model's own.

    Attributes:
        strength: 0 = by score alone, 1 = as unlike each other as can be.
        candidates: Best products to choose from; pages end there.
    """

    strength: float = 0.5
    candidates: int = 100


@dataclass(frozen=True)
class ProductQuery:
    """A question; `offset` products are skipped, for later pages, and without `diversity` the ranking is plain."""

    by: UserTaste | SimilarTo | TextMeaning
    filter: ProductFilter = ProductFilter()
    limit: int = 10
    offset: int = 0
    diversity: Diversity | None = None
    examples: Examples = Examples()
