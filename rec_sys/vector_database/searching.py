"""From a question to an answer, the same way for both backends: each only runs requests on one version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, assert_never
from uuid import UUID

import numpy as np

from rec_sys.contracts import IndexVector, InputError
from rec_sys.settings import IndexCommon
from rec_sys.unit_vectors import unit_vectors
from rec_sys.vector_database.catalogue import FloatArray, IndexPoint, point_id
from rec_sys.vector_database.contract import (
    IndexVersion,
    NewProduct,
    ProductAnswer,
    ProductHit,
    ProductQuery,
    SimilarTo,
    TextMeaning,
    UnknownProductError,
    UserTaste,
    check_vector,
)
from rec_sys.vector_database.fusion import DEPTH, fuse
from rec_sys.vector_database.new_points import new_points
from rec_sys.vector_database.search_request import DiversityRequest, SearchRequest, StoredPoint, VersionReader
from rec_sys.vector_database.words import AskedWords, title_of

_BY_GRAPH: Final = "compare by graph"
_SMALLEST_LENGTH: Final = 1e-6  # of what examples leave of a vector; where they cancel out it is next to nothing


@dataclass(frozen=True, slots=True)
class _Question:
    """A query with everything looked up."""

    query: ProductQuery
    name: str
    vector: FloatArray
    scale: float
    memory: tuple[list[int], list[float]] | None
    excluded: frozenset[UUID]
    words: AskedWords | None = None
    drawn_by: Mapping[str, FloatArray] = field(default_factory=dict)  # what each example adds to `vector`

    @property
    def is_sum(self) -> bool:
        """Whether more than one vector makes the score."""
        return self.memory is not None or self.words is not None

    @property
    def page(self) -> tuple[int, int]:
        """Most products and products to skip, before any of them are chosen for diversity."""
        diversity = self.query.diversity
        return (self.query.limit, self.query.offset) if diversity is None else (diversity.candidates, 0)

    def requests(self, version: IndexVersion, settings: IndexCommon) -> list[SearchRequest]:
        """One search; with words two, whose rankings are fused."""
        request = self._request(version, settings)
        if self.words is None:
            return [request]
        by_meaning = replace(request, limit=request.offset + request.limit + DEPTH, offset=0)
        return [by_meaning, replace(request, limit=DEPTH, offset=0, words=self.words.vector)]

    def fused(self, by_meaning: list[StoredPoint], by_words: list[StoredPoint]) -> list[StoredPoint]:
        """The page of the fused ranking."""
        limit, offset = self.page
        if self.words is not None:
            by_words = [point for point in by_words if self.words.are_in(_title_in(point))]
        return fuse(by_meaning, by_words, offset, limit)

    def _request(self, version: IndexVersion, settings: IndexCommon) -> SearchRequest:
        diversity, (limit, offset) = self.query.diversity, self.page
        return SearchRequest(
            name=self.name,
            vector=(self.vector * np.float32(self.scale)).tolist(),
            memory=self.memory,
            filter=self.query.filter,
            excluded=self.excluded,
            limit=limit,
            offset=offset,
            candidates=settings.candidates + limit + offset,
            search_width=None if version.exact else settings.hnsw_search_width,
            with_vector=bool(self.drawn_by) or (diversity is not None and self.is_sum),
        )


def answer(reader: VersionReader, queries: Sequence[ProductQuery], settings: IndexCommon) -> list[ProductAnswer]:
    """Answers questions from one version; raises as `ProductIndex.search_many`."""
    for query in queries:
        check_query(query)
    version = reader.version
    sought = _sought_products(reader, queries)
    questions = [_drawn(_ask(query, version, sought), version, sought) for query in queries]
    found = iter(reader.query([one for question in questions for one in question.requests(version, settings)]))
    answers = []
    for question in questions:
        points = next(found) if question.words is None else question.fused(next(found), next(found))
        if question.query.diversity is not None:
            points = _diversify(reader, question, points)
        answers.append(ProductAnswer(version, tuple(_hit(point, question) for point in points)))
    return answers


def upserted_points(reader: VersionReader, products: Sequence[NewProduct]) -> list[IndexPoint]:
    """Points of products that are upserted into a version; raises as `ProductIndex.upsert`."""
    replaced = reader.retrieve([point_id(product.details.asin) for product in products])
    return new_points(products, reader.version, {point.id: point.product for point in replaced})


def check_query(query: ProductQuery) -> None:
    """Refuses what cannot be meant.

    Raises:
        InputError: A bound is out of range; the field is named.
    """

    def refuse(what: str, where: str, remedy: str) -> InputError:
        return InputError(what, where=where, remedy=remedy)

    if query.limit < 1:
        raise refuse(f"limit is {query.limit}", "limit", "ask for at least one product")
    if query.offset < 0:
        raise refuse(f"offset is {query.offset}", "offset", "start at 0 or later")
    low, high = query.filter.min_price, query.filter.max_price
    if low is not None and high is not None and low > high:
        raise refuse(f"no price is from {low} to {high}", "filter: min_price, max_price", "swap the two")
    if query.diversity is None:
        return
    if not 0 <= query.diversity.strength <= 1:
        raise refuse(f"strength is {query.diversity.strength}", "diversity: strength", "give it from 0 to 1")
    if query.offset + query.limit > query.diversity.candidates:
        raise refuse(
            f"the page ends at product {query.offset + query.limit}, and {query.diversity.candidates} are diversified",
            "offset, limit",
            "raise the diversity's candidates for all pages alike, or ask without diversity",
        )


def order_diversely(relevance: FloatArray, vectors: FloatArray, strength: float, limit: int) -> list[int]:
    """Chooses products one after the other, each time the best of (1 - strength) * relevance - strength * likeness.

    This is maximal marginal relevance (Carbonell and Goldstein 1998, eq. 1) on the model's own scores. Qdrant's own
    compares by one vector, so it would forget what the memory adds; it is asked where one vector is the whole score.

    Args:
        relevance: float32 `[num_products]`, on the scale of a cosine.
        vectors: float32 `[num_products, dim]`, unit length; the likeness of a product is its largest cosine to those
            already chosen.
        strength: 0 = by relevance alone, 1 = by likeness alone, but for the first product.
        limit: Most products.

    Returns:
        Rows, in the order chosen.
    """
    chosen: list[int] = []
    likeness = np.full(len(relevance), -np.inf, dtype=np.float32)
    left = np.ones(len(relevance), dtype=bool)
    while len(chosen) < min(limit, len(relevance)):
        worth = (1 - strength) * relevance - strength * likeness if chosen else relevance
        best = int(np.argmax(np.where(left, worth, -np.inf)))
        chosen.append(best)
        left[best] = False
        likeness = np.maximum(likeness, vectors @ vectors[best])
    return chosen


def _sought_products(reader: VersionReader, queries: Sequence[ProductQuery]) -> dict[UUID, StoredPoint]:
    points = {point_id(query.by.asin) for query in queries if isinstance(query.by, SimilarTo)}
    points |= {point_id(asin) for query in queries for asin in query.examples.asins}
    if not points:
        return {}
    return {point.id: point for point in reader.retrieve(list(points), (IndexVector.GRAPH, IndexVector.TEXT))}


def _ask(query: ProductQuery, version: IndexVersion, sought: Mapping[UUID, StoredPoint]) -> _Question:
    excluded = frozenset(point_id(asin) for asin in query.filter.not_seen)
    by = query.by
    if isinstance(by, UserTaste):
        vector = check_vector(by.vector, version.dim, "the user vector")
        memory = _check_memory(by.review_weights, version) if version.has_memory and by.review_weights else None
        return _Question(query, IndexVector.GRAPH, vector, 1 / version.temperature, memory, excluded)
    if isinstance(by, TextMeaning):
        vector = check_vector(by.vector, version.text_dim, "the text vector")
        words = AskedWords.of_text(by.words) if version.has_words and by.words is not None else None
        return _Question(query, IndexVector.TEXT, vector, 1.0, None, excluded, words)
    if isinstance(by, SimilarTo):
        name = {"graph": IndexVector.GRAPH, "text": IndexVector.TEXT}[by.by]
        vector = _vector_of(by.asin, name, version, sought)
        return _Question(query, name, vector, 1.0, None, excluded | {point_id(by.asin)})
    assert_never(by)


def _vector_of(asin: str, name: str, version: IndexVersion, sought: Mapping[UUID, StoredPoint]) -> FloatArray:
    """A vector of a product; raises as `ProductIndex.search_many`."""
    point = sought.get(point_id(asin))
    if point is None:
        raise UnknownProductError(
            f"there is no product {asin}", where=f"index version {version.name}", remedy="check the asin"
        )
    if name not in point.vectors:
        raise InputError(f"product {asin} has no text", where=f"index version {version.name}", remedy=_BY_GRAPH)
    return np.asarray(point.vectors[name], dtype=np.float32)


def _title_in(point: StoredPoint) -> str:
    return title_of(point.product.title, point.product.brand)


def _unit(vector: FloatArray) -> FloatArray:
    unit: FloatArray = unit_vectors(vector[None])[0]
    return unit


def _drawn(question: _Question, version: IndexVersion, sought: Mapping[UUID, StoredPoint]) -> _Question:
    """The question with its vector drawn by the examples, see `Examples`."""
    examples = question.query.examples
    if not examples.asins:
        return question
    vectors = {asin: _unit(_vector_of(asin, question.name, version, sought)) for asin in examples.asins}
    says_something = bool(question.vector.any())
    positive = (2 if examples.unlike else 1) / max(1, len(examples.like) + says_something)
    shares = dict.fromkeys(examples.like, positive) | dict.fromkeys(examples.unlike, -1 / max(1, len(examples.unlike)))
    drawn_by = {asin: np.float32(share) * vectors[asin] for asin, share in shares.items()}
    whole: FloatArray = sum(
        [np.float32(positive) * _unit(question.vector), *drawn_by.values()], np.zeros_like(question.vector)
    )
    length = np.float32(max(float(np.linalg.norm(whole)), _SMALLEST_LENGTH))
    return replace(
        question,
        vector=whole / length,
        excluded=question.excluded | {point_id(asin) for asin in examples.asins},
        drawn_by={asin: part / length * np.float32(question.scale) for asin, part in drawn_by.items()},
    )


def _check_memory(weights: Mapping[int, float], version: IndexVersion) -> tuple[list[int], list[float]]:
    products, values = list(weights), [float(value) for value in weights.values()]
    num_rows = 2 * version.num_products + 1 if version.has_terms else version.num_products
    if min(products) < 0 or max(products) >= num_rows:
        raise InputError(
            f"a review is of product index {max(products, key=abs)}, the index holds {version.num_products} products",
            where="the review weights",
            remedy="take the product indices from the bundle that the index was made from",
        )
    if not np.isfinite(values).all():
        raise InputError("a review's weight is not finite", where="the review weights", remedy="leave it out")
    return products, values


def _diversify(reader: VersionReader, question: _Question, points: list[StoredPoint]) -> list[StoredPoint]:
    query, diversity = question.query, question.query.diversity
    if diversity is None or not points:
        return points
    end = query.offset + query.limit
    if question.is_sum:
        # Reciprocal ranks are put on a cosine's scale by the best of them.
        scale = question.scale if question.words is None else points[0].score
        relevance = np.array([point.score for point in points], dtype=np.float32) / np.float32(scale)
        nothing = [0.0] * len(question.vector)  # of a product that is found by its words alone
        vectors = unit_vectors(np.array([point.vectors.get(question.name, nothing) for point in points]))
        order = [points[row] for row in order_diversely(relevance, vectors, diversity.strength, end)]
    else:
        by_id = {point.id: point for point in points}
        request = DiversityRequest(question.name, question.vector.tolist(), diversity.strength, frozenset(by_id), end)
        order = [by_id[point] for point in reader.diversify(request)]
    return order[query.offset : end]


def _hit(point: StoredPoint, question: _Question) -> ProductHit:
    drawn: dict[str, float] = {}
    if question.drawn_by and question.name in point.vectors:
        vector = _unit(np.asarray(point.vectors[question.name], dtype=np.float32))
        drawn = {asin: float(part @ vector) for asin, part in question.drawn_by.items()}
    known, parts = point.memory, {}
    if question.memory is not None and known:
        memory = zip(*question.memory, strict=True)
        parts = {product: value * known[product] for product, value in memory if product in known}
    return ProductHit(point.product, point.score, sum(parts.values()), parts, drawn)
