"""The data that every row of a benchmark is measured on: one order of the reviews, one split, the same questions."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rec_sys.baselines.reviews import Histories, TrainingReviews
from rec_sys.contracts import SplitName
from rec_sys.data.dataset import PreparedDataset
from rec_sys.data.interactions import IntArray, Interactions, build_interactions
from rec_sys.data.queries import Queries
from rec_sys.data.splits import Split, split_reviews
from rec_sys.evaluation.beyond_accuracy import KnownReviews
from rec_sys.settings import EngineSettings, EvaluationSettings, GraphSettings, TextSettings


@dataclass(frozen=True)
class EvaluationData:
    """A data set, ordered and split as the protocol does it.

    Models are fitted on the split `fitted`, whose train split may hold the validation split.
    """

    dataset: PreparedDataset
    interactions: Interactions
    split: Split
    fitted: Split

    def known_reviews(self) -> KnownReviews:
        """The train split of the protocol's split: what counts as known is the same for every `fit_on`."""
        columns, edges = self.interactions, self.split.train_edges
        return KnownReviews(
            columns.user_index[edges], columns.product_index[edges], columns.num_users, columns.num_products
        )

    def train_counts(self) -> IntArray:
        """int64 `[num_products]`: reviews of each product in the train split."""
        products = self.interactions.product_index[self.split.of_review == SplitName.TRAIN]
        return np.bincount(products, minlength=self.interactions.num_products)


def build_evaluation_data(
    dataset: PreparedDataset, evaluation: EvaluationSettings, graph: GraphSettings, seed: int, fit_on: str = "train"
) -> EvaluationData:
    """A data set, ordered and split as training does it.

    Raises:
        InputError: The split leaves nothing to learn from or nothing to test.
    """
    interactions = build_interactions(dataset, graph.tie_break, seed if graph.tie_break == "hash" else 0)
    split = split_reviews(interactions, evaluation, seed)
    fitted = split.train_on_validation(interactions) if fit_on == "train+validation" else split
    return EvaluationData(dataset, interactions, split, fitted)


def baseline_inputs(
    evaluation_data: EvaluationData,
    settings: GraphSettings,
    text: TextSettings,
    seed: int,
    output_dir: Path,
    with_text: bool,
    engine: EngineSettings | None = None,
) -> tuple[TrainingReviews, Callable[[Queries], Histories]]:
    """The reviews that a baseline is fitted on, and the function that makes histories of a split's questions.

    They are made together, because both name texts by the rows of one table of vectors. `with_text` looks up (and, the
    first time, embeds) the texts of the reviews, by what `build_graph` takes.
    """
    columns, edges = evaluation_data.interactions, evaluation_data.fitted.train_edges
    if not with_text:
        return TrainingReviews.of_edges(columns, edges), lambda queries: Histories.of_queries(queries, columns)
    from rec_sys.graph.build import build_graph

    graph, _ = build_graph(evaluation_data.dataset, settings, text, seed, output_dir, engine)
    text_row = np.where(evaluation_data.fitted.text_visible, graph.text_row, -1).astype(np.int32)
    reviews = TrainingReviews.of_edges(columns, edges, text_row, graph.text_vectors)
    return reviews, lambda queries: Histories.of_queries(queries, columns, text_row)
