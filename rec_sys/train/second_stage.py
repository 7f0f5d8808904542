"""Learns a ranker on earlier stages of the train split, and takes it only where two later ones show a gain.

Validation alone would choose too much: what gains there by five errors may gain nothing on test. So the trees are first
learned on the older of two earlier stages and asked on the newer one, then learned on both and asked on validation.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import polars as pl

from rec_sys.bundle_manifest import RankerCard
from rec_sys.contracts import SplitName
from rec_sys.data.interactions import Interactions
from rec_sys.data.splits import Split, earlier_stages
from rec_sys.evaluation.cascade import Cascade
from rec_sys.evaluation.model_scorer import ModelScorer
from rec_sys.evaluation.ranking import Scorer, evaluate_ranking
from rec_sys.evaluation.second_stage import FirstStage, SecondStage
from rec_sys.evaluation.uncertainty import standard_error_of_mean
from rec_sys.graph.review_graph import ReviewGraph
from rec_sys.modules.hybrid_score import MemoryTerm
from rec_sys.ranker.boosting import RankingTable, fit_trees
from rec_sys.ranker.facts import ProductFacts, UserFacts
from rec_sys.ranker.features import feature_names
from rec_sys.ranker.trees import Trees
from rec_sys.settings import ModelSettings, Settings
from rec_sys.train.assembly import fit_term_again
from rec_sys.train.lightning_module import ReviewGraphLearner

_LOG: Final = logging.getLogger(__name__)

WATCHED: Final = "ndcg_at_10_masked"
_SPREAD: Final = 0.5  # of the score that trees start from; .5 gained most on the sample's earlier stage and validation
_ERRORS: Final = 2.0  # paired standard errors that a gain has to exceed


@dataclass(frozen=True)
class StageGain:
    """What a ranker changes on the questions of one stage, in NDCG@10 with the history left out.

    Attributes:
        before: Of the first stage alone.
        after: Of both.
        error: Paired standard error of the difference.
        num_queries: Questions.
    """

    before: float
    after: float
    error: float
    num_queries: int

    @property
    def is_gain(self) -> bool:
        """Whether it is beyond chance."""
        return self.after - self.before > _ERRORS * self.error

    def figures(self) -> dict[str, float]:
        """The fields by name; an error that nobody knows is left out."""
        return {name: value for name, value in asdict(self).items() if np.isfinite(value)}

    def __str__(self) -> str:
        return f"{self.before:.4f} -> {self.after:.4f} ({self.after - self.before:+.4f} ± {self.error:.4f})"


@dataclass(frozen=True, eq=False)
class LearnedRanker:
    """The trees and what was measured of them.

    Attributes:
        trees: Learned on both earlier stages.
        settings: With which.
        features: What they read.
        earlier: What trees of the older stage alone change on the newer one.
        validation: What these change on validation.
        fit_seconds: What learning them took, without the candidates' features.
    """

    trees: Trees
    settings: ModelSettings
    features: tuple[str, ...]
    earlier: StageGain
    validation: StageGain
    fit_seconds: float

    @property
    def adopted(self) -> bool:
        """Whether the bundle gets them."""
        return self.earlier.is_gain and self.validation.is_gain

    def card(self) -> RankerCard:
        """What the bundle's manifest says of them."""
        return RankerCard(
            library=self.settings.ranker, candidates=self.settings.second_stage.candidates, features=self.features
        )

    def figures(self) -> dict[str, Any]:
        """The content of `metrics.json`."""
        found = {"library": self.settings.ranker, "adopted": self.adopted, "fit_seconds": self.fit_seconds}
        return found | {"earlier": self.earlier.figures(), "validation": self.validation.figures()}

    def describe(self) -> str:
        """For the log."""
        verdict = "is adopted" if self.adopted else "is left out, for want of a gain beyond two errors in both stages"
        return (
            f"ranker: {self.settings.ranker} {verdict}; {WATCHED} without and with it: an earlier stage {self.earlier},"
            f" validation {self.validation}; learned in {self.fit_seconds:.1f} s"
        )


def list_stages(interactions: Interactions, split: Split, settings: Settings) -> list[Split]:
    """The earlier stages that a ranker is learned from, the older first; none where there is to be no ranker."""
    if settings.model.ranker == "none":
        return []
    stages = earlier_stages(interactions, split, settings.evaluation, settings.seed)
    if len(stages) < 2:
        _LOG.warning("ranker: the train split is too small for two earlier stages; the bundle is written without one")
        return []
    return stages


