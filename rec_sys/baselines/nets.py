"""The networks of the baselines that no kept library has; imported by those who train them alone, for torch is slow."""

import random
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional


class VariationalAutoencoder(nn.Module):
    """Mult-VAE: reads the set of reviewed products, writes a softmax over all (Liang et al. 2018, arXiv 1802.05814).

    `dim` is the width of the code, `hidden_dim` of the layer on both sides; dropout hides a share of the input.
    """

    def __init__(self, num_products: int, hidden_dim: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.encoder = nn.Sequential(nn.Linear(num_products, hidden_dim), nn.Tanh(), nn.Linear(hidden_dim, 2 * dim))
        self.decoder = nn.Sequential(nn.Linear(dim, hidden_dim), nn.Tanh(), nn.Linear(hidden_dim, num_products))

    def forward(self, reviewed: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and the divergence of the code from its prior.

        Shapes:
            reviewed: float `[batch, num_products]`.
            logits: `[batch, num_products]`; divergence: scalar, the mean over the batch.
        """
        mean, log_variance = self.encoder(self.dropout(functional.normalize(reviewed))).chunk(2, dim=1)
        code = mean
        if self.training:
            code = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
        divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(dim=1).mean()
        return self.decoder(code), divergence


class GruRanker(nn.Module):
    """GRU4Rec with a softmax over all products (Hidasi et al. 2016, arXiv 1511.06939); in- and output share vectors.

    `dim` is the width of vectors and state; dropout is on the vectors that are read and on the state.
    """

    def __init__(self, num_products: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.products = nn.Embedding(num_products + 1, dim, padding_idx=num_products)
        nn.init.normal_(self.products.weight, std=dim**-0.5)
        with torch.no_grad():
            self.products.weight[num_products] = 0
        self.bias = nn.Parameter(torch.zeros(num_products))
        self.cell = nn.GRU(dim, dim, batch_first=True)
        self.dropout = nn.Dropout(dropout)

    def forward(self, sequences: Tensor) -> Tensor:
        """States after each product: int64 `[batch, length]`, padded on the right, to `[batch, length, dim]`."""
        states: Tensor = self.dropout(self.cell(self.dropout(self.products(sequences)))[0])
        return states

    def rank(self, states: Tensor) -> Tensor:
        """States `[n, dim]` to logits `[n, num_products]`."""
        logits: Tensor = functional.linear(states, self.products.weight[:-1], self.bias)
        return logits


def seed_everything(seed: int, num_threads: int) -> None:
    """One seed for all that draws, and the number of threads asked for (0 = every core)."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    if num_threads:
        torch.set_num_threads(num_threads)


def padded(offsets: npt.NDArray[np.int64], products: npt.NDArray[np.integer], length: int, padding: int) -> Tensor:
    """The newest products of each sequence, int64 `[num_sequences, at most length]`, padded on the right."""
    lengths = np.minimum(np.diff(offsets), length)
    columns = np.arange(max(1, int(lengths.max(initial=0))))
    inside = columns < lengths[:, None]
    table = np.full(inside.shape, padding, dtype=np.int64)
    table[inside] = products[((offsets[1:] - lengths)[:, None] + columns)[inside]]
    return torch.from_numpy(table)


def shuffled(count: int, batch_size: int, generator: np.random.Generator) -> Iterator[npt.NDArray[np.int64]]:
    """Batches of row numbers in random order."""
    order = generator.permutation(count)
    for start in range(0, count, batch_size):
        yield order[start : start + batch_size]
