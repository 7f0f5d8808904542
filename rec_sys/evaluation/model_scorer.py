"""Asks the model a split's questions: the scores that the metrics rank, and the stars that it predicts."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rec_sys import ragged
from rec_sys.data.interactions import FloatArray
from rec_sys.data.queries import Queries
from rec_sys.evaluation.ranking import RankingResult, Scorer, evaluate_ranking
from rec_sys.evaluation.rating import rating_metrics
from rec_sys.graph.block_builder import BlockBuilder
from rec_sys.graph.blocks import move_to
from rec_sys.modules.hybrid_score import MemoryTerm
from rec_sys.modules.losses import ranking_loss, rating_loss
from rec_sys.modules.review_graph_model import ReviewGraphModel
from rec_sys.settings import EvaluationSettings

PRODUCT_CHUNK = 4096


@dataclass(frozen=True)
class SplitResult:
    """What was measured on one split.

    Attributes:
        metrics: Every figure by its key in `metrics.json`.
        ranking: The ranking figures with their values a query.
    """

    metrics: dict[str, float]
    ranking: RankingResult


class ModelScorer:
    """Scores of a model, which is put into evaluation mode, for the queries of a split.

    The builder sees the split's history on the user side and train edges on the product side; without a memory term
    the tower ranks alone.
    """

    def __init__(
        self, model: ReviewGraphModel, builder: BlockBuilder, queries: Queries, memory_term: MemoryTerm | None = None
    ) -> None:
        self.model = model.eval()
        self.builder = builder
        self.queries = queries
        self.memory_term = memory_term
        self.device = model.rating_mean.device
        self.products = encode_catalogue(model, builder)

    @torch.inference_mode()
    def encode_users(self, rows: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Hidden states, float `[len(rows), dim]`, and rating offsets, float `[len(rows)]`."""
        block = self.builder.build_users(self.queries.user_index[rows], self.queries.bound[rows])
        block = move_to(block, self.device)
        return self.model.encode_users(block), block.user_offset

    @torch.inference_mode()
    def score(self, rows: npt.NDArray[np.int64]) -> FloatArray:
        """Logits of all products: float32 `[len(rows), num_products]`."""
        users, _ = self.encode_users(rows)
        scores: FloatArray = self.model.rank(users, self.products).float().cpu().numpy()
        return scores if self.memory_term is None else scores + self.memory_term.score(self.queries, rows)

    @torch.inference_mode()
    def score_targets(self, rows: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        """Of the rows' targets: mean ranking loss, predicted stars and given stars (float `[num_targets]`)."""
        queries = self.queries
        users, offset = self.encode_users(rows)
        logits = self.model.rank(users, self.products)
        target_offsets, target = ragged.take_rows(queries.target_offsets, rows)
        row = ragged.row_of_entries(target_offsets)
        column = torch.from_numpy(queries.target_products[target].astype(np.int64)).to(self.device)
        row_of_target = torch.from_numpy(row).to(self.device)
        # One softmax a target: a row of logits is repeated for each, and so is its history.
        masked_row, masked = queries.masked_products(rows[row])
        masked_column = masked.astype(np.int64)
        loss = ranking_loss(
            logits[row_of_target],
            column,
            (torch.from_numpy(masked_row).to(self.device), torch.from_numpy(masked_column).to(self.device)),
        )
        predicted = self.model.rate(
            users[row_of_target], self.products[column], offset[row_of_target], self.model.product_offset[column]
        )
        stars = torch.from_numpy(np.asarray(self.builder.graph.interactions.rating[queries.target_edges[target]]))
        return loss, predicted.float().cpu(), stars


@torch.inference_mode()
def encode_catalogue(model: ReviewGraphModel, builder: BlockBuilder) -> Tensor:
    """Hidden states of all products, float `[num_products, dim]`, from every review that the builder may read."""
    columns = builder.graph.interactions
    pieces = []
    for start in range(0, columns.num_products, PRODUCT_CHUNK):
        products = np.arange(start, min(start + PRODUCT_CHUNK, columns.num_products), dtype=np.int64)
        block = move_to(builder.build_products(products, columns.num_reviews), model.rating_mean.device)
        pieces.append(model.encode_products(block))
    return torch.cat(pieces)


def evaluate_model(
    model: ReviewGraphModel,
    builder: BlockBuilder,
    queries: Queries,
    settings: EvaluationSettings,
    memory_term: MemoryTerm | None = None,
    ranked: Scorer | None = None,
) -> SplitResult:
    """Measures a model on a split: ranking over all products, ratings of the held-out reviews, and the losses.

    The co-review memory takes part in the ranking; the losses are the towers' own. `ranked` gives the scores of
    towers and memory in a second stage's order; None where there is no second stage.
    """
    scorer = ModelScorer(model, builder, queries, memory_term)
    ranking = evaluate_ranking(
        ranked or scorer.score, queries, builder.graph.interactions.num_products, settings.ks, settings.query_batch
    )
    metrics = dict(ranking.metrics)
    losses, weights, predicted, stars = [], [], [], []
    for rows in np.array_split(np.arange(len(queries)), max(1, -(-len(queries) // settings.query_batch))):
        loss, guess, given = scorer.score_targets(rows)
        losses.append(float(loss))
        weights.append(len(guess))
        predicted.append(guess)
        stars.append(given)
    guesses, given = torch.cat(predicted), torch.cat(stars)
    metrics["ranking_loss"] = float(np.average(losses, weights=weights))
    metrics["loss"] = model.settings.ranking_weight * metrics["ranking_loss"]
    rated = ~given.isnan()
    if rated.any():
        metrics["rating_loss"] = float(rating_loss(guesses, given, model.settings.rating_error))
        metrics["loss"] += model.settings.rating_weight * metrics["rating_loss"]
        metrics.update(rating_metrics(guesses[rated].numpy(), given[rated].numpy()))
    return SplitResult(metrics, ranking)


def evaluate_daily(
    model: ReviewGraphModel,
    builder: BlockBuilder,
    queries: Queries,
    settings: EvaluationSettings,
    memory_term: MemoryTerm | None = None,
    ranked: Scorer | None = None,
) -> RankingResult:
    """Walks through the test split: the model stays as it is, histories and popularity go up to each question's day.

    The builder reads users up to each bound, and products as they were when the model was fitted. `ranked` is as in
    `evaluate_model`.
    """
    columns = builder.graph.interactions
    term = None if memory_term is None else memory_term.as_of_each_question(columns)
    scorer = ModelScorer(model, builder, queries, term)
    return evaluate_ranking(ranked or scorer.score, queries, columns.num_products, settings.ks, settings.query_batch)
