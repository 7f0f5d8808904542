"""What the validation split chooses of the score beside towers and memory: rare products, popularity, repeats."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from rec_sys import ragged
from rec_sys.data.interactions import FloatArray
from rec_sys.data.queries import Queries
from rec_sys.evaluation.ranking_metrics import ndcg
from rec_sys.evaluation.ranks import rank_targets
from rec_sys.modules.hybrid_score import MemoryTerm
from rec_sys.modules.memory import CoReviewMemory
from rec_sys.score_terms import RepeatRates
from rec_sys.train.calibration import ndcg_of_choices

_LOG: Final = logging.getLogger(__name__)

_LEAST_ERROR: Final = 1e-9

Towers = Callable[[npt.NDArray[np.int64]], FloatArray]
FloatsByQuery = npt.NDArray[np.float64]


def choose_rare(
    towers: Towers, queries: Queries, term: MemoryTerm, memory: CoReviewMemory, query_batch: int
) -> MemoryTerm:
    """The term with a memory that knows rare products too, where NDCG@10, history masked, is no worse for it.

    They are asked for so rarely that no gain of the whole is asked of them.
    """
    placed, weights = replace(term, memory=memory, rare=True), (term.formula.memory_weight,)
    found = ndcg_of_choices(towers, queries, {0.0: term, 1.0: placed}, weights, query_batch)
    without, with_them = (float(values.mean()) for values in found.values())
    chosen = placed if with_them >= without else term
    _LOG.info(
        f"rare products: validation {'places them' if chosen.rare else 'leaves them'}, ndcg_at_10_masked"
        f" {with_them:.4f} with their columns and {without:.4f} without"
    )
    return chosen


def choose_popularity(
    towers: Towers,
    queries: Queries,
    term: MemoryTerm,
    counts: FloatArray,
    popularity: Mapping[float, FloatArray],
    memory_weights: tuple[float, ...],
    weights: tuple[float, ...],
    query_batch: int,
) -> MemoryTerm:
    """The term with the weights of memory and popularity that validation chooses, NDCG@10 with the history masked.

    The window that follows is not this one, and the best choice here owes something to chance. So of all choices that
    are not worse than the best by two paired standard errors, that one is taken whose gain over plain popularity is
    the surest: the largest mean in its standard errors.

    Args:
        towers: Gives the logits of query rows.
        queries: The validation split's.
        term: Holds the memory; its own weights are not read.
        counts: float32 `[num_products]`, plain popularity.
        popularity: The same by half-life in days.
        memory_weights: To choose from.
        weights: To choose from, of the popularity.
        query_batch: Queries scored at once.
    """
    choices = [
        (days, weight, of_memory)
        for days in popularity
        for weight in weights
        for of_memory in memory_weights
        if weight or days == next(iter(popularity))
    ]
    parts: list[list[FloatsByQuery]] = [[] for _ in choices]
    plain: list[FloatsByQuery] = []
    for rows in _batches(queries, query_batch):
        plain.append(_ndcg(np.broadcast_to(counts, (len(rows), len(counts))), queries, rows)[1])
        logits, remembered = towers(rows), term.unweighted(queries, rows)
        for part, (days, weight, of_memory) in zip(parts, choices, strict=True):
            scores = logits + np.float32(of_memory) * remembered + np.float32(weight) * popularity[days]
            part.append(_ndcg(scores, queries, rows)[1])
    values = np.array([np.concatenate(part) for part in parts])  # [num_choices, num_queries]
    chosen = _surest(values, np.concatenate(plain))
    best, (days, weight, of_memory) = values.mean(axis=1).max(), choices[chosen]
    _LOG.info(
        f"popularity: validation chose weight {weight:g} (half-life {days:g} days) and memory weight {of_memory:g} of"
        f" {len(choices)} choices, ndcg_at_10_masked {values[chosen].mean():.4f}; the best is {best:.4f}"
    )
    if not weight:
        return replace(term, formula=term.formula.model_copy(update={"memory_weight": of_memory}))
    changes = {"memory_weight": of_memory, "popularity_weight": weight, "popularity_half_life": days}
    return replace(term, formula=term.formula.model_copy(update=changes), popularity=popularity[days])


def choose_repeats(
    towers: Towers,
    queries: Queries,
    term: MemoryTerm,
    rates: RepeatRates,
    weights: tuple[float, ...],
    query_batch: int,
) -> MemoryTerm:
    """The term with the smallest weight of repeats that has the best NDCG@10 of validation with nothing masked.

    Masked rankings leave these products out and are the same with every weight; but where the history holds kinds of
    events that are not predicted, they leave in what was only looked at, and decide. The arguments are as above.
    """
    formulas = [
        term.formula.model_copy(update={"repeats": rates.model_copy(update={"weight": weight})}) for weight in weights
    ]
    totals = np.zeros(len(weights))
    masked = int(queries.history_known is not None)
    for rows in _batches(queries, query_batch):
        scores = towers(rows) + replace(term, formula=term.formula.model_copy(update={"repeats": None})).score(
            queries, rows
        )
        for place, formula in enumerate(formulas):
            added = replace(term, formula=formula).repeats(queries, rows)
            totals[place] += float(_ndcg(scores + added, queries, rows)[masked].sum())
    best = int(np.argmax(totals))  # the first of equal ones
    _LOG.info(
        f"repeats: validation chose weight {weights[best]:g} of {len(weights)} choices,"
        f" {'ndcg_at_10_masked' if masked else 'ndcg_at_10'} {totals[best] / len(queries):.4f}"
    )
    return term if weights[best] == 0 else replace(term, formula=formulas[best])


def _surest(values: FloatsByQuery, plain: FloatsByQuery) -> int:
    """The choice, a row of `values` `[num_choices, num_queries]`, that `choose_popularity` takes."""

    def error_of(differences: FloatsByQuery) -> FloatsByQuery:
        deviation = differences.std(axis=1, ddof=1) if differences.shape[1] > 1 else np.ones(len(differences))
        error: FloatsByQuery = np.maximum(deviation / np.sqrt(differences.shape[1]), _LEAST_ERROR)
        return error

    behind, gain = values[values.mean(axis=1).argmax()] - values, values - plain
    near = behind.mean(axis=1) <= 2 * error_of(behind)
    return int(np.where(near, gain.mean(axis=1) / error_of(gain), -np.inf).argmax())


def _batches(queries: Queries, query_batch: int) -> Iterator[npt.NDArray[np.int64]]:
    for start in range(0, len(queries), query_batch):
        yield np.arange(start, min(start + query_batch, len(queries)))


def _ndcg(scores: FloatArray, queries: Queries, rows: npt.NDArray[np.int64]) -> tuple[FloatsByQuery, FloatsByQuery]:
    """NDCG@10 of each of the rows, unmasked and masked."""
    offsets, targets = ragged.take_rows(queries.target_offsets, rows)
    asked = ragged.row_of_entries(offsets), queries.target_products[targets]
    ranks = rank_targets(scores, *asked, *queries.masked_products(rows))
    unmasked, masked = (ndcg(one, offsets, k=10).astype(np.float64) for one in ranks)
    return unmasked, masked
