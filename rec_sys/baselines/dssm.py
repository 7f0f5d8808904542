"""DSSM of RecTools: two small networks, one for a set of reviewed products, one for a product."""

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from rec_sys.baselines.contract import NetworkBaseline
from rec_sys.baselines.reviews import Histories, TrainingReviews
from rec_sys.baselines.settings import DssmSettings
from rec_sys.data.interactions import FloatArray

if TYPE_CHECKING:
    import torch
    from scipy.sparse import csr_matrix

_PRODUCTS_AT_ONCE: Final = 2048


class DssmBaseline(NetworkBaseline):
    """DSSM by triplet loss; the score is the negative squared distance of the two vectors.

    What is to be predicted is drawn by weight: of films one that was watched to the end, rather than one left early.
    The library asks for features of users and products: here each product is its own feature and users have none,
    so that nothing is known but the reviews.
    """

    settings: DssmSettings

    def _fit(self, reviews: TrainingReviews) -> None:
        import torch
        from rectools.models.nn.dssm import DSSM
        from torch.nn import functional

        from rec_sys.baselines.nets import seed_everything, shuffled

        settings = self.settings
        seed_everything(self.seed, self.num_threads)
        generator = np.random.default_rng(self.seed)
        num_products = reviews.num_products
        self._net = DSSM(settings.dim, settings.dim, 1, num_products, num_products)
        optimizer = torch.optim.Adam(self._net.parameters(), lr=settings.learning_rate, weight_decay=1e-6)
        matrix = reviews.matrix()
        active = np.flatnonzero(np.diff(matrix.indptr))
        self._net.train()
        for _ in range(settings.epochs):
            for rows in shuffled(len(active), settings.batch_size, generator):
                users = active[rows]
                liked = _one_of_each(matrix, users, generator)
                drawn = generator.integers(num_products, size=len(users))
                reviewed = torch.from_numpy(matrix[users].toarray())
                # What is to be predicted is taken out of what is read; the library leaves it in.
                reviewed[torch.arange(len(users)), torch.from_numpy(liked)] = 0
                anchor = self._net.user_net(torch.zeros(len(users), 1), reviewed)
                positive, negative = (self._net.item_net(self._one_hot(chosen)) for chosen in (liked, drawn))
                loss = functional.triplet_margin_loss(anchor, positive, negative, margin=settings.margin)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        self._net.eval()
        with torch.inference_mode():
            pieces = np.array_split(np.arange(num_products), -(-num_products // _PRODUCTS_AT_ONCE))
            self._products = np.concatenate([self._net.item_net(self._one_hot(piece)).numpy() for piece in pieces])

    def _score(self, histories: Histories) -> FloatArray:
        import torch

        with torch.inference_mode():
            reviewed = torch.from_numpy(histories.matrix(self.reviews.num_products).toarray())
            users = self._net.user_net(torch.zeros(len(histories), 1), reviewed).numpy()
        # -|u - p|^2 for every product p, without |u|^2, which is the same for all of them.
        scores: FloatArray = 2 * users @ self._products.T - np.square(self._products).sum(axis=1)
        return scores

    def _one_hot(self, products: npt.NDArray[np.integer]) -> "torch.Tensor":
        import torch
        from torch.nn import functional

        return functional.one_hot(torch.from_numpy(products.astype(np.int64)), self.reviews.num_products).float()


def _one_of_each(
    matrix: "csr_matrix", rows: npt.NDArray[np.integer], generator: np.random.Generator
) -> npt.NDArray[np.int64]:
    """A column drawn from each row in proportion to its weights, none of which is 0; no row may be empty."""
    ends = np.cumsum(matrix.data, dtype=np.float64)
    first, last = matrix.indptr[rows], matrix.indptr[rows + 1] - 1
    before = np.where(first > 0, ends[first - 1], 0.0)
    place = np.searchsorted(ends, before + generator.random(len(rows)) * (ends[last] - before), side="right")
    return np.asarray(matrix.indices[np.clip(place, first, last)], dtype=np.int64)
