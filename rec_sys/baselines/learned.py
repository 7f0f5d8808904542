"""Baselines with a network of our own, small enough to read: an autoencoder and a recurrent network."""

import numpy as np
from pydantic import Field

from rec_sys.baselines.contract import NetworkBaseline
from rec_sys.baselines.reviews import Histories, TrainingReviews
from rec_sys.baselines.search_space import between
from rec_sys.data.interactions import FloatArray
from rec_sys.settings import Section


class AutoencoderSettings(Section):
    """Mult-VAE."""

    dim: int = Field(128, ge=1, json_schema_extra=between(16, 256, log=True), description="Width of the code.")
    hidden_dim: int = Field(512, ge=1, description="Width of the hidden layers.")
    dropout: float = Field(0.5, ge=0, lt=1, json_schema_extra=between(0.1, 0.8))
    divergence_weight: float = Field(0.2, ge=0, json_schema_extra=between(0, 1), description="Beta, once it has grown.")
    learning_rate: float = Field(1e-3, gt=0, json_schema_extra=between(2e-4, 5e-3, log=True))
    epochs: int = Field(40, ge=1, json_schema_extra=between(10, 100, log=True))
    batch_size: int = Field(256, ge=1)


class Gru4RecSettings(Section):
    """GRU4Rec."""

    dim: int = Field(128, ge=1, json_schema_extra=between(32, 256, log=True))
    dropout: float = Field(0.3, ge=0, lt=1, json_schema_extra=between(0, 0.6))
    learning_rate: float = Field(2e-3, gt=0, json_schema_extra=between(2e-4, 1e-2, log=True))
    epochs: int = Field(12, ge=1, json_schema_extra=between(5, 60, log=True))
    batch_size: int = Field(128, ge=1)
    length: int = Field(50, ge=2, description="Newest products read.")


class AutoencoderBaseline(NetworkBaseline):
    """Mult-VAE; see `nets.VariationalAutoencoder`."""

    settings: AutoencoderSettings

    def _fit(self, reviews: TrainingReviews) -> None:
        import torch

        from rec_sys.baselines.nets import VariationalAutoencoder, seed_everything, shuffled

        settings = self.settings
        seed_everything(self.seed, self.num_threads)
        matrix = reviews.matrix()
        matrix = matrix[np.flatnonzero(np.diff(matrix.indptr))]
        self._net = VariationalAutoencoder(reviews.num_products, settings.hidden_dim, settings.dim, settings.dropout)
        optimizer = torch.optim.Adam(self._net.parameters(), lr=settings.learning_rate)
        generator = np.random.default_rng(self.seed)
        num_steps = settings.epochs * -(-matrix.shape[0] // settings.batch_size)
        step = 0
        self._net.train()
        for _ in range(settings.epochs):
            for rows in shuffled(matrix.shape[0], settings.batch_size, generator):
                reviewed = torch.from_numpy(matrix[rows].toarray())
                logits, divergence = self._net(reviewed)
                loss = -(torch.log_softmax(logits, dim=1) * reviewed).sum(dim=1).mean()
                # The divergence counts more and more over the first half: from the start it would empty the code.
                loss = loss + settings.divergence_weight * min(1.0, 2 * step / num_steps) * divergence
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                step += 1
        self._net.eval()

    def _score(self, histories: Histories) -> FloatArray:
        import torch

        with torch.inference_mode():
            reviewed = torch.from_numpy(histories.matrix(self.reviews.num_products).toarray())
            scores: FloatArray = self._net(reviewed)[0].numpy()
        return scores


class Gru4RecBaseline(NetworkBaseline):
    """GRU4Rec; see `nets.GruRanker`. Every product of a sequence is a target, predicted from those before it."""

    settings: Gru4RecSettings

    def _fit(self, reviews: TrainingReviews) -> None:
        import torch
        from torch.nn import functional

        from rec_sys.baselines.nets import GruRanker, padded, seed_everything, shuffled

        settings = self.settings
        seed_everything(self.seed, self.num_threads)
        sequences = reviews.histories_of(np.arange(reviews.num_users))
        sequences = sequences.take(np.flatnonzero(sequences.lengths() >= 2))
        if not len(sequences):
            raise ValueError("nobody has two training reviews: there is no sequence to learn from")
        self._net = GruRanker(reviews.num_products, settings.dim, settings.dropout)
        optimizer = torch.optim.Adam(self._net.parameters(), lr=settings.learning_rate)
        generator = np.random.default_rng(self.seed)
        self._net.train()
        for _ in range(settings.epochs):
            for rows in shuffled(len(sequences), settings.batch_size, generator):
                batch = sequences.take(rows)
                # One more than is read, since the last product is a target only.
                table = padded(batch.offsets, batch.products, settings.length + 1, reviews.num_products)
                target = table[:, 1:]
                real = target != reviews.num_products
                loss = functional.cross_entropy(self._net.rank(self._net(table[:, :-1])[real]), target[real])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        self._net.eval()

    def _score(self, histories: Histories) -> FloatArray:
        import torch

        from rec_sys.baselines.nets import padded

        with torch.inference_mode():
            table = padded(histories.offsets, histories.products, self.settings.length, self.reviews.num_products)
            last = np.minimum(histories.lengths(), self.settings.length) - 1
            states = self._net(table)[torch.arange(len(table)), torch.from_numpy(np.maximum(last, 0))]
            scores: FloatArray = self._net.rank(states).numpy()
        return scores
