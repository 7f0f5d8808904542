"""Baselines with a network of our own, small enough to read: an autoencoder and a recurrent network."""

import numpy as np

from rec_sys.baselines.contract import NetworkBaseline
from rec_sys.baselines.reviews import Histories, TrainingReviews
from rec_sys.baselines.settings import AutoencoderSettings, Gru4RecSettings
from rec_sys.data.interactions import FloatArray


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
