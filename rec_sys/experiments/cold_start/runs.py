"""The trainings behind `rec_sys.experiments.cold_start`: of the whole model, and without some products."""

import logging
import warnings
from typing import Any, Final

import numpy as np

from rec_sys.baselines.content import ContentBaseline
from rec_sys.baselines.popular import PopularBaseline
from rec_sys.baselines.reviews import TrainingReviews
from rec_sys.baselines.settings import NoSettings
from rec_sys.data.prepare import prepare
from rec_sys.data.queries import Queries, truncate_histories
from rec_sys.data.splits import Split, split_reviews
from rec_sys.evaluation.model_scorer import ModelScorer
from rec_sys.experiments.cold_start.new_products import NewProducts, Trained
from rec_sys.experiments.cold_start.protocol import (
    OWN,
    Scorer,
    Withheld,
    compare_scorers,
    score_by_histories,
    withhold_products,
)
from rec_sys.experiments.cold_start.settings import ColdStartProtocol
from rec_sys.graph.build import build_graph
from rec_sys.graph.review_graph import ReviewGraph
from rec_sys.product_kinds import ProductKinds
from rec_sys.settings import Settings
from rec_sys.tracking import Tracker
from rec_sys.train.assembly import make_builders, make_model, tune_co_review
from rec_sys.train.fitting import fit, limit_threads
from rec_sys.train.lightning_module import ReviewGraphLearner
from rec_sys.train.run_folder import RunFolder
from rec_sys.train.train import LIBRARY_NOISE

_LOG: Final = logging.getLogger(__name__)


def measure_cold_start(
    settings: Settings, wanted: ColdStartProtocol
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Both measurements of one seed.

    Returns:
        For each case and name these, the `seed` and the figures of `compare_scorers`; the points of
        `NewProducts.trade_off`.
    """
    for message in LIBRARY_NOISE:
        warnings.filterwarnings("ignore", message=message)
    dataset = prepare(settings.data, settings.output_dir, engine=settings.engine)
    graph, _ = build_graph(dataset, settings.graph, settings.text, settings.seed, settings.output_dir, settings.engine)
    split = split_reviews(graph.interactions, settings.evaluation, settings.seed)
    batch = settings.evaluation.query_batch
    cases = _short_histories(graph, split, _train(graph, split, settings, "whole"), wanted.history_lengths, batch)
    withheld = withhold_products(graph.interactions, split, wanted.withheld_share, wanted.first_reviews, settings.seed)
    _LOG.info(f"withheld: {len(withheld.products):,} products, {len(withheld.questions):,} later reviews of them")
    trained = _train(graph, withheld.split, settings, "withheld")
    new = NewProducts(graph, withheld, trained, settings, ProductKinds.of_table(dataset.products()))
    cases |= _withheld_products(graph, withheld, new, settings.seed, batch)
    return [
        {"case": case, "name": name, "seed": settings.seed, **figures}
        for case, compared in cases.items()
        for name, figures in compared.items()
    ], new.trade_off(wanted.factors)


def _short_histories(
    graph: ReviewGraph, split: Split, trained: Trained, lengths: tuple[int, ...], query_batch: int
) -> dict[str, dict[str, dict[str, Any]]]:
    builders, model, memory_term = trained
    cases = {}
    for length in lengths:
        queries = truncate_histories(split.test, length)
        scorers: dict[str, Scorer] = {OWN: ModelScorer(model, builders["test"], queries, memory_term).score}
        scorers |= _baselines(graph, split, queries, with_content=length > 0)
        cases[f"cold-start users, first {length} reviews"] = compare_scorers(
            scorers, queries, None, graph.interactions.num_products, query_batch
        )
    return cases


def _withheld_products(
    graph: ReviewGraph, withheld: Withheld, new: NewProducts, seed: int, query_batch: int
) -> dict[str, dict[str, dict[str, Any]]]:
    queries, size = withheld.questions, graph.interactions.num_products
    scorers = new.scorers(queries)
    others = _baselines(graph, withheld.placed, queries, with_content=True)
    chance = np.random.default_rng(seed).random((len(queries), size), dtype=np.float32)
    others["random"] = lambda rows: chance[rows]
    scorers |= {name: new.without_own(score, queries) for name, score in others.items()}
    known = withheld.split.test
    return {
        "new products among themselves": compare_scorers(scorers, queries, withheld.products, size, query_batch),
        "new products among all": compare_scorers(scorers, queries, None, size, query_batch),
        "known products beside them": compare_scorers(new.scorers(known), known, None, size, query_batch),
    }


def _train(graph: ReviewGraph, split: Split, settings: Settings, name: str) -> Trained:
    """Trains on a split as the main job does: the builders, the model and its memory."""
    limit_threads(settings.trainer)
    base = RunFolder(settings)
    folder = RunFolder(settings.model_copy(update={"run_dir": base.path.with_name(f"{base.name}-cold-{name}")}))
    with folder.locked():
        folder.sweep(f"{name} {int(split.of_review.astype(np.int64).sum())}")
        builders = make_builders(graph, split, settings)
        model = make_model(graph, split, builders["train"], settings)
        learner = ReviewGraphLearner(model, settings.trainer, settings.evaluation, settings.seed, split, builders)
        tracking = settings.tracking.model_copy(update={"enabled": False})
        with Tracker(tracking, settings.output_dir, folder.name) as tracker:
            fit(learner, folder.checkpoints, tracker)
        folder.clear()
    chosen = tune_co_review(learner.model, builders["validation"], split, settings)
    return builders, learner.model, chosen[0] if chosen else None


def _baselines(graph: ReviewGraph, split: Split, queries: Queries, with_content: bool) -> dict[str, Scorer]:
    """Popularity, and content where there are texts to go by."""
    text_row = np.where(split.text_visible, graph.text_row, -1).astype(np.int32)
    reviews = TrainingReviews.of_edges(graph.interactions, split.train_edges, text_row, graph.text_vectors)
    asked = queries, graph.interactions, text_row
    baselines: dict[str, Scorer] = {
        "popular": score_by_histories(PopularBaseline(NoSettings()).fit(reviews).score, *asked)
    }
    if with_content and (reviews.text_row >= 0).any():
        baselines["content"] = score_by_histories(ContentBaseline(NoSettings()).fit(reviews).score, *asked)
    return baselines
