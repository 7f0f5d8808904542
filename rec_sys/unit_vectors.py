"""Vectors of length one."""

from typing import Final

import numpy as np
import numpy.typing as npt

_NOTHING: Final = 1e-6  # a vector this short has no direction


def unit_vectors(vectors: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Rows of length one, or zero: float32 `[n, dim]`.

    >>> unit_vectors(np.array([[3.0, 4.0], [0.0, 0.0]])).round(1).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    wide = vectors.astype(np.promote_types(vectors.dtype, np.float32))  # half precision overflows in a sum of squares
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    found: npt.NDArray[np.float32] = np.divide(wide, length, out=np.zeros_like(wide), where=length > _NOTHING).astype(
        np.float32
    )
    return found
