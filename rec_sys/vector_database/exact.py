"""The ranking that every index must agree with, computed from the bundle's own tensors without any index."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

from rec_sys import ragged
from rec_sys.contracts import PayloadField
from rec_sys.scoring import score_products
from rec_sys.vector_database.catalogue import Catalogue, FloatArray, IntArray
from rec_sys.vector_database.contract import ProductFilter, ProductQuery, TextMeaning, UserTaste

_CHUNK: Final = 64  # products


class ExactRanking:
    """Scores all products for many users at once.

    For one user an index is faster; for thousands at once this is, as long as the catalogue is small.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def scores(self, vectors: FloatArray, review_weights: Sequence[Mapping[int, float]]) -> FloatArray:
        """The model's scores, float32 `[num_users, num_products]`.

        Args:
            vectors: float32 `[num_users, dim]`, unit length.
            review_weights: Each user's, see `contract.UserTaste`.
        """
        catalogue, history = self._catalogue, self._history(review_weights)
        return score_products(vectors, catalogue.vectors, catalogue.temperature, history, catalogue.memory)

    def memory_scores(
        self, review_weights: Sequence[Mapping[int, float]], row: IntArray, product: IntArray
    ) -> FloatArray:
        """The memory's part of some scores, float32 `[n]`; `row` is a place in `review_weights`."""
        if self._catalogue.memory is None or not len(row):
            return np.zeros(len(row), dtype=np.float32)
        found: FloatArray = np.asarray((self._history(review_weights) @ self._catalogue.memory)[row, product]).ravel()
        return found

    def _history(self, review_weights: Sequence[Mapping[int, float]]) -> sparse.csr_matrix:
        columns = np.array([product for weights in review_weights for product in weights], dtype=np.int64)
        values = np.array([value for weights in review_weights for value in weights.values()], dtype=np.float32)
        offsets = ragged.offsets_of(np.array([len(weights) for weights in review_weights], dtype=np.int64))
        memory = self._catalogue.memory
        rows = len(self._catalogue) if memory is None else memory.shape[0]
        return sparse.csr_matrix((values, columns, offsets), shape=(len(review_weights), rows))

    def query_scores(self, queries: Sequence[ProductQuery]) -> FloatArray:
        """The scores behind answers, float32 `[num_queries, num_products]`; -inf where one may not be answered."""
        rows = []
        for query in queries:
            by, left_out = query.by, ~self.matching(query.filter)
            if isinstance(by, UserTaste):
                row = self.scores(by.vector[None], [by.review_weights])[0]
            elif isinstance(by, TextMeaning):
                row = self._text_cosine(by.vector)
            else:
                product = self._row_of[by.asin]
                vectors = self._catalogue.vectors
                row = (
                    vectors @ vectors[product] if by.by == "graph" else self._text_cosine(self._catalogue.text[product])
                )
                left_out[product] = True
            row[left_out] = -np.inf
            rows.append(row)
        return np.stack(rows)

    def best(self, scores: FloatArray, limit: int, not_seen: Sequence[IntArray] = ()) -> tuple[IntArray, FloatArray]:
        """The best products of each row of `scores`, which is changed.

        Args:
            scores: float32 `[num_users, num_products]`.
            limit: Products a user.
            not_seen: Each user's products to leave out, by index; empty for none.

        Returns:
            Product indices and scores, both `[num_users, limit]`, best first; -inf where there are fewer.
        """
        for row, products in enumerate(not_seen):
            scores[row, products] = -np.inf
        limit = min(limit, scores.shape[1])
        chosen = _best_columns(scores, limit)
        values = np.take_along_axis(scores, chosen, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        return np.take_along_axis(chosen, order, axis=1), np.take_along_axis(values, order, axis=1)

    def matching(self, wanted: ProductFilter) -> npt.NDArray[np.bool_]:
        """Which products a filter lets through, bool `[num_products]`."""
        return matching(self._catalogue.details, wanted)

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {asin: row for row, asin in enumerate(self._catalogue.asins)}

    def _text_cosine(self, vector: FloatArray) -> FloatArray:
        text = self._catalogue.text
        lengths = np.linalg.norm(text, axis=1)
        cosine: FloatArray = (text @ vector) / np.maximum(lengths * np.linalg.norm(vector), np.float32(1e-30))
        return np.where(lengths > 0, cosine, np.float32(-np.inf))


def matching(details: pl.DataFrame, wanted: ProductFilter) -> npt.NDArray[np.bool_]:
    """Which products a filter lets through, but for what is out of stock: bool `[num_products]`."""
    categories = pl.col(PayloadField.CATEGORIES)
    conditions = [~pl.col(PayloadField.ASIN).is_in(list(wanted.not_seen))]
    if wanted.categories_any:
        conditions.append(categories.list.set_intersection(list(wanted.categories_any)).list.len() > 0)
    conditions += [categories.list.contains(category) for category in wanted.categories_all]
    if wanted.only:
        conditions.append(pl.col(PayloadField.ASIN).is_in(list(wanted.only)))
    if wanted.brands:
        conditions.append(pl.col(PayloadField.BRAND).is_in(list(wanted.brands)))
    if wanted.min_price is not None:
        conditions.append(pl.col(PayloadField.PRICE) >= wanted.min_price)
    if wanted.max_price is not None:
        conditions.append(pl.col(PayloadField.PRICE) <= wanted.max_price)
    if wanted.min_rating is not None:
        conditions.append(pl.col(PayloadField.RATING_MEAN) >= wanted.min_rating)
    passed = details.select(pl.all_horizontal(conditions).fill_null(False)).to_series()
    found: npt.NDArray[np.bool_] = passed.to_numpy()
    return found


def _best_columns(scores: FloatArray, limit: int) -> IntArray:
    """The columns of the `limit` largest numbers of each row, in any order: int64 `[rows, limit]`.

    None of these can lie in a chunk whose maximum is beaten by those of `limit` others, so that only as many chunks
    are looked into: with 10,000 products six times as fast as partitioning whole rows.
    """
    rows, columns = scores.shape
    chunks = columns // _CHUNK
    if chunks <= 2 * limit:
        found: IntArray = np.argpartition(scores, columns - limit, axis=1)[:, columns - limit :]
        return found
    maxima = scores[:, : chunks * _CHUNK].reshape(rows, chunks, _CHUNK).max(axis=2)
    looked_into = np.argpartition(maxima, chunks - limit, axis=1)[:, chunks - limit :]
    inside = (looked_into[:, :, None] * _CHUNK + np.arange(_CHUNK)).reshape(rows, -1)
    behind = np.broadcast_to(np.arange(chunks * _CHUNK, columns), (rows, columns - chunks * _CHUNK))
    candidates = np.concatenate([inside, behind], axis=1)
    values = np.take_along_axis(scores, candidates, axis=1)
    kept = np.argpartition(values, values.shape[1] - limit, axis=1)[:, values.shape[1] - limit :]
    return np.take_along_axis(candidates, kept, axis=1)
