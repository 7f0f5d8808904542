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
from rec_sys.evaluation.rating import rank_figures, rating_metrics
from rec_sys.graph.block_builder import BlockBuilder
from rec_sys.graph.blocks import move_to
from rec_sys.modules.hybrid_score import MemoryTerm
from rec_sys.modules.losses import rating_loss
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

    def score(self, rows: npt.NDArray[np.int64]) -> FloatArray:
        """The score of all products, the memory's part included: float32 `[len(rows), num_products]`."""
        return self.add_memory(self.score_towers(rows), rows)

    @torch.inference_mode()
    def score_towers(self, rows: npt.NDArray[np.int64]) -> FloatArray:
        """The towers' logits of all products: float32 `[len(rows), num_products]`."""
        logits: FloatArray = self.model.rank(self.encode_users(rows)[0], self.products).float().cpu().numpy()
        return logits

    def add_memory(self, logits: FloatArray, rows: npt.NDArray[np.int64]) -> FloatArray:
        """The score out of the towers' logits, which stay as they are where there is no memory."""
        return logits if self.memory_term is None else logits + self.memory_term.score(self.queries, rows)

    def measure_losses(self, rows: npt.NDArray[np.int64], logits: FloatArray) -> npt.NDArray[np.float64]:
        """The ranking loss (see `losses.softmax_loss`) of each of the rows' targets, `[num_targets]`, in nats.

        Args:
            rows: Queries.
            logits: What `score_towers` gave of them.
        """
        offsets, place = ragged.take_rows(self.queries.target_offsets, rows)
        row, target = ragged.row_of_entries(offsets), self.queries.target_products[place]
        asked, left_out = logits[row, target], self.queries.masked_products(rows)
        competing = logits.copy()
        competing[left_out] = -np.inf
        # A product reviewed once more is a right answer, not history.
        again = np.isneginf(competing[row, target])
        whole = torch.logsumexp(torch.from_numpy(competing), dim=1).numpy()[row].astype(np.float64)
        return np.where(again, np.logaddexp(whole, asked), whole) - asked

    @torch.inference_mode()
    def rate_targets(self, rows: npt.NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
        """Predicted and given stars of the rows' targets: float32 `[num_targets]`, given ones NaN where missing."""
        users, offset = self.encode_users(rows)
        offsets, target = ragged.take_rows(self.queries.target_offsets, rows)
        row = torch.from_numpy(ragged.row_of_entries(offsets)).to(self.device)
        column = torch.from_numpy(self.queries.target_products[target].astype(np.int64)).to(self.device)
        stars = self.model.rate(users[row], self.products[column], offset[row], self.model.product_offset[column])
        given = self.builder.graph.interactions.rating[self.queries.target_edges[target]]
        return stars.float().cpu().numpy(), np.asarray(given)

    def rate_all(self, query_batch: int) -> tuple[FloatArray, FloatArray]:
        """`rate_targets` of all queries."""
        if not self.builder.graph.has_rating:
            nothing = np.full(len(self.queries.target_edges), np.nan, dtype=np.float32)
            return nothing, nothing
        batches = np.array_split(np.arange(len(self.queries)), max(1, -(-len(self.queries) // query_batch)))
        predicted, given = zip(*(self.rate_targets(rows) for rows in batches), strict=True)
        return np.concatenate(predicted), np.concatenate(given)


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
    losses: list[npt.NDArray[np.float64]] = []

    def score(rows: npt.NDArray[np.int64]) -> FloatArray:
        logits = scorer.score_towers(rows)
        losses.append(scorer.measure_losses(rows, logits))
        return scorer.add_memory(logits, rows) if ranked is None else ranked(rows)

    num_products = builder.graph.interactions.num_products
    ranking = evaluate_ranking(score, queries, num_products, settings.ks, settings.query_batch)
    metrics = dict(ranking.metrics)
    metrics["ranking_loss"] = float(np.concatenate(losses).mean())
    metrics["loss"] = model.settings.ranking_weight * metrics["ranking_loss"]
    guesses, given = scorer.rate_all(settings.query_batch)
    rated = ~np.isnan(given)
    if rated.any():
        both = torch.from_numpy(guesses), torch.from_numpy(given)
        metrics["rating_loss"] = float(rating_loss(*both, model.settings.rating_error))
        metrics["loss"] += model.settings.rating_weight * metrics["rating_loss"]
        users = np.repeat(queries.user_index, np.diff(queries.target_offsets))[rated]
        metrics.update(rating_metrics(guesses[rated], given[rated]))
        metrics.update(rank_figures(users, guesses[rated], given[rated]))
    return SplitResult(metrics, ranking)


def evaluate_daily(scorer: ModelScorer, settings: EvaluationSettings, ranked: Scorer | None = None) -> RankingResult:
    """Walks through the test split: the model stays as it is, histories and popularity go up to each question's day.

    The scorer's builder reads users up to each bound, and products as they were when the model was fitted. `ranked` is
    as in `evaluate_model`.
    """
    columns = scorer.builder.graph.interactions
    if scorer.memory_term is not None:
        scorer.memory_term = scorer.memory_term.as_of_each_question(columns)
    return evaluate_ranking(
        ranked or scorer.score, scorer.queries, columns.num_products, settings.ks, settings.query_batch
    )