class RankerTrial:
    """Learns a ranker and decides on it.

    Args:
        graph: The graph.
        products: The product table, see `contracts.ProductColumn`.
        people: What is known of the users.
        settings: Of the run.
        chosen: The memory's term and ridge strength that validation chose; None without a memory.
    """

    def __init__(
        self,
        graph: ReviewGraph,
        products: pl.DataFrame,
        people: UserFacts,
        settings: Settings,
        chosen: tuple[MemoryTerm, float] | None,
    ) -> None:
        self._graph, self._settings, self._chosen = graph, settings, chosen
        self._products, self._people = products, people

    @cached_property
    def _facts(self) -> ProductFacts:
        return ProductFacts.of_table(self._products, np.asarray(self._graph.product_text_vectors))

    def decide(self, stages: Sequence[ReviewGraphLearner], now: ReviewGraphLearner) -> LearnedRanker:
        """Learns on two earlier stages, each with its towers fitted, and asks the newer of them and `now`."""
        settings, batch = self._settings, self._settings.evaluation.query_batch
        older, newer = (self._first_stage(one, "validation", self._memory(one.split)) for one in stages)
        tables = older.table(batch), newer.table(batch)
        earlier = measure_gain(newer, self._fit(tables[0])[0], settings)
        trees, seconds = self._fit(tables[0].joined(tables[1]))
        term = self._chosen[0] if self._chosen else None
        validation = measure_gain(self._first_stage(now, "validation", term), trees, settings)
        features = feature_names(self._people.names)
        found = LearnedRanker(trees, settings.model, features, earlier, validation, seconds)
        _LOG.info(found.describe())
        return found

    def ranked(
        self, ranker: LearnedRanker | None, learner: ReviewGraphLearner, name: str, term: MemoryTerm | None
    ) -> Scorer | None:
        """Scores of the questions of validation or test in the ranker's order; None where it is not adopted."""
        if ranker is None or not ranker.adopted:
            return None
        return SecondStage(self._first_stage(learner, name, term), ranker.trees).score

    def cascade(
        self, ranker: LearnedRanker | None, learner: ReviewGraphLearner, term: MemoryTerm | None
    ) -> dict[str, dict[str, float]]:
        """What the stages of a cascade keep on test, with the trees adopted or not; nothing where none is asked for."""
        wanted = self._settings.evaluation.cascade
        if ranker is None or not wanted.enabled:
            return {}
        found = Cascade(self._first_stage(learner, "test", term), ranker.trees, wanted)
        return found.measure(self._settings.evaluation.query_batch)

    def _memory(self, split: Split) -> MemoryTerm | None:
        if self._chosen is None:
            return None
        term, l2 = self._chosen
        return fit_term_again(term, self._graph, split, self._settings, l2)

    def _first_stage(self, learner: ReviewGraphLearner, name: str, term: MemoryTerm | None) -> FirstStage:
        """A first stage on the questions of validation, or of test, asked once or daily: each sees what is past."""
        split, later = learner.split, {"validation": [], "test": [SplitName.VALIDATION]}
        later["daily"] = [SplitName.VALIDATION, SplitName.TEST]
        known = [SplitName.TRAIN, SplitName.HISTORY, *later[name]]
        if name == "daily" and term is not None:
            term = term.as_of_each_question(self._graph.interactions)
        towers = ModelScorer(learner.model, learner.builders[name], getattr(split, name))
        visible = np.isin(split.of_review, known)
        limit = self._settings.model.second_stage.candidates
        return FirstStage(towers, term, visible, self._facts, self._people, limit)

    def _fit(self, table: RankingTable) -> tuple[Trees, float]:
        began = time.perf_counter()
        trees = learn_trees(table, self._settings.model, self._settings.seed)
        return trees, time.perf_counter() - began


def learn_trees(table: RankingTable, settings: ModelSettings, seed: int) -> Trees:
    """Trees whose values are added to the first stage's score, whatever unit that has.

    The libraries' losses read it as logits, so they are given one of the same spread each time.
    """
    unit = np.float32(max(table.spread() / _SPREAD, 1e-9))
    trees, _ = fit_trees(settings.ranker, replace(table, score=table.score / unit), settings.second_stage, seed)
    return replace(trees, value=trees.value * unit)


def measure_gain(first: FirstStage, trees: Trees, settings: Settings) -> StageGain:
    """Asks a stage's questions with the trees and without."""
    values = []
    for scorer in (first.score, SecondStage(first, trees).score):
        ranking = evaluate_ranking(scorer, first.queries, len(first.facts), (10,), settings.evaluation.query_batch)
        values.append(ranking.per_query[WATCHED].to_numpy())
    error = standard_error_of_mean(values[1] - values[0])
    return StageGain(float(values[0].mean()), float(values[1].mean()), error, len(values[0]))
