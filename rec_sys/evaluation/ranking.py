"""How well scores rank the products that users reviewed next: exact ranks first, then metrics of the ranks.

Two rankings are measured. Unmasked, every product competes. Masked, the products of the user's history are left out,
as serving leaves them out: those that they have come to in the way that is predicted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from rec_sys import ragged
from rec_sys.data.queries import Queries
from rec_sys.evaluation.ranking_metrics import METRICS
from rec_sys.evaluation.ranks import NO_PRODUCT, FloatArray, distinct_pairs, rank_products, rank_targets
from rec_sys.evaluation.uncertainty import clustered_error

Scorer = Callable[[npt.NDArray[np.int64]], FloatArray]


@dataclass(frozen=True)
class RankingResult:
    """Ranking metrics with what it takes to compare two models fairly.

    Attributes:
        metrics: `recall_at_{k}`, `ndcg_at_{k}`, `map_at_{k}`, `mrr_at_{k}`, `precision_at_{k}`, the same with
            `_masked`, `coverage_at_{k}` (share of the catalogue that stands in some masked list) and `num_queries`.
        standard_error: Of each metric that is a mean over queries; empty with fewer than two queries.
        per_query: One row a query: `query`, `user_index` and the metrics, for paired tests.
        top_products: `[num_queries, max k]` int32, the masked lists, best first; `NO_PRODUCT` where too few are left.
        targets: One row a target: `query`, `product_index`, `rank` and `rank_masked` (inf where it is masked away).
    """

    metrics: dict[str, float]
    standard_error: dict[str, float]
    per_query: pl.DataFrame
    top_products: npt.NDArray[np.int32]
    targets: pl.DataFrame


def evaluate_ranking(
    score: Scorer, queries: Queries, num_products: int, ks: Sequence[int] = (5, 10, 20), query_batch: int = 1024
) -> RankingResult:
    """Ranks every product for every query.

    `score` takes query rows, int64 `[batch]`, and gives scores `[batch, num_products]`, higher is better. A target that
    stands twice in a query counts once.

    Raises:
        ValueError: There are no queries, a query has no target, or the scores are NaN or of another shape.
    """
    num_queries = len(queries.user_index)
    if num_queries == 0:
        raise ValueError("there are no queries to rank")
    target_queries, target_products = distinct_pairs(
        ragged.row_of_entries(queries.target_offsets), queries.target_products
    )
    if len(np.unique(target_queries)) < num_queries:
        raise ValueError("every query needs at least one target")

    unmasked = np.empty(len(target_queries))
    masked = np.empty(len(target_queries))
    lists = np.empty((num_queries, max(ks)), dtype=np.int32)
    for start in range(0, num_queries, query_batch):
        rows = np.arange(start, min(start + query_batch, num_queries), dtype=np.int64)
        scores = score(rows)
        if scores.shape != (len(rows), num_products):
            raise ValueError(f"scores have shape {scores.shape}, expected {(len(rows), num_products)}")
        asked = slice(*np.searchsorted(target_queries, [start, start + len(rows)]))
        wanted = target_queries[asked] - start, target_products[asked]
        reviewed = queries.masked_products(rows)
        unmasked[asked], masked[asked] = rank_targets(scores, *wanted, *reviewed)
        lists[rows] = rank_products(scores, max(ks), *reviewed)

    targets = pl.DataFrame(
        {"query": target_queries, "product_index": target_products, "rank": unmasked, "rank_masked": masked}
    )
    users = pl.Series("user_index", np.asarray(queries.user_index))
    return summarise(metrics_of_targets(targets, ks).insert_column(1, users), lists, num_products, ks, targets)


def metrics_of_targets(targets: pl.DataFrame, ks: Sequence[int]) -> pl.DataFrame:
    """The metrics of each query, from the ranks that its targets reached.

    Returns:
        `query`, ascending, and the metrics of `RankingResult` that are means over queries.
    """
    queries, row = np.unique(targets["query"].to_numpy(), return_inverse=True)
    offsets, order = ragged.group_rows(row, len(queries))
    found = {"query": pl.Series(queries)}
    for column, suffix in (("rank", ""), ("rank_masked", "_masked")):
        ranks = targets[column].to_numpy()[order]
        for k in ks:
            for name, metric in METRICS.items():
                found[f"{name}_at_{k}{suffix}"] = pl.Series(metric(ranks, offsets, k))
    return pl.DataFrame(found)


def summarise(
    per_query: pl.DataFrame, lists: npt.NDArray[np.int32], num_products: int, ks: Sequence[int], targets: pl.DataFrame
) -> RankingResult:
    """Means and standard errors of what was found query by query; the arguments are as in `RankingResult`."""
    names = per_query.columns[2:]
    values = per_query.select(names).to_numpy()  # [num_queries, num_metrics]
    metrics = dict(zip(names, values.mean(axis=0).tolist(), strict=True))
    for k in ks:
        listed = np.unique(lists[:, :k])
        metrics[f"coverage_at_{k}"] = int(np.count_nonzero(listed != NO_PRODUCT)) / num_products
    metrics["num_queries"] = float(len(values))
    standard_error = {}
    users = per_query["user_index"].to_numpy()
    if len(np.unique(users)) > 1:
        standard_error = dict(zip(names, clustered_error(values, users).tolist(), strict=True))
    return RankingResult(metrics, standard_error, per_query, lists, targets)
