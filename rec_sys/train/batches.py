"""Training batches: windows of reviews that lie next to each other in time, each predicted from what came before.

A batch is a window of the time order, so one bound, the window's start, serves all its products: no product vector
has read a review of the window or of its future. Where products have no reviews to read (no text, no stars) a batch
holds users drawn at random instead, each with all their reviews but for the two whom its ends cut: every place of a
sequence is a target, and what its places share is read once. Those users' transitions are hidden from the product
vectors.

Several processes share each window: every one predicts a run of its reviews, of the same products drawn and under the
same bound, and weighs its losses such that the mean over the processes is the loss of one that predicts them all.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from rec_sys.data.interactions import FloatArray, IntArray
from rec_sys.graph.block_builder import BlockBuilder
from rec_sys.graph.blocks import ProductBlock, UserBlock


@dataclass(frozen=True)
class TrainingBatch:
    """Some reviews to predict: this process's part of a window.

    Attributes:
        users: Their authors' histories.
        products: The candidates of the softmax.
        target_column: int64 `[batch]`, row of `products`.
        masked_row: int64 `[n]`, with `masked_column` the history's products among the candidates.
        masked_column: int64 `[n]`.
        log_sampled: float32 `[num_candidates]`, log of the chance of being drawn; zeros where all products are there.
        stars: float32 `[batch]`, NaN where missing.
        product_offset: float32 `[batch]`, the rating offset of the target without the predicted review.
        hide_ids: bool `[num_candidates]`, products to be seen as if never trained on.
        share: How much the mean over these reviews counts, 1 on average over the processes.
        rated_share: The same of the rated ones.
    """

    users: UserBlock
    products: ProductBlock
    target_column: Tensor
    masked_row: Tensor
    masked_column: Tensor
    log_sampled: Tensor
    stars: Tensor
    product_offset: Tensor
    hide_ids: Tensor
    share: float = 1.0
    rated_share: float = 1.0


class TrainingBatches(IterableDataset[TrainingBatch]):
    """One epoch of batches.

    Args:
        builder: Reads train edges only.
        edges: int64 `[num_targets]`, the train edges to predict, in time order.
        batch_size: Targets a window, of all processes together.
        num_candidates: Products drawn for the softmax beside the targets; 0 = every product.
        id_dropout: Share of candidates whose learned vector is hidden.
        seed: Seeds the order and the draws, together with the epoch.
        epoch: Number of the epoch.
        reversal: Share of batches whose histories are read backwards, from the future; bare sequences alone have any.
        mask_history: Leave the products of a history out of its softmax.
        shard: This process's number and how many there are.
    """

    def __init__(
        self,
        builder: BlockBuilder,
        edges: IntArray,
        *,
        batch_size: int,
        num_candidates: int,
        id_dropout: float,
        seed: int,
        epoch: int,
        reversal: float = 0.0,
        mask_history: bool = True,
        shard: tuple[int, int] = (0, 1),
    ) -> None:
        columns = builder.graph.interactions
        self.builder = builder
        self.edges = edges
        self.batch_size = batch_size
        self.num_candidates = num_candidates if num_candidates < columns.num_products else 0
        graph = builder.graph
        self.by_user = builder.product_limit == 0
        # Hidden where something else is known of a product.
        self.id_dropout = 0.0 if self.by_user and not graph.has_product_text else id_dropout
        self.reversal = 0.0 if graph.has_text or graph.has_rating else reversal
        self.mask_history = mask_history
        self.seed = (seed, epoch)
        self.shard = shard
        counts = np.bincount(columns.product_index[edges], minlength=columns.num_products)
        # The chance that a product is in a batch: as a target of it, or drawn uniformly from the others.
        no_target = (1 - counts / len(edges)) ** batch_size
        drawn = min(1.0, self.num_candidates / max(no_target.sum(), 1))
        self._log_sampled: FloatArray = np.log(np.maximum(1 - no_target * (1 - drawn), 1e-9)).astype(np.float32)

    def __len__(self) -> int:
        return max(1, len(self.edges) // self.batch_size)

    def __iter__(self) -> Iterator[TrainingBatch]:
        random = np.random.default_rng(self.seed)
        for window in self._windows(random):
            yield self._build(window, random)

    def _windows(self, random: np.random.Generator) -> list[IntArray]:
        if self.by_user:
            columns = self.builder.graph.interactions
            place = random.permutation(columns.num_users)
            edges = self.edges[np.argsort(place[columns.user_index[self.edges]], kind="stable")]
        else:
            # A new phase every epoch, so that no two reviews are always or never in one window.
            edges = np.roll(self.edges, -int(random.integers(len(self.edges))))
        windows = np.array_split(edges, len(self))
        return [windows[place] for place in random.permutation(len(windows))]

    def _build(self, window: IntArray, random: np.random.Generator) -> TrainingBatch:
        builder, (number, processes) = self.builder, self.shard
        columns = builder.graph.interactions
        bodies = columns.body_index[window]
        candidates = self._draw_candidates(columns.product_index[window].astype(np.int64), random)
        backwards = random.random() < self.reversal
        part = np.array_split(window, processes)[number]
        target, asked = columns.product_index[part].astype(np.int64), columns.body_index[part]
        bounds = part if backwards else columns.unit_start[part]
        users = builder.build_users(
            columns.user_index[part], bounds, np.where(asked < 0, -2, asked), backwards=backwards
        )
        history = users.products.index[users.product_of_edge].numpy()
        place = np.minimum(np.searchsorted(candidates, history), len(candidates) - 1)
        present = (candidates[place] == history) & self.mask_history & users.known.numpy()
        rating = np.asarray(columns.rating[part])
        rated = processes * int((~np.isnan(rating)).sum())
        sampled = self._log_sampled[candidates] if self.num_candidates else np.zeros(len(candidates), np.float32)
        return TrainingBatch(
            users=users,
            products=builder.build_products(
                candidates,
                int(columns.unit_start[window].min()),
                bodies[bodies >= 0],
                hidden_users=columns.user_index[window] if self.by_user else None,
            ),
            target_column=torch.from_numpy(np.searchsorted(candidates, target)),
            masked_row=users.edges.row[torch.from_numpy(present)],
            masked_column=torch.from_numpy(place[present]),
            log_sampled=torch.from_numpy(sampled),
            stars=torch.from_numpy(rating),
            product_offset=torch.from_numpy(builder.offsets.of_products_without(columns.product_index[part], rating)),
            hide_ids=torch.from_numpy(random.random(len(candidates)) < self.id_dropout),
            share=processes * len(part) / len(window),
            rated_share=rated / max(int((~np.isnan(columns.rating[window])).sum()), 1),
        )

    def _draw_candidates(self, target: IntArray, random: np.random.Generator) -> IntArray:
        num_products = self.builder.graph.interactions.num_products
        if not self.num_candidates:
            return np.arange(num_products, dtype=np.int64)
        targets = np.unique(target)
        num_others = num_products - len(targets)
        # Each at most once, so that a batch costs the same in a small catalogue as in a large one.
        rank = random.choice(num_others, min(self.num_candidates, num_others), replace=False, shuffle=False)
        # The k-th product that is no target stands as many places further on as there are targets before it.
        drawn = rank + np.searchsorted(targets - np.arange(len(targets)), rank, side="right")
        return np.sort(np.concatenate([targets, drawn]))
