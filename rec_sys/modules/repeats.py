"""How often users come to a product again, learned from a train split: the rates of the score's repeat term."""

import numpy as np
import numpy.typing as npt

from rec_sys.contracts import MILLISECONDS_A_DAY
from rec_sys.data.interactions import BoolArray, FloatArray, IntArray, Interactions
from rec_sys.score_terms import AGE_BOUNDS, COUNT_BOUNDS, RepeatRates, count_bins, rate_rows

_EVENT_AGES = (0.1, 0.3, 1.0, 2.0, 4.0, 7.0, 14.0, 30.0)  # days; what is in a basket is ordered soon or never
_MOST_KINDS = 6  # of weights that are kept apart
_PSEUDO_COUNTS = 20.0  # of the mean rate, in every cell: a share of some dozen cases is read as half its own


def fit_repeats(
    columns: Interactions, edges: IntArray, limit: int, of_kind: BoolArray | None = None
) -> RepeatRates | None:
    """The share of histories with a product whose next review is of it again, by the product's age and count in them.

    Each review of the train split is asked about once, with what the user had reviewed before its unit. Where some
    kinds of events are predicted, those alone are asked about, and the rates go by finer ages and by what the heaviest
    event with the product weighs: what was put into a basket is ordered more often than what was looked at.

    Args:
        columns: All reviews.
        edges: int64, the train edges, ascending.
        limit: Most reviews that a history is read back.
        of_kind: bool `[num_reviews]`, which reviews are of a kind that is predicted, and asked about; None: all are.

    Returns:
        The rates; None where no product is ever come to again.
    """
    order = np.argsort(columns.user_index[edges], kind="stable")
    edge = edges[order]
    user, product = columns.user_index[edge], columns.product_index[edge]
    day = columns.timestamp[edge] / MILLISECONDS_A_DAY
    first = np.searchsorted(user, user)  # of the user
    # Of each review the place where its unit begins: the end of the history that it is asked with.
    unit = columns.unit_start[edge]
    place = np.arange(len(edge))
    begins = place - _place_in_run(user, unit)
    again, count = _occurrences(user, product)
    says = columns.weights_of(edge)
    heaviest = np.ones(len(edge)) if says is None else _heaviest(user, product, says)
    ages, strengths = (AGE_BOUNDS, ()) if of_kind is None else (_EVENT_AGES, _bounds(says))
    shape = ((len(ages) + 1) * (len(strengths) + 1), len(COUNT_BOUNDS) + 1)
    asked, repeated = np.zeros(shape), np.zeros(shape)
    wanted = place if of_kind is None else place[of_kind[edge]]
    for gap in range(1, limit + 1):
        target = wanted[begins[wanted] - gap >= first[wanted]]
        if len(target) == 0:
            break
        end = begins[target]
        entry = end - gap
        newest_of_it = again[entry] >= end
        target, end, entry = target[newest_of_it], end[newest_of_it], entry[newest_of_it]
        age = day[end - 1] - day[entry] if columns.has_time else gap - 1.0 + np.zeros(len(entry))
        cell = rate_rows(age, heaviest[entry], ages, strengths), count_bins(count[entry])
        np.add.at(asked, cell, 1.0)
        np.add.at(repeated, cell, (product[entry] == product[target]).astype(np.float64))
    if not repeated.any():
        return None
    mean = repeated.sum() / asked.sum()
    rates = (repeated + _PSEUDO_COUNTS * mean) / (asked + _PSEUDO_COUNTS)
    return RepeatRates(
        rates=tuple(tuple(row) for row in rates.tolist()),
        by_time=columns.has_time,
        age_bounds=ages,
        evidence_bounds=strengths,
    )


def _bounds(says: FloatArray | None) -> tuple[float, ...]:
    """Between the weights that there are; of more than some few, between equal shares of them."""
    if says is None or not len(says):
        return ()
    values = np.unique(says).astype(np.float64)
    if len(values) > _MOST_KINDS:
        values = np.unique(np.quantile(says, np.linspace(0, 1, _MOST_KINDS)))
    return tuple(((values[1:] + values[:-1]) / 2).tolist())


def _heaviest(user: npt.NDArray[np.integer], product: npt.NDArray[np.integer], says: FloatArray) -> FloatArray:
    """What the heaviest of a user's reviews of a product weighs, up to each one: float32 `[n]`."""
    order = np.lexsort((np.arange(len(user)), product, user))
    found = np.empty(len(user), dtype=np.float32)
    starts = np.append(True, (user[order][1:] != user[order][:-1]) | (product[order][1:] != product[order][:-1]))
    # Runs are lifted above those before them, so that one maximum goes through all.
    run = np.cumsum(starts[: len(user)]) * (2 * float(says.max(initial=0)) + 1)
    found[order] = np.maximum.accumulate(says[order] + run) - run
    return found


def _place_in_run(user: npt.NDArray[np.integer], unit: IntArray) -> IntArray:
    """How many entries before each one have its user and its unit, without another between: int64 `[n]`."""
    starts = np.append(True, (user[1:] != user[:-1]) | (unit[1:] != unit[:-1]))[: len(user)]
    place = np.arange(len(user))
    return place - np.maximum.accumulate(np.where(starts, place, 0))


def _occurrences(user: npt.NDArray[np.integer], product: npt.NDArray[np.integer]) -> tuple[IntArray, IntArray]:
    """Where each user's product stands next, int64 `[n]` (n: nowhere), and how often up to here, itself included."""
    size = len(user)
    order = np.lexsort((np.arange(size), product, user))
    same = (user[order][1:] == user[order][:-1]) & (product[order][1:] == product[order][:-1])
    following, count = np.full(size, size, dtype=np.int64), np.ones(size, dtype=np.int64)
    following[order[:-1][same]] = order[1:][same]
    run = np.append(0, np.where(same, 0, np.arange(1, size)))[:size]
    count[order] = np.arange(size) - np.maximum.accumulate(run) + 1
    return following, count
