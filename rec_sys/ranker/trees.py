r"""Boosted trees as plain arrays, whichever library learned them: what a bundle keeps and everything else is made from.

A row goes left at a node where its feature is at most the threshold, or where it is missing and the node says so.
Thresholds are float32 and rounded so that every float32 feature goes where the library's own comparison sends it.

Why a row has its value is said by Shapley values, as TreeSHAP computes them (Lundberg et al. 2020, algorithm 1, "path
dependent"): with :math:`z_i` the share of training rows that follow a leaf's path at its splits on feature i and
:math:`o_i \in \{0, 1\}` whether the row does, a leaf of value v whose path has features D gives feature i

.. math:: v (o_i - z_i) \sum_{S \subseteq D \setminus i} \frac{|S|! (|D| - |S| - 1)!}{|D|!}
    \prod_{j \in S} o_j \prod_{j \notin S} z_j
    = v (o_i - z_i) \int_0^1 \prod_{j \in D \setminus i} (t \, o_j + (1 - t) z_j) \, dt.
"""

from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from rec_sys.ranker.facts import FloatArray

LEAF: Final = -1  # the feature of a leaf

_SMALLEST: Final = 1e-300


@dataclass(frozen=True, eq=False)
class Trees:
    """A forest whose value is the sum of its trees'; arrays but the first are `[num_nodes]`, tree by tree.

    Attributes:
        roots: int32 `[num_trees]`, nodes.
        feature: int32, `LEAF` at leaves.
        threshold: float32.
        missing_left: bool.
        left: int32, nodes.
        right: int32.
        value: float32, of leaves.
        cover: float32, what the training rows that came by weigh.
    """

    roots: npt.NDArray[np.int32]
    feature: npt.NDArray[np.int32]
    threshold: FloatArray
    missing_left: npt.NDArray[np.bool_]
    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    value: FloatArray
    cover: FloatArray

    @classmethod
    def of_tensors(cls, tensors: dict[str, npt.NDArray[Any]]) -> Self:
        """What `tensors` gave.

        Raises:
            ValueError: They are no trees.
        """
        names = [field.name for field in fields(cls)]
        if set(names) != tensors.keys():
            raise ValueError(f"tensors named {', '.join(names)} are expected")
        found = cls(**{name: tensors[name] for name in names})
        nodes = np.arange(len(found.feature))
        inner = found.feature != LEAF
        below = np.concatenate([found.left[inner], found.right[inner]])
        # Children stand behind their parents, so that no walk goes in a circle.
        sound = all(len(tensors[name]) == len(nodes) for name in names[1:]) and (
            bool((below > np.tile(nodes[inner], 2)).all())
            and bool((below < len(nodes)).all())
            and bool(((found.roots >= 0) & (found.roots < len(nodes))).all())
            and bool(np.isfinite(found.value).all() and np.isfinite(found.threshold).all())
        )
        if not sound:
            raise ValueError("finite trees are expected whose nodes stand behind their parents")
        return found

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def predict(self, features: FloatArray) -> npt.NDArray[np.float64]:
        """The forest's value of each row, float64 `[n]`; `features` is float32 `[n, num_features]`."""
        rows = np.arange(len(features))[:, None]
        node = np.broadcast_to(self.roots, (len(features), len(self.roots))).astype(np.int64)
        while (inner := self.feature[node] != LEAF).any():
            value = features[rows, np.maximum(self.feature[node], 0)]
            left = np.where(np.isnan(value), self.missing_left[node], value <= self.threshold[node])
            node = np.where(inner, np.where(left, self.left[node], self.right[node]), node)
        found: npt.NDArray[np.float64] = self.value[node].astype(np.float64).sum(axis=1)
        return found

    def contributions(self, features: FloatArray) -> npt.NDArray[np.float64]:
        """What each feature adds to the value of each row beside the forest's mean: float64 `[n, num_features]`.

        With the mean they sum to `predict`.
        """
        paths = self._paths
        num_rows, depth = len(features), paths.feature.shape[1]
        values = features[:, np.maximum(paths.feature, 0)]  # [n, num_leaves, depth]
        inside = (values > paths.low) & (values <= paths.high)
        follows = np.where(np.isnan(values), paths.missing, inside) | (paths.feature < 0)
        more = follows - paths.share
        gained = np.zeros(follows.shape)
        # Gauss and Legendre's rule is exact for polynomials of a degree below twice its points.
        for point, weight in zip(*_legendre((depth + 1) // 2), strict=True):
            factors = paths.share + point * more
            product = weight * factors.prod(axis=2, keepdims=True)
            gained += product / np.maximum(factors, _SMALLEST)  # where one is 0, the product is
        gained *= more * paths.value[:, None]
        found = np.zeros((num_rows, features.shape[1]))
        used = paths.feature >= 0
        np.add.at(found.T, paths.feature[used], gained[:, used].T)
        return found

    @cached_property
    def _paths(self) -> "_Paths":
        return _list_paths(self)


@dataclass(frozen=True, eq=False)
class _Paths:
    """The paths to all leaves, each feature once: `[num_leaves, depth]`; feature -1 fills up shorter ones.

    What fills up is followed by every row, training's included, which changes no Shapley value.
    """

    feature: npt.NDArray[np.int64]
    low: FloatArray  # a row follows where low < feature <= high
    high: FloatArray
    missing: npt.NDArray[np.bool_]  # whether a missing one follows
    share: npt.NDArray[np.float64]
    value: npt.NDArray[np.float64]  # [num_leaves]


@lru_cache
def _legendre(count: int) -> tuple[list[float], list[float]]:
    """Points between 0 and 1, and their weights."""
    points, weights = np.polynomial.legendre.leggauss(count)
    return ((points + 1) / 2).tolist(), (weights / 2).tolist()


def _list_paths(trees: Trees) -> _Paths:
    every: list[dict[int, tuple[float, float, bool, float]]] = []
    values: list[float] = []
    waiting: list[tuple[int, dict[int, tuple[float, float, bool, float]]]] = [(int(root), {}) for root in trees.roots]
    while waiting:
        node, path = waiting.pop()
        feature = int(trees.feature[node])
        if feature == LEAF:
            every.append(path)
            values.append(float(trees.value[node]))
            continue
        low, high, missing, share = path.get(feature, (-np.inf, np.inf, True, 1.0))
        threshold, cover = float(trees.threshold[node]), float(trees.cover[node])
        for child, goes_left in ((int(trees.left[node]), True), (int(trees.right[node]), False)):
            bounds = (low, min(high, threshold)) if goes_left else (max(low, threshold), high)
            follows = missing and bool(trees.missing_left[node]) == goes_left
            part = share * float(trees.cover[child]) / cover if cover else share / 2
            waiting.append((child, path | {feature: (*bounds, follows, part)}))
    shape = (len(every), max(1, max(map(len, every), default=1)))
    found = _Paths(
        feature=np.full(shape, -1),
        low=np.full(shape, -np.inf, dtype=np.float32),
        high=np.full(shape, np.inf, dtype=np.float32),
        missing=np.ones(shape, dtype=np.bool_),
        share=np.ones(shape),
        value=np.array(values, dtype=np.float64),
    )
    for leaf, path in enumerate(every):
        for place, (feature, (low, high, missing, share)) in enumerate(path.items()):
            found.feature[leaf, place], found.share[leaf, place] = feature, share
            found.low[leaf, place], found.high[leaf, place], found.missing[leaf, place] = low, high, missing
    return found


def example_rows(trees: Trees, count: int, num_features: int, seed: int = 0) -> FloatArray:
    """Rows that tell two readings of the trees apart: at thresholds, just above them, and with missing values."""
    random = np.random.default_rng(seed)
    inner = np.flatnonzero(trees.feature != LEAF)
    found = np.full((count, num_features), np.nan, dtype=np.float32)
    for feature in range(num_features):
        own = trees.threshold[inner[trees.feature[inner] == feature]]
        if len(own):
            found[:, feature] = random.choice(own, count)
    above = random.random(found.shape) < 0.5
    with np.errstate(over="ignore"):  # above the largest number, a threshold that parts missing values alone, is inf
        found[above] = np.nextafter(found[above], np.float32(np.inf))
    found[random.random(found.shape) < 0.2] = np.nan
    return found
