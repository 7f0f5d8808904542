"""LightGCN: factors smoothed over the graph of users and products."""

import numpy as np

from rec_sys.baselines.factors import FixedUsersBaseline
from rec_sys.baselines.reviews import TrainingReviews
from rec_sys.baselines.settings import LightGcnSettings


class LightGcnBaseline(FixedUsersBaseline):
    """LightGCN (He et al. 2020, arXiv 2002.02126) of PyG, trained by BPR with one drawn product for each review."""

    settings: LightGcnSettings

    def _fit(self, reviews: TrainingReviews) -> None:
        import torch
        from torch_geometric.nn.models import LightGCN

        from rec_sys.baselines.nets import seed_everything, shuffled
        from rec_sys.modules.generated_files import remove_generated_files

        settings = self.settings
        seed_everything(self.seed, self.num_threads)
        generator = np.random.default_rng(self.seed)
        matrix = reviews.matrix().tocoo()
        users = torch.from_numpy(matrix.row.astype(np.int64))
        products = torch.from_numpy(matrix.col.astype(np.int64)) + reviews.num_users
        edges = torch.cat([torch.stack([users, products]), torch.stack([products, users])], dim=1)
        model = LightGCN(reviews.num_users + reviews.num_products, settings.dim, settings.num_layers)
        remove_generated_files()
        optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
        for _ in range(settings.epochs):
            for rows in shuffled(len(users), settings.batch_size, generator):
                author, liked = users[rows], products[rows]
                drawn = torch.from_numpy(generator.integers(reviews.num_products, size=len(rows))) + reviews.num_users
                vectors = model.get_embedding(edges)
                positive = (vectors[author] * vectors[liked]).sum(dim=1)
                negative = (vectors[author] * vectors[drawn]).sum(dim=1)
                nodes = torch.cat([author, liked, drawn])
                loss = model.recommendation_loss(positive, negative, nodes, lambda_reg=settings.regularization)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        with torch.inference_mode():
            vectors = model.get_embedding(edges).numpy()
        self._keep(vectors[: reviews.num_users], vectors[reviews.num_users :])
