"""On data where people come to products again, the unmasked ranking of memory and repeats beats item kNN's."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from rec_sys.baselines.catalogue import make_baseline
from rec_sys.baselines.reviews import Histories, TrainingReviews
from rec_sys.baselines.settings import BaselineSettings
from rec_sys.data.interactions import FloatArray, build_interactions
from rec_sys.data.prepare import prepare
from rec_sys.data.splits import split_reviews
from rec_sys.entry import compose_settings
from rec_sys.evaluation.ranking import Scorer, evaluate_ranking
from rec_sys.modules.hybrid_score import MemoryTerm
from rec_sys.modules.memory import fit_memories
from rec_sys.modules.repeats import fit_repeats
from rec_sys.scoring import ScoreFormula
from rec_sys.settings import Settings
from rec_sys.train.term_choice import choose_repeats

MEMORY_WEIGHT = 60.0


def test_a_ranking_that_knows_of_repeats_beats_item_knn_and_masked_ones_stay(tmp_path: Path) -> None:
    settings = compose_settings([f"output_dir={tmp_path}", "data.repeat_share=0.3"], Settings)
    columns = build_interactions(prepare(settings.data, tmp_path))
    split, num_products = split_reviews(columns, settings.evaluation, 0), columns.num_products
    edges = split.train_edges
    wanted = settings.model.co_review
    reviews = columns.user_index[edges], columns.product_index[edges], columns.num_users, num_products
    memory = fit_memories(*reviews, wanted, (30.0,))[30.0]
    formula = ScoreFormula(temperature=1, memory_weight=MEMORY_WEIGHT, recency=wanted.recency)
    plain = MemoryTerm(memory, formula, 50, columns.timestamp)

    def no_towers(rows: npt.NDArray[np.int64]) -> FloatArray:
        return np.zeros((len(rows), num_products), dtype=np.float32)

    rates = fit_repeats(columns, edges, 50)
    assert rates is not None
    term = choose_repeats(no_towers, split.validation, plain, rates, settings.model.repeats.weights, 1024)
    neighbours = make_baseline("item_knn", BaselineSettings().of("item_knn"), 0, 1)
    neighbours.fit(TrainingReviews.of_edges(columns, edges))
    asked = Histories.of_queries(split.test, columns)

    def figures(score: Scorer) -> tuple[float, float]:
        metrics = evaluate_ranking(score, split.test, num_products, (10,)).metrics
        return metrics["ndcg_at_10"], metrics["ndcg_at_10_masked"]

    ours = figures(lambda rows: term.score(split.test, rows))
    without = figures(lambda rows: plain.score(split.test, rows))
    theirs = figures(lambda rows: neighbours.score(asked.take(rows)))
    assert ours[0] > theirs[0] + 0.03 > without[0]
    assert ours[1] == without[1]
