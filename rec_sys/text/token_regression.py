r"""Token vectors whose means come as near as can be to what an encoder says of whole texts.

A text's static vector is :math:`x W`, with :math:`x` its token counts. :math:`W` starts at the distilled vectors
:math:`W_0` and moves by a ridge regression on the encoder's vectors :math:`y` of some texts, solved over the texts
(there are fewer of them than tokens):

.. math:: W = s W_0 + X^T (X X^T + \lambda I)^{-1} (Y - s X W_0).

The penalty is the one of several that does best on a tenth of the texts, left out meanwhile.
"""

import logging
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import sparse

FloatArray = npt.NDArray[np.float32]

_LOG: Final = logging.getLogger(__name__)

_PENALTIES: Final = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)  # times the mean square of a text's counts
_SHARE_LEFT_OUT: Final = 0.1


def fit_tokens(start: FloatArray, rows: Sequence[Sequence[int]], targets: FloatArray, dim: int) -> FloatArray:
    """Fits the vectors of tokens to those of texts.

    Args:
        start: Distilled vectors, float32 `[vocabulary, target_dim]`.
        rows: The token ids of each text, in any order; none may be empty.
        targets: The encoder's vectors, float32 `[num_texts, target_dim]`.
        dim: Width of the result: the targets' principal components of most variance.

    Returns:
        float32 `[vocabulary, dim]`.
    """
    centred = targets - targets.mean(axis=0)
    kept = principal_directions(centred, dim)
    wanted, tokens = _directions(centred @ kept), start @ kept
    counts = _count(rows, len(start))
    length = np.linalg.norm(counts @ tokens, axis=1)
    counts = sparse.diags_array(1 / np.maximum(length, 1e-9)) @ counts
    predicted = counts @ tokens
    tokens *= (predicted * wanted).sum() / (predicted * predicted).sum()
    missed = wanted - counts @ tokens
    left_out = max(1, int(_SHARE_LEFT_OUT * len(rows)))
    similar = {}
    corrections = _ridge(counts[left_out:], missed[left_out:], _PENALTIES)
    for penalty, correction in zip(_PENALTIES, corrections, strict=True):
        found = _directions(counts[:left_out] @ (tokens + correction))
        similar[penalty] = float((found * wanted[:left_out]).sum(axis=1).mean())
    best = max(similar, key=lambda penalty: similar[penalty])
    _LOG.info(f"text: on texts left out, the mean cosine to the encoder's vectors is {similar[best]:.3f}")
    fitted: FloatArray = (tokens + _ridge(counts, missed, (best,))[0]).astype(np.float32)
    return fitted


def principal_directions(centred: FloatArray, dim: int) -> FloatArray:
    """The directions of most variance of vectors `[n, target_dim]` about 0: float32 `[target_dim, dim]`."""
    _, directions = np.linalg.eigh(centred.T @ centred)  # ascending
    found: FloatArray = directions[:, ::-1][:, :dim]
    return found


def _count(rows: Sequence[Sequence[int]], vocabulary: int) -> "sparse.csr_array":
    offsets = np.cumsum([0, *map(len, rows)])
    tokens = np.concatenate([np.asarray(row, dtype=np.int64) for row in rows])
    counted = sparse.csr_array((np.ones(len(tokens)), tokens, offsets), shape=(len(rows), vocabulary))
    counted.sum_duplicates()
    return counted


def _ridge(counts: "sparse.csr_array", missed: FloatArray, penalties: Sequence[float]) -> list[FloatArray]:
    """A correction of the tokens, `[vocabulary, dim]`, for each penalty."""
    products = (counts @ counts.T).toarray()
    values, vectors = np.linalg.eigh(products)
    turned, scale = vectors.T @ missed, float(values.mean())
    return [counts.T @ (vectors @ (turned / (values + penalty * scale)[:, None])) for penalty in penalties]


def _directions(vectors: FloatArray) -> FloatArray:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    units: FloatArray = vectors / np.maximum(length, 1e-9)
    return units
