"""What the reviews of one user and product say together: the user-product matrix of item-item models."""

import numpy as np
import numpy.typing as npt
from scipy import sparse


def evidence_matrix(
    user_index: npt.NDArray[np.integer],
    product_index: npt.NDArray[np.integer],
    weight: npt.NDArray[np.float32] | None,
    shape: tuple[int, int],
) -> sparse.csr_matrix:
    """float32 `[num_users, num_products]`: the heaviest of a user's reviews of a product; 1 without weights.

    A product that is reviewed twice is one product, and one that was looked at and then ordered is ordered.
    """
    if weight is None:
        ones = np.ones(len(user_index), dtype=np.float32)
        matrix = sparse.csr_matrix((ones, (user_index, product_index)), shape=shape)
        matrix.sum_duplicates()
        matrix.data[:] = 1
        return matrix
    order = np.lexsort((weight, product_index, user_index))
    user, product = user_index[order], product_index[order]
    heaviest = np.append((user[1:] != user[:-1]) | (product[1:] != product[:-1]), True)[: len(user)]
    kept = order[heaviest]
    return sparse.csr_matrix((weight[kept], (user_index[kept], product_index[kept])), shape=shape)
