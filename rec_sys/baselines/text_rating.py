"""Stars by texts: a projection of product texts learned with a triplet loss, beside the mean stars that are known.

The stars of a product are (1 - w) * personal + w * mean. The mean is that of `predicted_rating.fit_means`; the personal
part is the mean of the user's own ratings, each weighted by the likeness of its product's projected text. Validation
users choose w.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from rec_sys.data.interactions import FloatArray, IntArray
from rec_sys.unit_vectors import unit_vectors

MARGIN: Final = 0.2  # of the cosine distances, as the system described in public has it
_LIKED: Final = 4.0
_APART: Final = 1.0  # stars below the user's mean, from which a product is no likeness of what they liked
_MOST_TRIPLETS: Final = 100_000
_EPOCHS, _BATCH, _STEP = 3, 256, 1e-3


def draw_triplets(
    user: npt.NDArray[np.integer], product: npt.NDArray[np.integer], stars: npt.NDArray[np.floating], seed: int
) -> IntArray:
    """Products as anchor, positive and negative: two that a user liked, and one that they rated below their mean.

    Returns:
        int64 `[num_triplets, 3]`; nothing where nobody rated so.
    """
    random = np.random.default_rng(seed)
    found = []
    for rows in np.split(np.argsort(user, kind="stable"), np.cumsum(np.bincount(user))[:-1]):
        mean = stars[rows].mean() if len(rows) else 0.0
        liked = rows[(stars[rows] >= _LIKED) & (stars[rows] > mean)]
        poor = rows[stars[rows] <= mean - _APART]
        if len(liked) > 1 and len(poor):
            positive = liked[(np.arange(len(liked)) + random.integers(1, len(liked))) % len(liked)]
            found.append(np.stack([liked, positive, random.choice(poor, len(liked))], axis=1))
    rows = np.concatenate(found) if found else np.empty((0, 3), dtype=np.int64)
    rows = rows[random.permutation(len(rows))[:_MOST_TRIPLETS]]
    return product[rows].astype(np.int64)


def learn_projection(vectors: npt.NDArray[np.floating], triplets: IntArray, seed: int) -> FloatArray:
    """Projects text vectors by one matrix, which begins as the identity, so that triplets fall apart.

    Args:
        vectors: `[num_products, dim]`.
        triplets: `[num_triplets, 3]`, rows of the vectors.
        seed: Of the order of the triplets.

    Returns:
        float32 `[num_products, dim]`, unit length; zero where there was no vector.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.losses import TripletDistanceMetric, TripletLoss
    from sentence_transformers.sentence_transformer.modules import Dense

    torch.manual_seed(seed)
    texts, dim = torch.from_numpy(unit_vectors(vectors)), vectors.shape[1]
    layer = Dense(dim, dim, bias=False, activation_function=torch.nn.Identity(), init_weight=torch.eye(dim))
    model = SentenceTransformer(modules=[layer], device="cpu")
    loss = TripletLoss(model, TripletDistanceMetric.COSINE, MARGIN)
    optimizer = torch.optim.Adam(layer.parameters(), lr=_STEP)
    for _ in range(_EPOCHS):
        for rows in torch.randperm(len(triplets)).split(_BATCH):
            chosen = torch.from_numpy(triplets)[rows]
            value = loss([{"sentence_embedding": texts[column]} for column in chosen.T], torch.empty(0))
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
    with torch.no_grad():
        projected: FloatArray = layer({"sentence_embedding": texts})["sentence_embedding"].numpy()
    return unit_vectors(projected)
