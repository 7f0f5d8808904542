r"""The place of a product that the co-review memory does not know: a column of its own, without any training.

.. math:: M_{\cdot j} = o_j + f \sum_{i \in N(j)} \alpha_i \, (\bar s / s_i)^e \, M_{\cdot i}

:math:`o_j` is what the first reviews say themselves: who else their authors reviewed, counted as the memory counts.
:math:`N(j)` are the known products that are most like the new one, :math:`\alpha` their likeness, normalised to 1;
:math:`s_i` is the sum of a column and :math:`\bar s` the mean sum, since a newcomer is as popular as nobody knows yet.
f = `factor` and e = `evenness` in `NewcomerSettings`.

Training, experiments and serving place products with this module. numpy and scipy only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import sparse

from rec_sys.contracts import PlacingTensor
from rec_sys.product_kinds import ProductKinds
from rec_sys.settings import MemorySettings, NewcomerSettings
from rec_sys.unit_vectors import unit_vectors

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class KnownProducts:
    """The products of a train split.

    Attributes:
        memory: float32 CSC `[num_products, num_products]`; column j: what a review of each product adds to j's score.
        reviews: float32 `[num_products]`, how many each has; those without any are no neighbours.
        review_text: float32 `[num_products, text_dim]`, what is written of each beyond what is written of any: unit
            vectors, zero where nothing is.
        common_text: float32 `[text_dim]`, the mean review.
        product_text: float32 `[num_products, text_dim]`, of their descriptions; zero where missing.
        kinds: float32 CSR `[num_products, num_kinds]`, 1 for each category and brand.
        price: float32 `[num_products]`, NaN where unknown.
    """

    memory: sparse.csc_matrix
    reviews: FloatArray
    review_text: FloatArray
    common_text: FloatArray
    product_text: FloatArray
    kinds: sparse.csr_matrix
    price: FloatArray

    @classmethod
    def of_tensors(
        cls,
        tensors: Mapping[str, npt.NDArray[np.floating]],
        memory: sparse.csr_matrix,
        product_text: FloatArray,
        kinds: ProductKinds,
    ) -> "KnownProducts":
        """From what a bundle holds, see `contracts.PlacingTensor`; further rows of the memory are not read."""
        return cls(
            memory=memory[: memory.shape[1]].tocsc(),
            reviews=tensors[PlacingTensor.REVIEWS].astype(np.float32),
            review_text=tensors[PlacingTensor.REVIEW_TEXT].astype(np.float32),
            common_text=tensors[PlacingTensor.COMMON_TEXT].astype(np.float32),
            product_text=product_text,
            kinds=kinds.matrix,
            price=kinds.price,
        )

    @cached_property
    def sums(self) -> FloatArray:
        """Of each column of the memory: float32 `[num_products]`."""
        return np.asarray(self.memory.sum(axis=0), dtype=np.float32).ravel()

    @cached_property
    def _described(self) -> tuple[FloatArray, FloatArray]:
        """The mean description, and the directions in which the others lie from it."""
        has = np.any(self.product_text, axis=1)
        mean = self.product_text[has].mean(axis=0) if has.any() else np.zeros(self.product_text.shape[1])
        return mean.astype(np.float32), unit_vectors((self.product_text - mean) * has[:, None])

    def like_text(self, newcomer: "Newcomer") -> FloatArray:
        """The cosine of reviews with reviews, plus that of descriptions with descriptions: float32 `[num_products]`."""
        likeness = np.zeros(len(self.reviews), dtype=np.float32)
        if len(newcomer.review_text):
            written = newcomer.review_text.astype(np.float32).sum(axis=0) - len(newcomer.review_text) * self.common_text
            likeness += self.review_text @ unit_vectors(written[None])[0]
        if newcomer.product_text.any():
            mean, directions = self._described
            likeness += directions @ unit_vectors((newcomer.product_text - mean)[None])[0]
        return likeness

    def like_known(self, product: int) -> FloatArray:
        """`like_text` of one of these products with the others, 0 with itself: float32 `[num_products]`."""
        directions = self._described[1]
        likeness: FloatArray = self.review_text @ self.review_text[product] + directions @ directions[product]
        likeness[product] = 0
        return likeness

    def like_kind(self, newcomer: "Newcomer") -> FloatArray:
        """Shared categories and brand, as a cosine, times the ratio of the prices: float32 `[num_products]`."""
        size = np.sqrt(np.asarray(self.kinds.sum(axis=1)).ravel() * max(len(newcomer.kinds), 1))
        shared = np.asarray(self.kinds[:, newcomer.kinds].sum(axis=1)).ravel() / np.maximum(size, 1)
        if newcomer.price > 0:  # an unknown price is NaN
            apart = np.abs(np.log(np.maximum(self.price, 0.01)) - np.log(np.float32(newcomer.price)))
            shared = shared * np.exp(-np.nan_to_num(apart, nan=1.0))
        likeness: FloatArray = shared.astype(np.float32)
        return likeness


@dataclass(frozen=True)
class Newcomer:
    """A product as it arrives.

    Attributes:
        review_text: float `[num_texts, text_dim]`, of its first reviews.
        product_text: float32 `[text_dim]`, of its description; zero where missing.
        beside: int64 `[n]`, the products that the authors of its first reviews have reviewed.
        beside_weight: float32 `[n]`, what each counts, see `weigh_beside`.
        kinds: int64, columns of `KnownProducts.kinds`.
        price: NaN where unknown.
    """

    review_text: npt.NDArray[np.floating]
    product_text: FloatArray
    beside: IntArray
    beside_weight: FloatArray
    kinds: IntArray
    price: float = float("nan")


def weigh_beside(
    settings: MemorySettings,
    author_reviews: npt.NDArray[np.integer],
    days: npt.NDArray[np.floating],
    evidence: npt.NDArray[np.floating] | None = None,
) -> FloatArray:
    """What the pairs of a first review and another review of its author count: float32 `[n]`.

    Args:
        settings: Of the memory; its regressions count every pair alike.
        author_reviews: `[n]`, how many the author has written, this first review included.
        days: `[n]`, between the two; NaN where unknown.
        evidence: `[n]`, the product of the two reviews' weights; None where all say the same.
    """
    weight = np.ones(len(days)) if evidence is None else np.asarray(evidence, dtype=np.float64)
    if settings.method == "counts":
        weight = weight * np.asarray(author_reviews, dtype=np.float64) ** -settings.author_power
        if settings.session > 0:
            near = np.exp(-np.abs(days) / settings.session_days)
            weight = weight * (1 + settings.session * np.nan_to_num(near, nan=0.0))
    return weight.astype(np.float32)


def place_column(
    newcomer: Newcomer, known: KnownProducts, memory: MemorySettings, settings: NewcomerSettings
) -> FloatArray:
    """A new product's column of the memory: float32 `[num_products]`, its `memory.neighbours` strongest weights."""
    likeness = {"text": known.like_text, "kind": known.like_kind}[settings.by](newcomer)
    column = _own_column(newcomer, known, memory) + settings.factor * neighbours_column(likeness, known, settings)
    if np.count_nonzero(column) > memory.neighbours:
        column[np.argsort(-np.abs(column), kind="stable")[memory.neighbours :]] = 0
    return column.astype(np.float32)


