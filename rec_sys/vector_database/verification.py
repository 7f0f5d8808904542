"""Is a new version fit to be served? It is asked as users will ask it, and held against the bundle's own scores."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from rec_sys.contracts import InputError
from rec_sys.settings import IndexCommon
from rec_sys.vector_database.catalogue import Catalogue
from rec_sys.vector_database.contract import ProductAnswer, ProductFilter, ProductQuery, UserTaste
from rec_sys.vector_database.exact import ExactRanking
from rec_sys.vector_database.search_request import VersionReader
from rec_sys.vector_database.searching import answer

_LOG: Final = logging.getLogger(__name__)

TOP: Final = 10  # products asked for
SCORE_TOLERANCE: Final = 1e-4  # of the score's size, at least 1; float32 sums of some hundred terms are off by 1e-6
_LONGEST_HISTORY: Final = 20
_RECENCY: Final = 0.9
_NOISE: Final = 0.3  # length of the random part of a user vector
_ASKED_AT_ONCE: Final = 16


@dataclass(frozen=True)
class Agreement:
    """How well answers agree with the exact ones.

    Attributes:
        recall: Share of the exact best products that is found, on average; one of equal score is as good.
        worst_score_error: Largest difference of a score, as a share of its size (at least 1).
    """

    recall: float
    worst_score_error: float


def verify_version(reader: VersionReader, catalogue: Catalogue, settings: IndexCommon) -> None:
    """Holds a version against the bundle that it was made from.

    Raises:
        InputError: A product is missing, or answers differ by more than the settings allow.
    """
    place = f"version {reader.version.name}, which is not served"
    count = reader.count()
    if count != len(catalogue):
        raise InputError(
            f"the new version holds {count:,} products, the bundle {len(catalogue):,}",
            where=place,
            remedy="publish again; if it stays, look at the log of the index",
        )
    queries = draw_users(catalogue, settings.check_queries, seed=0)
    answers = []
    for start in range(0, len(queries), _ASKED_AT_ONCE):
        answers += answer(reader, queries[start : start + _ASKED_AT_ONCE], settings)
    found = compare(answers, queries, ExactRanking(catalogue))
    _LOG.info(
        f"checked: {count:,} products, {len(answers)} questions, recall {found.recall:.4f} of the exact best {TOP},"
        f" scores within {found.worst_score_error:.1e}"
    )
    if found.recall < settings.min_recall:
        raise InputError(
            f"the new version finds {found.recall:.4f} of the exact best {TOP}, {settings.min_recall} are asked for",
            where=place,
            remedy="raise index.candidates, index.hnsw_search_width or index.exact_below",
        )
    if found.worst_score_error > SCORE_TOLERANCE:
        raise InputError(
            f"scores of the new version differ by up to {found.worst_score_error:.1e} of their size",
            where=place,
            remedy="publish again; if it stays, the index computes something else than the model",
        )


def draw_users(catalogue: Catalogue, count: int, seed: int) -> list[ProductQuery]:
    """Invented users who have reviewed some products near each other, and ask for others."""
    generator = np.random.default_rng(seed)
    asins = catalogue.asins
    longest = min(_LONGEST_HISTORY, max(len(catalogue) // 2, 1))
    queries = []
    for _ in range(count):
        length = int(generator.integers(1, longest + 1))
        near = catalogue.vectors @ catalogue.vectors[generator.integers(len(catalogue))]
        pool = np.argpartition(-near, min(4 * length, len(near)) - 1)[: 4 * length]
        history = generator.choice(pool, min(length, len(pool)), replace=False)
        noise = generator.normal(size=catalogue.vectors.shape[1])
        vector = catalogue.vectors[history].mean(axis=0) + _NOISE * noise / np.linalg.norm(noise)
        taste = UserTaste(
            (vector / np.linalg.norm(vector)).astype(np.float32),
            {int(product): _RECENCY**place for place, product in enumerate(history)},
        )
        left_out = ProductFilter(not_seen=frozenset(asins[product] for product in history))
        queries.append(ProductQuery(taste, left_out, limit=TOP))
    return queries


def compare(answers: Sequence[ProductAnswer], queries: Sequence[ProductQuery], exact: ExactRanking) -> Agreement:
    """Holds the first pages of answers against the exact ones; a product that may not be answered counts as wrong."""
    recalls, worst = [], 0.0
    for given, query in zip(answers, queries, strict=True):
        true = exact.query_scores([query])[0]
        best = np.sort(true)[::-1][: query.limit]
        wanted = best[np.isfinite(best)]
        known = [hit for hit in given.hits if hit.product.product_index is not None]
        own = true[[hit.product.product_index for hit in known]] if known else np.zeros(0, dtype=np.float32)
        if len(own):
            told = np.array([hit.score for hit in known], dtype=np.float32)
            worst = max(worst, float((np.abs(told - own) / np.maximum(np.abs(told), 1)).max()))
        if len(wanted):
            slack = SCORE_TOLERANCE * max(abs(float(wanted[-1])), 1.0)
            recalls.append(min(int((own >= wanted[-1] - slack).sum()), len(wanted)) / len(wanted))
    return Agreement(float(np.mean(recalls)) if recalls else 1.0, worst)
