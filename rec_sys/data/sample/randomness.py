"""Random numbers that stay the same across numpy releases: only uniform draws, turned into others by fixed formulas.

numpy promises the stream of PCG64 and of its uniform doubles, but not that of its other distributions.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

_ALPHABET = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"))


class RandomStream:
    """One independent stream of random numbers a purpose: users drawn anew must not change the catalogue."""

    def __init__(self, seed: int, purpose: int) -> None:
        self._generator = np.random.Generator(np.random.PCG64([seed, purpose]))

    def uniform(self, *shape: int) -> Floats:
        """Uniform in [0, 1)."""
        return self._generator.random(shape)

    def normal(self, *shape: int) -> Floats:
        """Standard normal."""
        return np.asarray(ndtri(np.clip(self.uniform(*shape), 1e-12, 1 - 1e-12)), dtype=np.float64)

    def integers(self, high: int, *shape: int) -> Integers:
        """Uniform in 0 .. high - 1."""
        return (self.uniform(*shape) * high).astype(np.int64)

    def order(self, count: int) -> Integers:
        """A random permutation."""
        return np.argsort(self.uniform(count), kind="stable").astype(np.int64)

    def rows_of(self, weights: Floats) -> Integers:
        """One column index a row of `weights` [n, options], drawn in proportion."""
        return pick_by_weight(weights, self.uniform(len(weights)))

    def identifiers(self, prefix: str, lengths: Integers) -> list[str]:
        """Distinct ids of letters and digits, of these lengths, that start with `prefix`."""
        longest = int(lengths.max()) - len(prefix)
        found: dict[str, None] = {}
        while len(found) < len(lengths):
            letters: Any = _ALPHABET[self.integers(len(_ALPHABET), len(lengths), longest)]
            for row, length in zip(letters, lengths, strict=True):
                found[prefix + "".join(row[: length - len(prefix)])] = None
        return list(found)[: len(lengths)]


def pick_by_weight(weights: Floats, uniform: Floats) -> Integers:
    """Inverse-CDF choice: int64 [n], never an option of weight 0.

    Args:
        weights: float64 [n, options], not negative, each row with a positive sum.
        uniform: float64 [n] in [0, 1).
    """
    cumulative = np.cumsum(weights, axis=1)
    chosen = (cumulative <= (uniform * cumulative[:, -1])[:, None]).sum(axis=1)
    return np.asarray(np.minimum(chosen, weights.shape[1] - 1), dtype=np.int64)