def _own_column(newcomer: Newcomer, known: KnownProducts, memory: MemorySettings) -> npt.NDArray[np.float64]:
    size = len(known.reviews)
    column = np.bincount(newcomer.beside, newcomer.beside_weight, minlength=size).astype(np.float64)
    if memory.method == "ridge":
        # The regression on each product alone: few reviews cannot tell partners apart.
        return column / (known.reviews + memory.l2[len(memory.l2) // 2])
    column *= np.maximum(known.reviews, 1) ** -memory.product_power
    if memory.text > 0 and len(newcomer.review_text):
        written = newcomer.review_text.astype(np.float32).sum(axis=0) - len(newcomer.review_text) * known.common_text
        column *= np.maximum(1 + memory.text * (known.review_text @ unit_vectors(written[None])[0]), 0)
    return column


def neighbours_column(
    likeness: FloatArray, known: KnownProducts, settings: NewcomerSettings
) -> npt.NDArray[np.float64]:
    """The mean column of the most similar products, the second part of the formula: `[num_products]`."""
    able = (known.reviews > 0) & (known.sums > 0) & (likeness > 0)
    nearest = np.argsort(-np.where(able, likeness, -np.inf), kind="stable")[: settings.neighbours]
    nearest = nearest[able[nearest]]
    if not len(nearest):
        return np.zeros(len(likeness))
    share = likeness[nearest].astype(np.float64) / likeness[nearest].sum()
    mean = known.sums[known.sums > 0].mean()
    share *= (mean / known.sums[nearest]) ** settings.evenness
    mixed: npt.NDArray[np.float64] = np.asarray(known.memory[:, nearest] @ share, dtype=np.float64)
    return mixed
