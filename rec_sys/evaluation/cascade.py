"""A cascade, measured stage by stage: candidates by several ways, a filter, the first stage's best, the ranker's list.

The candidates are a union, so a product that one way misses may come by another. What each stage keeps of what users
took next, and what it costs, says where a cascade loses and where it spends.
"""

import time
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import sparse

from rec_sys import ragged
from rec_sys.data.interactions import BoolArray, FloatArray
from rec_sys.evaluation.ranking_metrics import capped_average_precision
from rec_sys.evaluation.ranks import NO_PRODUCT, rank_products
from rec_sys.evaluation.second_stage import FirstStage
from rec_sys.ranker.trees import Trees
from rec_sys.settings import CascadeSettings

WAYS: Final = ("towers", "memory", "popular", "repurchased", "same_brand")
_STAGES: Final = ("candidates", "filter", "best", "first_list", "ranked_list")


@dataclass
class StageFigures:
    """What a stage kept.

    Attributes:
        size: Products a question, mean.
        recall: Share of what was taken next that is among them, mean over the questions.
        capped_map: MAP of the list where the stage is one; else 0.
        milliseconds: A question.
    """

    size: float = 0.0
    recall: float = 0.0
    capped_map: float = 0.0
    milliseconds: float = 0.0


class Cascade:
    """A first stage and trees, asked stage by stage.

    Args:
        first: The first stage; its limit is how many products the ranker orders.
        trees: The ranker's, adopted or not.
        settings: How many candidates come by which way.
    """

    def __init__(self, first: FirstStage, trees: Trees, settings: CascadeSettings) -> None:
        self.first, self.trees, self.settings = first, trees, settings

    def measure(self, query_batch: int) -> dict[str, dict[str, float]]:
        """The figures of every way alone and of every stage, see `StageFigures`, by their names in order."""
        figures = {name: StageFigures() for name in (*WAYS, *_STAGES)}
        count = len(self.first.queries)
        for start in range(0, count, query_batch):
            self._add(np.arange(start, min(start + query_batch, count)), figures)
        for one in figures.values():
            for name, total in asdict(one).items():
                setattr(one, name, total / count)
        return {name: asdict(one) for name, one in figures.items()}

    def _add(self, rows: npt.NDArray[np.int64], figures: dict[str, StageFigures]) -> None:
        """Adds the sums over some questions."""
        settings, watch = self.settings, _Watch()
        scores, memory = self.first.parts(rows)
        ways = self._ways(rows, scores, memory)
        union = np.logical_or.reduce([*ways.values()])
        self._note(rows, union, figures["candidates"], watch.milliseconds())
        for name, chosen in ways.items():
            self._note(rows, chosen, figures[name], 0.0)
        kept = union & (self.first.sold_since(rows, settings.in_stock_days) > 0)
        kept[self.first.queries.masked_products(rows)] = False
        self._note(rows, kept, figures["filter"], watch.milliseconds())
        candidates = self.first.best(rows, np.where(kept, scores, np.float32(-np.inf)), memory)
        best = np.zeros_like(kept)
        best[candidates.row, candidates.product] = True
        self._note(rows, best, figures["best"], watch.milliseconds())
        self._note_list(rows, candidates.row, candidates.product, candidates.score, figures["first_list"], 0.0)
        watch.milliseconds()
        added = self.trees.predict(self.first.describe(rows, candidates))
        value = (candidates.score + added).astype(np.float32)
        self._note_list(rows, candidates.row, candidates.product, value, figures["ranked_list"], watch.milliseconds())

    def _ways(self, rows: npt.NDArray[np.int64], scores: FloatArray, memory: FloatArray) -> dict[str, BoolArray]:
        """Which products come by each way: bool `[len(rows), num_products]`."""
        wanted, queries = self.settings, self.first.queries
        offsets, entries = ragged.take_rows(queries.history_offsets, rows)
        reader, product = ragged.row_of_entries(offsets), queries.history_products[entries].astype(np.int64)
        recency = np.full(scores.shape, -np.inf, dtype=np.float32)
        recency[reader, product] = ragged.place_in_row(np.diff(offsets))  # of several the newest stands last
        brand, ones = self.first.facts.brand[:-1], np.ones(len(product), dtype=np.float32)
        history = sparse.csr_matrix((ones, (reader, product)), shape=scores.shape)
        near = (history @ brand @ brand.T).toarray() > 0
        sold = self.first.sold_since(rows, wanted.popular_days)
        ordered = {
            "towers": (scores - memory, wanted.towers),
            "memory": (memory, wanted.memory),
            "popular": (np.where(sold > 0, sold, np.float32(-np.inf)), wanted.popular),
            "repurchased": (recency, wanted.repurchased),
            "same_brand": (np.where(near, scores, np.float32(-np.inf)), wanted.same_brand),
        }
        return {name: _best(values, number) for name, (values, number) in ordered.items()}

    def _note(self, rows: npt.NDArray[np.int64], kept: BoolArray, found: StageFigures, milliseconds: float) -> None:
        offsets, target, row = self._targets(rows)
        hit = kept[row, target]
        found.recall += float((ragged.count_in_rows(offsets, hit) / np.diff(offsets)).sum())
        found.size += float(kept.sum())
        found.milliseconds += milliseconds

    def _note_list(
        self,
        rows: npt.NDArray[np.int64],
        row: npt.NDArray[np.int64],
        product: npt.NDArray[np.int64],
        score: FloatArray,
        found: StageFigures,
        milliseconds: float,
    ) -> None:
        length, size = self.settings.shown, len(self.first.facts)
        values = np.full((len(rows), size), -np.inf, dtype=np.float32)
        values[row, product] = score
        lists = rank_products(values, min(length, size), *self.first.queries.masked_products(rows))
        rank = np.full((len(rows), size + 1), np.inf)  # NO_PRODUCT is the last place
        np.put_along_axis(rank, lists, np.arange(1.0, lists.shape[1] + 1)[None], axis=1)
        listed = np.isfinite(rank[:, :size])
        offsets, target, at = self._targets(rows)
        self._note(rows, listed, found, milliseconds)
        found.capped_map += float(capped_average_precision(rank[at, target], offsets, length).sum())

    def _targets(
        self, rows: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Offsets, products and places in `rows` of what was taken next, each product once a question."""
        offsets, entries = ragged.take_rows(self.first.queries.target_offsets, rows)
        pairs = np.stack([ragged.row_of_entries(offsets), self.first.queries.target_products[entries]], axis=1)
        row, product = np.unique(pairs, axis=0).T
        return ragged.offsets_of(np.bincount(row, minlength=len(rows))), product, row


def _best(values: FloatArray, number: int) -> BoolArray:
    """bool like `values`: the best of each row, none at -inf; its history is not left out."""
    chosen = np.zeros((len(values), values.shape[1] + 1), dtype=np.bool_)  # NO_PRODUCT is the last place
    if number:
        nothing = np.empty(0, dtype=np.int64)
        lists = rank_products(values, min(number, values.shape[1]), nothing, nothing)
        np.put_along_axis(chosen, np.where(lists == NO_PRODUCT, values.shape[1], lists), True, axis=1)
    return chosen[:, :-1]


class _Watch:
    """Milliseconds since it was last looked at."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    def milliseconds(self) -> float:
        """They, which begin anew."""
        since, self._since = self._since, time.perf_counter()
        return 1000 * (self._since - since)
