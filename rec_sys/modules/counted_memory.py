r"""The co-review memory (an item-item model) where there is little data: weighted counts instead of a regression.

With a few thousand reviews a ridge regression has too little to tell partners apart by; counting who reviewed two
products ranked better, and what is known of the two reviews sharpens the counts:

.. math:: w_{ij} = n_i^{-a} \, (1 + t \cos(z_i, z_j)) \sum_u m_u^{-b} (1 + c \, e^{-|d| / D}),

summed over the users who reviewed both i and j, :math:`d` days apart; :math:`n_i` is the number of reviews of i,
:math:`m_u` that of the user, :math:`z` a product's mean review text. The letters a, b, c, D and t are
`MemorySettings.product_power`, `author_power`, `session`, `session_days` and `text`.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from rec_sys.contracts import MILLISECONDS_A_DAY
from rec_sys.data.interactions import FloatArray, IntArray, SmallIntArray
from rec_sys.modules.memory import CoReviewMemory, keep_strongest
from rec_sys.settings import MemorySettings
from rec_sys.unit_vectors import unit_vectors

_REACH = 50  # reviews of a user that a pair may lie apart; histories are not read further back either
_SUMMED_AT_ONCE = 20_000_000  # pairs, 400 MB
_COMPARED_AT_ONCE = 200_000  # pairs of texts, 600 MB


@dataclass(frozen=True)
class KnownReviews:
    """The reviews that the memory is made from, in time order; arrays are `[num_reviews]`.

    Attributes:
        user_index: int32.
        product_index: int32.
        timestamp: int64 milliseconds; None where the data has no time.
        text_row: int32, row of `text_vectors`, -1 where there is no text that may be read.
        text_vectors: float16 `[num_texts, text_dim]`.
        weight: float32, how much each says beside others; None where all say the same.
    """

    user_index: SmallIntArray
    product_index: SmallIntArray
    timestamp: IntArray | None
    text_row: SmallIntArray
    text_vectors: npt.NDArray[np.float16]
    weight: FloatArray | None = None


def count_memory(reviews: KnownReviews, num_users: int, num_products: int, settings: MemorySettings) -> CoReviewMemory:
    """Counts, sharpens and keeps the strongest weights of each product."""
    counts = _count_pairs(reviews, num_users, num_products, settings).tocoo()
    reviewed = np.bincount(reviews.product_index, minlength=num_products)
    weights = counts.data * np.maximum(reviewed, 1)[counts.row] ** -settings.product_power
    if settings.text > 0:
        means = mean_texts(reviews, num_products)
        for start in range(0, len(weights), _COMPARED_AT_ONCE):
            pairs = slice(start, start + _COMPARED_AT_ONCE)
            cosine = np.einsum("pd,pd->p", means[counts.row[pairs]], means[counts.col[pairs]])
            weights[pairs] *= np.maximum(1 + settings.text * cosine, 0)
    shaped = sparse.csc_matrix((weights.astype(np.float32), (counts.row, counts.col)), shape=counts.shape)
    return CoReviewMemory(keep_strongest(shaped, settings.neighbours))


def mean_texts(reviews: KnownReviews, num_products: int) -> FloatArray:
    """What people write about each product beyond what they write about any, see `describe_texts`."""
    return describe_texts(reviews, num_products)[0]


def describe_texts(reviews: KnownReviews, num_products: int) -> tuple[FloatArray, FloatArray]:
    """What people write about each product beyond what they write about any, and what they write about any.

    Returns:
        float32 `[num_products, text_dim]`, unit vectors, zero where nothing was written; the mean review,
        float32 `[text_dim]`.
    """
    written = np.flatnonzero(reviews.text_row >= 0)
    product = reviews.product_index[written]
    text_dim = reviews.text_vectors.shape[1]
    total = np.zeros((num_products, text_dim), dtype=np.float32)
    summed = np.zeros(text_dim, dtype=np.float64)
    for start in range(0, len(written), _COMPARED_AT_ONCE):
        piece = slice(start, start + _COMPARED_AT_ONCE)
        vectors = reviews.text_vectors[reviews.text_row[written[piece]]].astype(np.float32)
        np.add.at(total, product[piece], vectors)
        summed += vectors.sum(axis=0, dtype=np.float64)
    # The mean review is in every product's texts and says nothing about any.
    common = (summed / max(len(written), 1)).astype(np.float32)
    count = np.bincount(product, minlength=num_products)
    return unit_vectors(total - count[:, None] * common), common


def _count_pairs(
    reviews: KnownReviews, num_users: int, num_products: int, settings: MemorySettings
) -> sparse.csr_matrix:
    """The sum in the formula: float32 CSR `[num_products, num_products]`, symmetric, an empty diagonal."""
    order = np.argsort(reviews.user_index, kind="stable")
    user, product = reviews.user_index[order], reviews.product_index[order]
    day = None if reviews.timestamp is None else reviews.timestamp[order] / MILLISECONDS_A_DAY
    last = np.searchsorted(user, user, side="right") - 1  # place of the user's newest review
    author = (np.bincount(user, minlength=num_users)[user] ** -settings.author_power).astype(np.float32)
    heavy = None if reviews.weight is None else reviews.weight[order]
    place = np.arange(len(user))
    shape = (num_products, num_products)
    counted = sparse.csr_matrix(shape, dtype=np.float32)
    waiting: list[tuple[SmallIntArray, SmallIntArray, FloatArray]] = []
    for gap in range(1, _REACH + 1):
        older = place[: max(len(place) - gap, 0)]
        older = older[older + gap <= last[older]]
        if len(older) == 0:
            break
        newer = older + gap
        weight = author[older] if heavy is None else author[older] * heavy[older] * heavy[newer]
        if day is not None and settings.session > 0:
            apart = np.exp(-(day[newer] - day[older]) / settings.session_days)
            weight = (weight * (1 + settings.session * apart)).astype(np.float32)
        waiting.append((product[older], product[newer], weight))
        if sum(len(pairs[2]) for pairs in waiting) > _SUMMED_AT_ONCE:
            counted, waiting = counted + _sum_up(waiting, shape), []
    if waiting:
        counted = counted + _sum_up(waiting, shape)
    both = (counted + counted.T).tocsr()
    both.setdiag(0)
    both.eliminate_zeros()
    return both


def _sum_up(pairs: list[tuple[SmallIntArray, SmallIntArray, FloatArray]], shape: tuple[int, int]) -> sparse.csr_matrix:
    rows, columns, weights = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    return sparse.csr_matrix((weights, (rows, columns)), shape=shape)
