"""What validation says of towers and memory together: training is stopped by this figure, and `model.tower=auto`
trains towers only while it is better than the memory's alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from rec_sys.data.interactions import FloatArray
from rec_sys.data.queries import Queries
from rec_sys.evaluation.uncertainty import standard_error_of_mean
from rec_sys.modules.hybrid_score import MemoryTerm
from rec_sys.train.calibration import ndcg_of_choices

_AROUND: Final = 1  # weights on either side of the last epoch's; more would not be chosen from one epoch to the next


@dataclass(frozen=True)
class TowerGain:
    """NDCG@10 on the validation questions, history masked.

    Attributes:
        memory: Of the memory alone.
        fused: Of towers and memory.
        error: Paired standard error of their difference.
    """

    memory: float
    fused: float
    error: float

    @property
    def is_clear(self) -> bool:
        """Whether the towers add more than the error."""
        return self.fused - self.memory > self.error

    def __str__(self) -> str:
        return f"towers and memory {self.fused:.4f}, memory alone {self.memory:.4f}, paired error {self.error:.4f}"


class FusedValidation:
    """Measures towers beside the memory, whose ridge strength the memory alone has chosen.

    Args:
        queries: The validation questions.
        terms: Memories fitted on the train split, by ridge strength.
        weights: Of the memory against the towers' logits.
        query_batch: Questions scored at once.
    """

    def __init__(
        self, queries: Queries, terms: Mapping[float, MemoryTerm], weights: tuple[float, ...], query_batch: int
    ) -> None:
        self._queries, self._query_batch = queries, query_batch
        self._weights = tuple(sorted(weights))
        alone = ndcg_of_choices(None, queries, terms, (1.0,), query_batch)
        (self.l2, _), self._alone = max(alone.items(), key=lambda item: (item[1].mean(), item[0][0]))
        self.terms = terms

    @property
    def memory_alone(self) -> MemoryTerm:
        """The memory's term where nothing stands beside it."""
        term = self.terms[self.l2]
        return replace(term, formula=term.formula.model_copy(update={"memory_weight": 1.0}))

    @property
    def memory_figure(self) -> float:
        """NDCG@10 of the memory alone."""
        return float(self._alone.mean())

    def measure(
        self,
        towers: Callable[[npt.NDArray[np.int64]], FloatArray],
        last: float | None = None,
        most: int | None = None,
    ) -> tuple[MemoryTerm, TowerGain]:
        """The memory's term with the weight that suits the towers best, and what both reach.

        Args:
            towers: Logits of question rows.
            last: The weight of the epoch before; only its neighbours are tried then.
            most: Questions to ask at most; None = all.
        """
        tried = self._weights
        if last in tried:
            place = tried.index(last)
            tried = tried[max(place - _AROUND, 0) : place + _AROUND + 1]
        asked = self._queries.spread(most or len(self._queries))
        terms = {self.l2: self.terms[self.l2]}
        found = ndcg_of_choices(towers, self._queries, terms, tried, self._query_batch, asked)
        (_, weight), fused = max(found.items(), key=lambda item: (item[1].mean(), -item[0][1]))
        term, alone = self.terms[self.l2], self._alone[asked]
        chosen = replace(term, formula=term.formula.model_copy(update={"memory_weight": weight}))
        return chosen, TowerGain(float(alone.mean()), float(fused.mean()), standard_error_of_mean(fused - alone))
