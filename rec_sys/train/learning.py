"""What one split teaches: the memory, the towers where they are wanted, and whether those are worth having."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch

from rec_sys.data.splits import Split
from rec_sys.graph.review_graph import ReviewGraph
from rec_sys.modules.hybrid_score import MemoryTerm
from rec_sys.modules.memory_towers import set_memory_towers
from rec_sys.settings import Settings
from rec_sys.tracking import Tracker
from rec_sys.train.assembly import add_terms, fit_term_again, fit_terms, make_builders, make_model, tune_co_review
from rec_sys.train.fitting import fit
from rec_sys.train.fused_validation import FusedValidation, TowerGain
from rec_sys.train.lightning_module import ReviewGraphLearner, best_epoch
from rec_sys.train.process_group import from_first
from rec_sys.train.run_folder import is_first_process

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class Learned:
    """A model with its memory.

    Attributes:
        learner: The towers, with their builders, split and history.
        settings: Those asked for, `model.tower=auto` decided.
        is_first: Whether this process writes the results.
        memory_term: The memory; None where there is none.
        l2: Its ridge strength.
        gain: What validation found of the towers; None where it was not asked.
    """

    learner: ReviewGraphLearner
    settings: Settings
    is_first: bool
    memory_term: MemoryTerm | None = None
    l2: float = 0.0
    gain: TowerGain | None = None


def learn(graph: ReviewGraph, split: Split, settings: Settings, checkpoints: Path, tracker: Tracker) -> Learned:
    """Learns the train split; epoch, memory, its weight and `model.tower=auto` are chosen on validation."""
    learner = _fresh(graph, split, settings)
    known = learner.builders["validation"]
    # The first process measures for all; whether towers are worth having, each may have to find out for itself.
    terms = fit_terms(known, split, settings) if is_first_process() or settings.model.tower == "auto" else {}
    if terms:
        weights, batch = settings.model.co_review.weights, settings.evaluation.query_batch
        learner.fused = FusedValidation(split.validation, terms, weights, batch)
    if settings.model.tower == "none":
        return _memory_alone(learner, settings, None)
    is_first = fit(learner, checkpoints, tracker)
    gain = None
    if settings.model.tower == "auto":
        gain = learner.trial if learner.add_nothing else from_first(learner.measure_gain)
        if learner.add_nothing or gain is None or gain.fused <= gain.memory:
            return _memory_alone(learner, settings, gain)
    chosen = tune_co_review(learner.model, known, split, settings, terms) if is_first else None
    memory_term, l2 = chosen or (None, 0.0)
    return Learned(learner, _decided(settings, "attention", l2), is_first, memory_term, l2, gain)


def learn_again(learned: Learned, split: Split, checkpoints: Path, tracker: Tracker) -> Learned:
    """The same on a larger train split, with what validation chose before."""
    settings, term = learned.settings, learned.memory_term
    learner = _fresh(learned.learner.builders["train"].graph, split, settings)
    is_first = learned.is_first
    if term is not None:
        term = fit_term_again(term, learner.builders["train"].graph, split, settings, learned.l2)
    if settings.model.tower == "none":
        _set_memory_towers(learner, term, settings.seed)
    else:
        epochs = best_epoch(learned.learner.history) + 1
        _LOG.info(f"train again: {epochs} epochs on {len(split.train_edges):,} reviews")
        is_first = fit(learner, checkpoints, tracker, epochs)
    return replace(learned, learner=learner, is_first=is_first, memory_term=term)


def _fresh(graph: ReviewGraph, split: Split, settings: Settings) -> ReviewGraphLearner:
    builders = make_builders(graph, split, settings)
    model = make_model(graph, split, builders["train"], settings)
    return ReviewGraphLearner(model, settings.trainer, settings.evaluation, settings.seed, split, builders)


def _memory_alone(tried: ReviewGraphLearner, settings: Settings, gain: TowerGain | None) -> Learned:
    """Without trained towers: those in closed form stand in for them."""
    fused = tried.fused
    assert fused is not None  # the settings refuse a model of nothing
    settings = _decided(settings, "none", fused.l2)
    learner = _fresh(tried.builders["train"].graph, tried.split, settings)
    found = str(gain or "no tower asked")
    _LOG.info(
        f"train: the memory ranks alone, {settings.model.co_review.method}, l2 {fused.l2:g}:"
        f" ndcg_at_10_masked {fused.memory_figure:.4f} on validation ({found})"
    )
    _set_memory_towers(learner, fused.memory_alone, settings.seed)
    known, split = learner.builders["validation"], learner.split
    term = add_terms(fused.memory_alone, learner.model, known, split, settings)
    return Learned(learner, settings, is_first_process(), term, fused.l2, gain)


def _set_memory_towers(learner: ReviewGraphLearner, term: MemoryTerm | None, seed: int) -> None:
    assert term is not None
    graph = learner.builders["train"].graph
    products = graph.interactions.product_index[learner.split.train_edges]
    reviewed = np.bincount(products, minlength=graph.interactions.num_products)
    texts = torch.from_numpy(np.array(graph.product_text_vectors)).float()
    set_memory_towers(learner.model, term.memory, reviewed, texts, seed)


def _decided(settings: Settings, tower: Literal["attention", "none"], l2: float) -> Settings:
    """The settings with what validation has decided, as the bundle keeps them."""
    memory = settings.model.co_review
    if memory.method == "best":
        memory = memory.model_copy(update={"method": "ridge" if l2 else "counts"})
    return settings.model_copy(
        update={"model": settings.model.model_copy(update={"tower": tower, "co_review": memory})}
    )
