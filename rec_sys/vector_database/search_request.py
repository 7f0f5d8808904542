"""What a backend has to do: run search requests on one version of the index. Everything else is the same for both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID

from rec_sys.contracts import IndexVector, PayloadField
from rec_sys.vector_database.contract import IndexVersion, ProductDetails, ProductFilter

_DETAILS: Final = [field.name for field in fields(ProductDetails)]


class VersionGoneError(Exception):
    """The version was dropped while it was being asked; another one is served by now."""


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One search, ready to be put into a backend's own words.

    With a memory, the best products by vector and by memory are fetched, at most `candidates` of each, and ranked by
    the sum of both scores: every score is exact, and a product is only missed where it is among neither. A server
    fetches all of them in its one request, Edge as few as the page needs, see `best_sums`.

    Attributes:
        name: The dense vector to search by, see `contracts.IndexVector`.
        vector: `[dim]`, scaled so that its dot product (its cosine, by text) is the score.
        memory: Dimensions and weights of the memory's query; None to leave it out.
        words: Dimensions and weights of words; where there are any, they are searched in place of the vector.
        filter: What may be answered, but for `not_seen`.
        excluded: Points to leave out.
        limit: Most products.
        offset: Products to skip.
        candidates: Most products fetched of each kind; all of these may be needed for the page.
        search_width: HNSW's ef; None for an exact search.
        with_vector: Bring the dense vector of each product along.
    """

    name: str
    vector: list[float]
    memory: tuple[list[int], list[float]] | None
    filter: ProductFilter
    excluded: frozenset[UUID]
    limit: int
    offset: int
    candidates: int
    search_width: int | None
    with_vector: bool
    words: tuple[list[int], list[float]] | None = None

    @property
    def vectors(self) -> list[str]:
        """The vectors to bring along, by name."""
        return [IndexVector.MEMORY] * (self.memory is not None) + [self.name] * self.with_vector

    @property
    def one_of(self) -> dict[str, tuple[str, ...]]:
        """What a product must have one of, by field of the payload; what does not limit is left out."""
        limits = self.filter
        wanted = {
            PayloadField.CATEGORIES: limits.categories_any,
            PayloadField.BRAND: limits.brands,
            PayloadField.ASIN: limits.only,
        }
        return {field: tuple(values) for field, values in wanted.items() if values}


@dataclass(frozen=True, slots=True)
class DiversityRequest:
    """Orders some products by Qdrant's maximal marginal relevance.

    Attributes:
        name: The dense vector to compare by.
        vector: `[dim]`, unit length.
        strength: 0 = by relevance alone, 1 = by diversity alone.
    """

    name: str
    vector: list[float]
    strength: float
    points: frozenset[UUID]
    limit: int


class StoredPoint(NamedTuple):
    """A point as it comes back, with the vectors asked for.

    Attributes:
        score: As the search counts it; 0 where nothing was searched.
        product: What is known of it.
        memory: The memory's weights by dimension.
    """

    id: UUID
    score: float
    product: ProductDetails
    vectors: Mapping[str, list[float]]
    memory: Mapping[int, float]


def details_of(payload: Mapping[str, Any]) -> ProductDetails:
    """A payload in the contract's words."""
    known = {name: payload[name] for name in _DETAILS if payload.get(name) is not None}
    return ProductDetails(**known | {PayloadField.CATEGORIES: tuple(known.get(PayloadField.CATEGORIES, ()))})


class VersionReader(Protocol):
    """One version of an index, held by a backend; each method may raise `VersionGoneError`."""

    @property
    def version(self) -> IndexVersion:
        """What is held."""

    def query(self, requests: Sequence[SearchRequest]) -> list[list[StoredPoint]]:
        """Runs searches; the memory comes back with requests that use it."""

    def diversify(self, request: DiversityRequest) -> list[UUID]:
        """Runs a request; the points in their new order."""

    def retrieve(self, points: Sequence[UUID], vectors: Sequence[str] = ()) -> list[StoredPoint]:
        """Reads points, with the dense vectors named; unknown ones are left out."""

    def count(self) -> int:
        """Points held."""
