r"""The co-review memory: a sparse linear item-item model, fitted in closed form on who reviewed which products.

A linear item-item model predicts a product from the others that the same users reviewed. EASE (Steck 2019, eq. 8)
solves it over all products at once and needs the inverse of a dense square. Here each product j is predicted from its
`candidates` strongest co-reviewed products alone,

.. math:: w_j = (G_{cc} + \lambda I)^{-1} C_{cj},

one small ridge regression a product: no square is ever formed, memory grows with the number of products, and on the
2018 instrument sequences leaving the weak products out ranked better than the whole inverse.

Two such models are summed. The symmetric one counts who reviewed both (G = C = X^T X). The directed one knows the
order (as SLIT, Choi et al. 2021): a history weighted `past` a step back predicts a future weighted `future` a step
ahead; summed over all places where a sequence can be cut, both matrices depend on the gap between two reviews only.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse

from rec_sys import ragged
from rec_sys.data.evidence import evidence_matrix
from rec_sys.data.interactions import IntArray
from rec_sys.settings import MemorySettings

_SHRINKAGE = 10.0  # pseudo-count in the strength of a candidate, against products seen once
_READ_AT_ONCE = 8_192  # products; the squares of 100 candidates each need 328 MB
_SOLVED_AT_ONCE = 256
_FADED = 1e-3  # weights below this end the directed sums


@dataclass(frozen=True)
class CoReviewMemory:
    """A linear item-item model: sparse weights between products.

    Attributes:
        matrix: float32 CSR `[num_products, num_products]`; row i, column j: what a review of i adds to the score of j.
    """

    matrix: sparse.csr_matrix

    def score(self, weights: sparse.csr_matrix) -> npt.NDArray[np.float32]:
        """History weights, CSR `[rows, num_products]`, to scores, float32 `[rows, num_products]`."""
        scores: npt.NDArray[np.float32] = (weights @ self.matrix).toarray()
        return scores


def fit_memories(
    user_index: npt.NDArray[np.integer],
    product_index: npt.NDArray[np.integer],
    num_users: int,
    num_products: int,
    settings: MemorySettings,
    strengths: Sequence[float],
    weight: npt.NDArray[np.float32] | None = None,
) -> dict[float, CoReviewMemory]:
    """Fits both models to reviews in time order, int `[num_reviews]`, and keeps each product's strongest weights.

    A ridge strength is that of the symmetric model; the directed one uses half of it, since its counts are smaller.
    Several strengths share all but the last step. `weight`, float32 `[num_reviews]`, is what each review says beside
    others: a pair counts the product of its two.
    """
    reviewed = evidence_matrix(user_index, product_index, weight, (num_users, num_products))
    together = (reviewed.T @ reviewed).tocsr()
    found = _solve_locally(together, together, settings.candidates, strengths, itself=False)
    if settings.directed > 0:
        past, future = count_by_gap(user_index, product_index, num_products, settings.past, settings.future, weight)
        halves = [l2 / 2 for l2 in strengths]
        ordered = _solve_locally(past, future, settings.candidates, halves, itself=True)
        found = [weights + settings.directed * other for weights, other in zip(found, ordered, strict=True)]
    return {
        l2: CoReviewMemory(keep_strongest(weights.tocsc(), settings.neighbours))
        for l2, weights in zip(strengths, found, strict=True)
    }


def count_by_gap(
    user_index: npt.NDArray[np.integer],
    product_index: npt.NDArray[np.integer],
    num_products: int,
    past: float,
    future: float,
    weight: npt.NDArray[np.float32] | None = None,
) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """The directed model's two matrices, summed over every place where a user's sequence can be cut.

    With reviews at places a and b of a sequence of n, the history that ends before cut k weighs a by
    past^(k-1-a), the future from k on weighs b by future^(b-k).

    Returns:
        S^T S and S^T T, float32 CSR `[num_products, num_products]`, S the weighted pasts and T the weighted futures.
    """
    order = np.argsort(user_index, kind="stable")
    user, product = user_index[order], product_index[order]
    heavy = None if weight is None else weight[order]
    last = np.searchsorted(user, user, side="right") - 1  # place of the user's newest review
    place = np.arange(len(user))
    shape = (num_products, num_products)
    history = sparse.csr_matrix(shape, dtype=np.float32)
    ahead = sparse.csr_matrix(shape, dtype=np.float32)
    for gap in range(len(user)):
        reach = _sum_of_powers(past, future, gap)
        if past**gap < _FADED and reach < _FADED:
            break
        pair = np.flatnonzero(place + gap <= last) if gap else place
        if len(pair) == 0:
            break
        older, newer = product[pair], product[pair + gap]
        # Cuts after the newer of the two: 1 + past^2 + past^4 + ... over the reviews that follow it.
        cuts = (1 - past ** (2 * (last[pair] - place[pair] - gap))) / (1 - past**2)
        counted = past**gap * cuts
        reached = np.full(len(pair), reach, dtype=np.float32)
        if heavy is not None:
            says = heavy[pair] * heavy[pair + gap]
            counted, reached = counted * says, reached * says
        both = sparse.csr_matrix((counted.astype(np.float32), (older, newer)), shape=shape)
        history = history + (both if gap == 0 else both + both.T)
        if gap:
            ahead = ahead + sparse.csr_matrix((reached, (older, newer)), shape=shape)
    return history.tocsr(), ahead.tocsr()


def _sum_of_powers(past: float, future: float, gap: int) -> float:
    """past^s * future^(gap-1-s), summed over s from 0 to gap - 1."""
    return float(sum(past**step * future ** (gap - 1 - step) for step in range(gap)))


def _solve_locally(
    gram: sparse.csr_matrix, target: sparse.csr_matrix, candidates: int, strengths: Sequence[float], itself: bool
) -> list[sparse.csc_matrix]:
    """One ridge regression a column of `target` on its strongest rows, for each strength; float32 CSC like `target`."""
    index, right = _choose_candidates(gram.diagonal(), target.tocsc(), candidates, itself)
    solutions = [np.zeros(index.shape, dtype=np.float32) for _ in strengths]
    count = (index >= 0).sum(axis=1)
    order = np.argsort(count, kind="stable")  # columns of about as many candidates make squares of about one size

    def solve(block: IntArray, square: torch.Tensor) -> None:
        wanted = torch.from_numpy(right[block, : square.shape[1], None])
        for l2, solution in zip(strengths, solutions, strict=True):
            factor = torch.linalg.cholesky(square + l2 * torch.eye(square.shape[1]))
            solution[block, : square.shape[1]] = torch.cholesky_solve(wanted, factor)[..., 0].numpy()

    # LAPACK factorises one square after the other and holds no lock: several threads do several blocks.
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        for start in range(0, len(order), _READ_AT_ONCE):
            part = order[start : start + _READ_AT_ONCE]
            squares = torch.from_numpy(_squares(gram, index[part, : count[part[-1]]]))
            running = []
            for first in range(0, len(part), _SOLVED_AT_ONCE):
                block = part[first : first + _SOLVED_AT_ONCE]
                width = int(count[block[-1]])
                if not width:
                    continue  # products that nobody reviewed with another
                square = squares[first : first + _SOLVED_AT_ONCE, :width, :width]
                running.append(threads.submit(solve, block, square))
            for done in running:
                done.result()
    present = index >= 0
    columns = np.broadcast_to(np.arange(len(index))[:, None], index.shape)[present]
    return [sparse.csc_matrix((one[present], (index[present], columns)), shape=gram.shape) for one in solutions]


def _squares(gram: sparse.csr_matrix, chosen: IntArray) -> npt.NDArray[np.float32]:
    """What `gram` has between the products of each row of `chosen`, which is `[n, width]` and -1 at ends.

    A row of `gram` is unpacked once for all who chose it: to look every entry up takes three times as long, and SciPy's
    own look-up reads whole rows where the matrix is large beside what is asked for.

    Returns:
        float32 `[n, width, width]`, zero in the rows of ends; a Cholesky factor is computed from the lower triangle
        alone.
    """
    width = chosen.shape[1]
    found = np.zeros((len(chosen) * width, width), dtype=np.float32)
    offsets, places = ragged.group_rows(chosen.ravel() + 1, gram.shape[0] + 1)
    columns = np.maximum(chosen, 0)
    line = np.zeros(gram.shape[1], dtype=np.float32)
    for product in np.flatnonzero(np.diff(offsets[1:])):
        there = gram.indices[gram.indptr[product] : gram.indptr[product + 1]]
        line[there] = gram.data[gram.indptr[product] : gram.indptr[product + 1]]
        place = places[offsets[product + 1] : offsets[product + 2]]
        found[place] = line.take(columns[place // width])
        line[there] = 0
    return found.reshape(len(chosen), width, width)


def _choose_candidates(
    counts: npt.NDArray[np.float32], target: sparse.csc_matrix, limit: int, itself: bool
) -> tuple[IntArray, npt.NDArray[np.float32]]:
    """For each column its `limit` strongest rows, ascending, -1 where there are fewer, and their values.

    Returns:
        int64 and float32 `[columns, limit]`.
    """
    target.sum_duplicates()  # sorts, too
    entries = target.tocoo()
    row, column, value = entries.row.astype(np.int64), entries.col.astype(np.int64), entries.data
    if not itself:
        row, column, value = (part[row != column] for part in (row, column, value))
    strength = value / np.sqrt(counts[row] + _SHRINKAGE)
    kept = _strongest(column, strength, limit)
    row, column, value = row[kept], column[kept], value[kept]
    place = ragged.place_in_row(np.bincount(column, minlength=target.shape[1]))
    index = np.full((target.shape[1], limit), -1, dtype=np.int64)
    right = np.zeros((target.shape[1], limit), dtype=np.float32)
    index[column, place], right[column, place] = row, value
    return index, right


def keep_strongest(weights: sparse.csc_matrix, limit: int) -> sparse.csr_matrix:
    """The `limit` largest weights of each column, by absolute value."""
    weights.sum_duplicates()  # sorts, too
    entries = weights.tocoo()
    kept = _strongest(entries.col, np.abs(entries.data), limit)
    value = entries.data[kept].astype(np.float32)
    return sparse.csr_matrix((value, (entries.row[kept], entries.col[kept])), shape=weights.shape)


def _strongest(column: npt.NDArray[np.integer], strength: npt.NDArray[np.float32], limit: int) -> IntArray:
    """Places of each column's `limit` strongest entries, int64 `[n]`, ascending; of equal ones the first.

    The columns ascend. No strength is below 0, so that its bits are ordered as it is, and one number orders an entry by
    column and strength.
    """
    length = np.bincount(column)
    many = np.flatnonzero(length[column] > limit)
    bits = strength[many].view(np.uint32)
    key = (column[many].astype(np.uint64) << np.uint64(32)) | (np.uint32(0xFFFFFFFF) - bits)
    rank = ragged.place_in_row(length[length > limit])
    many = many[np.argsort(key, kind="stable")]
    kept = np.ones(len(column), dtype=np.bool_)
    kept[many[rank >= limit]] = False
    return np.flatnonzero(kept)
