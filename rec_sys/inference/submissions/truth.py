"""What happened after the last day of training, as a raw file of the data set's own schema has it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from rec_sys.contracts import InputError
from rec_sys.inference.served_bundle import ServedBundle
from rec_sys.inference.submissions.contract import Lists
from rec_sys.raw_files.event_rows import one_product_a_row
from rec_sys.raw_files.table_rows import read_columns


def read_truth(path: Path, served: ServedBundle) -> dict[str, list[str]]:
    """The products that each user came to next, in the way that the bundle predicts; each once, in the file's order.

    Args:
        path: A table with the columns that the bundle's own table had.
        served: The bundle, which knows how its table was read.

    Raises:
        InputError: The file cannot be read, or the bundle was not trained on a table.
    """
    table = served.table_settings
    if table is None:
        raise InputError("the bundle was not trained on a table", where="setting truth", remedy="leave truth out")
    user, product, kind = table.columns.user_id, table.columns.asin, table.events.column
    asked = bool(served.target_events and kind)
    frame = read_columns(path, [user, product, *([kind] if asked and kind else [])])
    if asked and kind:
        frame = frame.filter(pl.col(kind).is_in(served.target_events))
    rows = one_product_a_row(frame, product).drop_nulls([user, product])
    rows = rows.filter(~pl.col(product).is_in(table.missing_values))
    return dict(rows.unique([user, product], maintain_order=True).group_by(user).agg(pl.col(product)).rows())


def mean_average_precision(
    lists: Lists, came_to: Mapping[str, Sequence[str]], k: int, *, absent_counts: bool = False
) -> float:
    """MAP@k over the users of the lists who came to something; others are left out, or count 0.

    AP@k = (sum over hits of (hits up to this one / its place)) / min(targets, k), as competitions define it.

    >>> mean_average_precision({"a": ["1", "2", "3"], "b": ["9"]}, {"a": ["1", "3", "7"], "c": ["1"]}, k=3)
    0.5555555555555555
    """
    found = []
    for user, targets in came_to.items():
        if user not in lists and not absent_counts:
            continue
        wanted, hits, gain = set(targets), 0, 0.0
        for place, product in enumerate(lists.get(user, ())[:k], start=1):
            if product in wanted:
                hits += 1
                gain += hits / place
        found.append(gain / min(len(wanted), k))
    return sum(found) / max(len(found), 1)


def recall(lists: Lists, came_to: Mapping[str, Sequence[str]], k: int) -> float:
    """Recall@k over the same users: hits / targets.

    >>> recall({"a": ["1", "2", "3"]}, {"a": ["1", "3", "7"], "c": ["1"]}, k=2)
    0.3333333333333333
    """
    shares = [
        len(set(lists[user][:k]) & set(targets)) / len(targets) for user, targets in came_to.items() if user in lists
    ]
    return sum(shares) / max(len(shares), 1)
