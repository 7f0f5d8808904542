"""What validation chooses for users of one review or a few: how much the memory and the popularity say then."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from rec_sys import ragged
from rec_sys.data.interactions import FloatArray
from rec_sys.data.queries import Queries, truncate_histories
from rec_sys.evaluation.ranking_metrics import ndcg
from rec_sys.evaluation.ranks import rank_targets
from rec_sys.modules.hybrid_score import MemoryTerm
from rec_sys.scoring import ShortHistory
from rec_sys.settings import ShortHistorySettings

_LOG: Final = logging.getLogger(__name__)

Towers = Callable[[npt.NDArray[np.int64]], FloatArray]
_MOST_ASKED: Final = 2_000  # questions, whose error is small enough
_ERRORS: Final = 2.0  # by how many paired standard errors a choice must beat what holds for all others


def choose_short_histories(
    towers_of: Callable[[Queries], Towers],
    queries: Queries,
    term: MemoryTerm,
    popularity: FloatArray,
    settings: ShortHistorySettings,
    query_batch: int,
) -> MemoryTerm:
    """The term with weights of its own for short histories, where validation finds a gain beyond the paired error.

    Each question is asked again with only the first reviews of its history, NDCG@10 with all of the history masked:
    the memory has counted the rest of it with the first reviews.

    Args:
        towers_of: Gives the towers' logits of questions.
        queries: The validation split's.
        term: As chosen for all histories.
        popularity: float32 `[num_products]`, at most 1; the term's own where it has one.
        settings: What to choose from.
        query_batch: Questions scored at once.
    """
    popularity = popularity if term.popularity is None else term.popularity
    choices = [
        ShortHistory(memory=memory, popularity=weight)
        for memory in dict.fromkeys((1.0, *settings.memory))
        for weight in dict.fromkeys((0.0, *settings.popularity))
    ]
    short: list[ShortHistory] = []
    for length in range(1, settings.lengths + 1):
        whole = np.flatnonzero(np.diff(queries.history_offsets) >= length)
        if len(whole) < 2:
            break
        values = _measure(towers_of, queries, whole, length, term, popularity, choices, query_batch)
        gain = values - values[0]
        error = gain.std(axis=1, ddof=1) / np.sqrt(gain.shape[1])
        best = int(np.argmax(np.where(gain.mean(axis=1) > _ERRORS * error, gain.mean(axis=1), 0)))
        short.append(choices[best])
        _LOG.info(
            f"histories of {length}: validation chose {choices[best].memory:g} of the memory's weight and popularity"
            f" {choices[best].popularity:g} of {len(choices)} choices, ndcg_at_10_masked {values[best].mean():.4f}"
            f" against {values[0].mean():.4f}"
        )
    while short and short[-1] == choices[0]:
        short.pop()
    if not short:
        return term
    chosen = replace(term, formula=term.formula.model_copy(update={"short": tuple(short)}))
    return replace(chosen, popularity=popularity) if chosen.formula.reads_popularity else chosen


def _measure(
    towers_of: Callable[[Queries], Towers],
    queries: Queries,
    whole: npt.NDArray[np.int64],
    length: int,
    term: MemoryTerm,
    popularity: FloatArray,
    choices: list[ShortHistory],
    query_batch: int,
) -> npt.NDArray[np.float64]:
    """NDCG@10 of each choice and question, `[num_choices, n]`; `whole` are the questions that can be cut."""
    cut = truncate_histories(queries, length)
    weight = np.float32(term.formula.memory_weight)
    towers = towers_of(cut)
    parts: list[list[npt.NDArray[np.float64]]] = [[] for _ in choices]
    measured = cut.spread(_MOST_ASKED)
    for rows in np.array_split(measured, -(-len(measured) // query_batch)):
        logits = towers(rows)
        offsets, targets = ragged.take_rows(cut.target_offsets, rows)
        asked = ragged.row_of_entries(offsets), cut.target_products[targets]
        known = queries.masked_products(whole[rows])
        remembered = weight * term.unweighted(cut, rows)
        others = logits + term.score(cut, rows) - remembered
        for part, choice in zip(parts, choices, strict=True):
            scores = others + np.float32(choice.memory) * remembered + np.float32(choice.popularity) * popularity
            part.append(ndcg(rank_targets(scores, *asked, *known)[1], offsets, k=10).astype(np.float64))
    return np.array([np.concatenate(part) for part in parts])
