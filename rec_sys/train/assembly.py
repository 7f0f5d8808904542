"""Puts the parts of a training run together: what may be read when, the fresh model, and the memory beside it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import torch

from rec_sys.contracts import MILLISECONDS_A_DAY, SplitName
from rec_sys.data.interactions import FloatArray, Interactions
from rec_sys.data.splits import BY_TIME, Split
from rec_sys.evaluation.model_scorer import ModelScorer
from rec_sys.graph.block_builder import BlockBuilder
from rec_sys.graph.product_hop import ProductHop
from rec_sys.graph.rating_offsets import fit_rating_offsets
from rec_sys.graph.review_graph import ReviewGraph
from rec_sys.graph.sampler import TemporalSampler
from rec_sys.modules.counted_memory import count_memory
from rec_sys.modules.hybrid_score import MemoryTerm
from rec_sys.modules.memory import CoReviewMemory, fit_memories
from rec_sys.modules.placing import train_reviews, with_rare
from rec_sys.modules.repeats import fit_repeats
from rec_sys.modules.review_graph_model import ReviewGraphModel
from rec_sys.score_terms import popularity_of
from rec_sys.scoring import ScoreFormula
from rec_sys.settings import MemorySettings, Settings
from rec_sys.train.calibration import choose_memory_term
from rec_sys.train.short_histories import choose_short_histories
from rec_sys.train.term_choice import choose_popularity, choose_rare, choose_repeats

_LOG: Final = logging.getLogger(__name__)

_STATISTICS_SAMPLE = 20_000  # text vectors that mean and scale are computed from


def make_builders(graph: ReviewGraph, split: Split, settings: Settings) -> dict[str, BlockBuilder]:
    """What may be read when: histories grow from train to test, products are read from the train split alone.

    `daily` reads the test split too, each question what lies below its bound.
    """
    train = split.of_review == SplitName.TRAIN
    known = train | (split.of_review == SplitName.HISTORY)
    before_test = known | (split.of_review == SplitName.VALIDATION)
    histories = {"train": train, "validation": known, "test": before_test}
    histories["daily"] = before_test | (split.of_review == SplitName.TEST)
    offsets = fit_rating_offsets(graph, split.train_edges, settings.model.offset_pseudo_counts)
    hop = ProductHop(graph, train, settings.graph.product_transitions) if settings.model.product_hop else None
    return {
        name: BlockBuilder(
            TemporalSampler(graph, user_side=history, product_side=train),
            split.text_visible,
            offsets,
            settings.graph.user_reviews,
            settings.graph.product_reviews,
            hop,
            split.of_kind,
        )
        for name, history in histories.items()
    }


def make_model(graph: ReviewGraph, split: Split, train_builder: BlockBuilder, settings: Settings) -> ReviewGraphModel:
    """A fresh model, seeded, with the statistics of the train split."""
    torch.manual_seed(settings.seed)
    model = ReviewGraphModel(graph.interactions.num_products, graph.text_dim, settings.model, settings.graph)
    edges = split.train_edges[split.text_visible[split.train_edges]]
    rows = graph.text_row[edges]
    rows = rows[rows >= 0]
    if len(rows) > _STATISTICS_SAMPLE:
        rows = np.random.default_rng(settings.seed).choice(rows, _STATISTICS_SAMPLE, replace=False)
    product_text = np.array(graph.product_text_vectors)
    model.fit_statistics(
        torch.from_numpy(np.asarray(graph.text_vectors[np.sort(rows)])),
        torch.from_numpy(product_text[np.any(product_text, axis=1)]),
        train_builder.offsets,
    )
    return model


def fit_co_review(graph: ReviewGraph, split: Split, settings: MemorySettings, l2: float) -> CoReviewMemory:
    """The co-review memory of the train split; a ridge strength of 0 is for counts, which have none."""
    return _fit_each(graph, split, settings, (l2,))[l2]


def _fit_each(
    graph: ReviewGraph, split: Split, settings: MemorySettings, strengths: Sequence[float]
) -> dict[float, CoReviewMemory]:
    columns, edges = graph.interactions, split.train_edges
    size, weight = (columns.num_users, columns.num_products), columns.weights_of(edges)
    counted = [l2 for l2 in strengths if settings.method == "counts" or (settings.method == "best" and l2 == 0)]
    found: dict[float, CoReviewMemory] = {}
    if len(counted) < len(strengths):
        reviewed = columns.user_index[edges], columns.product_index[edges]
        solved = [l2 for l2 in strengths if l2 not in counted]
        found = fit_memories(*reviewed, *size, settings, solved, weight)
    if counted:
        found |= dict.fromkeys(counted, count_memory(train_reviews(graph, split), *size, settings))
    return found


def fit_terms(builder: BlockBuilder, split: Split, settings: Settings) -> dict[float, MemoryTerm]:
    """Memories of the train split by their ridge strengths, not weighted yet; none where the model has no memory."""
    if settings.model.memory == "none":
        return {}
    wanted = settings.model.co_review
    strengths = {"ridge": wanted.l2, "counts": wanted.l2[:1], "best": (*wanted.l2, 0.0)}[wanted.method]
    columns = builder.graph.interactions
    time = columns.timestamp if columns.has_time else None
    formula = make_formula(settings.model.temperature, wanted)
    read = formula, settings.graph.user_reviews, time, columns.weight
    memories = _fit_each(builder.graph, split, wanted, strengths)
    return {l2: MemoryTerm(memory, *read) for l2, memory in memories.items()}


def tune_co_review(
    model: ReviewGraphModel,
    builder: BlockBuilder,
    split: Split,
    settings: Settings,
    terms: Mapping[float, MemoryTerm] | None = None,
) -> tuple[MemoryTerm, float] | None:
    """Lets the validation split, whose history the builder sees, choose among memories fitted on the train split.

    Args:
        model: The towers.
        builder: Reads for validation.
        split: The split.
        settings: All settings.
        terms: What `fit_terms` has given; None: they are fitted here.

    Returns:
        The memory's term of the score, with popularity and repeats where they pay, and the memory's ridge strength;
        None where the model has no memory.
    """
    terms = fit_terms(builder, split, settings) if terms is None else terms
    if not terms:
        return None
    wanted, batch = settings.model.co_review, settings.evaluation.query_batch
    towers = ModelScorer(model, builder, split.validation).score
    l2, term, figures = choose_memory_term(towers, split.validation, terms, wanted.weights, batch)
    weight = term.formula.memory_weight
    _LOG.info(
        f"memory: validation chose l2 {l2:g} and weight {weight:g} of {len(figures)} choices,"
        f" ndcg_at_10_masked {figures[f'{l2:g}/{weight:g}']:.4f}"
    )
    return add_terms(term, model, builder, split, settings), l2


def add_terms(
    term: MemoryTerm,
    model: ReviewGraphModel,
    builder: BlockBuilder,
    split: Split,
    settings: Settings,
) -> MemoryTerm:
    """The term with rare products, popularity and repeats where validation, beside the towers, finds that they pay."""
    wanted, batch, columns = settings.model.co_review, settings.evaluation.query_batch, builder.graph.interactions
    towers = ModelScorer(model, builder, split.validation).score
    if settings.model.newcomers.rare:
        memory = with_rare(builder.graph, split, term.memory, settings.model.newcomers)
        term = choose_rare(towers, split.validation, term, memory, batch)
    if settings.evaluation.protocol in BY_TIME:
        counts, offered = past_popularity(columns, split, None), settings.model.popularity
        past = {days: past_popularity(columns, split, days) for days in offered.half_life_days}
        if any(offered.weights):
            weights = wanted.weights, offered.weights
            term = choose_popularity(towers, split.validation, term, counts, past, *weights, batch)
    asked = columns.of_kinds(settings.evaluation.target_events)
    rates = fit_repeats(columns, split.train_edges, settings.graph.user_reviews, asked)
    if rates is not None:
        term = choose_repeats(towers, split.validation, term, rates, settings.model.repeats.weights, batch)
    return choose_short_histories(
        lambda queries: ModelScorer(model, builder, queries).score,
        split.validation,
        term,
        past_popularity(columns, split, None),
        settings.model.short_histories,
        batch,
    )


def fit_term_again(term: MemoryTerm, graph: ReviewGraph, split: Split, settings: Settings, l2: float) -> MemoryTerm:
    """A term that was chosen, of another train split: its memory, popularity and repeats counted there."""
    columns, formula = graph.interactions, term.formula
    memory = fit_co_review(graph, split, settings.model.co_review, l2)
    if term.rare:
        memory = with_rare(graph, split, memory, settings.model.newcomers)
    if term.popularity is not None:
        term = replace(term, popularity=past_popularity(columns, split, formula.popularity_half_life))
    if formula.repeats is not None:
        asked = columns.of_kinds(settings.evaluation.target_events)
        rates = fit_repeats(columns, split.train_edges, term.limit, asked)
        rates = None if rates is None else rates.model_copy(update={"weight": formula.repeats.weight})
        term = replace(term, formula=formula.model_copy(update={"repeats": rates}))
    return replace(term, memory=memory)


def past_popularity(columns: Interactions, split: Split, half_life_days: float | None) -> FloatArray:
    """The popularity of each product in the train split: float32 `[num_products]`."""
    edges = split.train_edges
    return popularity_of(
        columns.product_index[edges],
        columns.num_products,
        columns.timestamp[edges],
        columns.weights_of(edges),
        None if half_life_days is None else half_life_days * MILLISECONDS_A_DAY,
    )


def make_formula(temperature: float, settings: MemorySettings, memory_weight: float = 0.0) -> ScoreFormula:
    """The score's numbers as trained and set."""
    return ScoreFormula(
        temperature=temperature,
        memory_weight=memory_weight,
        recency=settings.recency,
        session=settings.session,
        session_days=settings.session_days,
    )
