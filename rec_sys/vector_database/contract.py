"""What every product index promises, whichever engine holds it: questions in, the model's own ranking out.

An index holds versions, each made from one bundle; one of them is served. The score of a product for a user is

    cos(user, product) / temperature + sum over the user's reviews of weight(review) * memory[product reviewed, product]

and the answers come in its order. A question about similar products or about a text is ranked by cosine.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from rec_sys.contracts import InputError
from rec_sys.vector_database.questions import Diversity as Diversity
from rec_sys.vector_database.questions import Examples as Examples
from rec_sys.vector_database.questions import ProductFilter as ProductFilter
from rec_sys.vector_database.questions import ProductQuery as ProductQuery
from rec_sys.vector_database.questions import SimilarTo as SimilarTo
from rec_sys.vector_database.questions import TextMeaning as TextMeaning
from rec_sys.vector_database.questions import UserTaste as UserTaste

_NOTHING: Final[Mapping[Any, float]] = MappingProxyType({})


class IndexUnavailableError(InputError):
    """The index cannot answer now: the server is down, or nothing has been published."""


class EmptyIndexError(IndexUnavailableError):
    """Nothing has been published."""


class UnknownProductError(InputError):
    """A question is about a product that the version does not hold."""


class IndexVersion(BaseModel):
    """A published version: every answer names the one that it comes from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="Unique in the index; later bundles sort later.")
    bundle: str = Field(description="The bundle's identity: the towers that are asked must come from the same.")
    created: str = Field(description="When the bundle was written; UTC, ISO 8601.")
    data_name: str | None = Field(None, description="The data set; null where an earlier version published it.")
    num_products: int = Field(description="Products published, without those upserted since.")
    dim: int
    # Versions that do not name it were published when every text vector was MiniLM's.
    text_dim: int = Field(384, description="Width of the text vectors.")
    temperature: float = Field(description="The cosine is divided by this.")
    text_encoder: str = Field(description="The encoder that texts must be asked with; none / given where unknown.")
    has_memory: bool
    has_terms: bool = Field(False, description="Whether the memory has the rows of popularity and repeats.")
    has_words: bool = Field(False, description="Whether products are found by the words of their titles, too.")
    exact: bool = Field(description="True: searches look at every product; false: they follow a graph.")


@dataclass(frozen=True)
class ProductDetails:
    """What the index knows of a product; the fields are `contracts.PayloadField`'s."""

    asin: str
    product_index: int | None = None
    title: str | None = None
    brand: str | None = None
    categories: tuple[str, ...] = ()
    price: float | None = None
    rating_mean: float | None = None
    review_count: int = 0
    first_review: int | None = None
    last_review: int | None = None


class ProductHit(NamedTuple):
    """A product in an answer.

    Attributes:
        product: What is known of it.
        score: The model's own for a user; the reciprocal ranks of a text with words; a cosine otherwise.
        memory_score: The memory's part in it.
        memory_of: That part by the product reviewed, as in `UserTaste.review_weights`; others add nothing.
        drawn_by: What each of the question's examples has in it, by asin; of one that is not liked mostly below zero.
    """

    product: ProductDetails
    score: float
    memory_score: float = 0.0
    memory_of: Mapping[int, float] = _NOTHING
    drawn_by: Mapping[str, float] = _NOTHING


@dataclass(frozen=True)
class ProductAnswer:
    """Products, the best first, all from one version."""

    version: IndexVersion
    hits: tuple[ProductHit, ...]


@dataclass(frozen=True, eq=False)
class NewProduct:
    """A product to add to the served version, or to replace there.

    Attributes:
        details: What is known of it; an index left out is kept from the product replaced.
        vector: float32 `[dim]`, unit length, from the product tower.
        text: float32 `[text_dim]`; None where it has no text.
        memory: What a review of each product adds to this one's score, by product index.
        words: Dimensions and weights of the words of its title, see `words`; None to be found by meaning alone.
    """

    details: ProductDetails
    vector: npt.NDArray[np.float32]
    text: npt.NDArray[np.float32] | None = None
    memory: Mapping[int, float] = field(default_factory=dict)
    words: tuple[list[int], list[float]] | None = None


class Layer:
    """What came or changed since a version was published, to be laid over it.

    Attributes:
        bundle: The identity of the bundle whose towers made its vectors; a version of another is not covered by it.
    """

    bundle: str


class ProductIndex(ABC):
    """Asks the served version; safe to share between threads.

    Attributes:
        overlay: What came or changed since the version was published; None where nothing did.
        held: The version that questions are answered from though another is served now; None: the one served.
    """

    overlay: Layer | None = None
    held: IndexVersion | None = None

    @abstractmethod
    def version(self) -> IndexVersion:
        """The version served now.

        Raises:
            IndexUnavailableError: There is none, or it cannot be reached.
        """

    @property
    def is_open(self) -> bool:
        """Whether one question is answered in a moment, so that an event loop may ask it."""
        return False

    @abstractmethod
    def search_many(self, queries: Sequence[ProductQuery]) -> list[ProductAnswer]:
        """Answers several questions, all from one version.

        Raises:
            InputError: A vector has another width than the version's or is not finite, a product has no text, or a
                limit is out of range.
            UnknownProductError: A product is unknown.
            IndexUnavailableError: As in `version`.
        """

    def search(self, query: ProductQuery) -> ProductAnswer:
        """Answers a question; raises as `search_many`."""
        return self.search_many([query])[0]

    @abstractmethod
    def upsert(self, products: Sequence[NewProduct]) -> IndexVersion:
        """Adds products to the served version, or replaces them; the next question sees them.

        They stay until another bundle is published. Others' scores do not change: what reviews of a new product say
        is learnt by the next training.

        Returns:
            The version that is served with them.

        Raises:
            InputError: A vector has another width than the version's, is not finite or not of unit length.
            IndexUnavailableError: As in `version`.
        """

    @abstractmethod
    def close(self) -> None:
        """Lets go of files and connections."""

    def __enter__(self) -> "ProductIndex":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def check_vector(vector: npt.NDArray[np.float32], dim: int, what: str) -> npt.NDArray[np.float32]:
    """A vector as float32.

    Raises:
        InputError: It has another width or is not finite.
    """
    if vector.shape != (dim,):
        raise InputError(
            f"{what} has shape {list(vector.shape)}, the index holds vectors of width {dim}",
            where=what,
            remedy="take the vector from the bundle that the index was made from",
        )
    if not np.isfinite(vector).all():
        raise InputError(
            f"{what} holds a number that is not finite", where=what, remedy="look at what it was computed from"
        )
    return vector.astype(np.float32, copy=False)
