"""Maximal marginal relevance where the score has a memory in it.

Qdrant's own compares by one vector, so it would rank by the cosine alone and forget what the memory said; this is the
same rule (Carbonell and Goldstein 1998, eq. 1) on the model's scores. Questions that one vector answers go to Qdrant.
"""

import numpy as np

from rec_sys.vector_database.catalogue import FloatArray


def order_diversely(relevance: FloatArray, vectors: FloatArray, strength: float, limit: int) -> list[int]:
    """Chooses products one after the other, each time the best of (1 - strength) * relevance - strength * likeness.

    Args:
        relevance: float32 `[num_products]`, on the scale of a cosine.
        vectors: float32 `[num_products, dim]`, unit length; the likeness of a product is its largest cosine to those
            already chosen.
        strength: 0 = by relevance alone, 1 = by likeness alone, but for the first product.
        limit: Most products.

    Returns:
        Rows, in the order chosen.
    """
    chosen: list[int] = []
    likeness = np.full(len(relevance), -np.inf, dtype=np.float32)
    left = np.ones(len(relevance), dtype=bool)
    while len(chosen) < min(limit, len(relevance)):
        worth = (1 - strength) * relevance - strength * likeness if chosen else relevance
        best = int(np.argmax(np.where(left, worth, -np.inf)))
        chosen.append(best)
        left[best] = False
        likeness = np.maximum(likeness, vectors @ vectors[best])
    return chosen
