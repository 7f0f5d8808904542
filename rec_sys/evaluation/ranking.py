"""Says how well scores rank the products that users reviewed next: exact ranks first, then RecTools' metrics on them.

Two rankings are measured. Unmasked, every product competes. Masked, the products of the user's history are left out,
as serving leaves them out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from rec_sys.data.splits import Queries
from rec_sys.evaluation.ranks import NO_PRODUCT, FloatArray, IntArray, distinct_pairs, rank_products, rank_targets

Scorer = Callable[[npt.NDArray[np.int64]], FloatArray]


@dataclass(frozen=True)
class RankingResult:
    """Ranking metrics with what it takes to compare two models fairly.

    Attributes:
        metrics: `recall_at_{k}`, `ndcg_at_{k}`, `mrr_at_{k}`, the same with `_masked`, `coverage_at_{k}` (share of
            the catalogue that stands in some masked list) and `num_queries`.
        standard_error: Of each metric that is a mean over queries; empty with fewer than two queries.
        per_query: One row a query: `query`, `user_index` and the metrics, for paired tests.
        top_products: `[num_queries, max k]` int32, the masked lists, best first; `NO_PRODUCT` where too few are left.
    """

    metrics: dict[str, float]
    standard_error: dict[str, float]
    per_query: pl.DataFrame
    top_products: npt.NDArray[np.int32]


def evaluate_ranking(
    score: Scorer,
    queries: Queries,
    num_products: int,
    ks: Sequence[int] = (5, 10, 20),
    query_batch: int = 1024,
) -> RankingResult:
    """Ranks every product for every query.

    A target that stands twice in a query counts once. NDCG is divided by the best achievable DCG.

    Args:
        score: Takes query rows `[batch]` int64, gives scores `[batch, num_products]`, higher is better.
        queries: Each with at least one target.
        num_products: Size of the catalogue.
        ks: Lengths of the lists.
        query_batch: Queries scored at once.

    Raises:
        ValueError: There are no queries, a query has no target, or the scores are NaN or of another shape.
    """
    num_queries = len(queries.user_index)
    if num_queries == 0:
        raise ValueError("there are no queries to rank")
    target_queries, target_products = distinct_pairs(*_flatten(queries.target_offsets, queries.target_products))
    if len(np.unique(target_queries)) < num_queries:
        raise ValueError("every query needs at least one target")
    history_queries, history_products = _flatten(queries.history_offsets, queries.history_products)

    unmasked = np.empty(len(target_queries))
    masked = np.empty(len(target_queries))
    lists = np.empty((num_queries, max(ks)), dtype=np.int32)
    for start in range(0, num_queries, query_batch):
        rows = np.arange(start, min(start + query_batch, num_queries), dtype=np.int64)
        scores = score(rows)
        if scores.shape != (len(rows), num_products):
            raise ValueError(f"scores have shape {scores.shape}, expected {(len(rows), num_products)}")
        targets = slice(*np.searchsorted(target_queries, [start, start + len(rows)]))
        history = slice(*np.searchsorted(history_queries, [start, start + len(rows)]))
        history_rows = history_queries[history] - start
        unmasked[targets], masked[targets] = rank_targets(
            scores,
            target_queries[targets] - start,
            target_products[targets],
            history_rows,
            history_products[history],
        )
        lists[rows] = rank_products(scores, max(ks), history_rows, history_products[history])

    per_query = pl.DataFrame({"query": np.arange(num_queries), "user_index": np.asarray(queries.user_index)})
    per_query = per_query.with_columns(
        *_metrics_of_ranks(target_queries, target_products, unmasked, ks, suffix=""),
        *_metrics_of_ranks(target_queries, target_products, masked, ks, suffix="_masked"),
    )
    return _summarise(per_query, lists, num_products, ks)


def _metrics_of_ranks(
    target_queries: IntArray, target_products: IntArray, ranks: FloatArray, ks: Sequence[int], suffix: str
) -> list[pl.Series]:
    """RecTools' Recall, NDCG and MRR of each query; its recommendation table is replaced by the targets' ranks."""
    import pandas as pd
    from rectools import Columns
    from rectools.metrics import MRR, NDCG, Recall
    from rectools.metrics.classification import calc_confusions

    merged = pd.DataFrame({Columns.User: target_queries, Columns.Item: target_products, Columns.Rank: ranks})
    series = []
    for k in ks:
        values = {
            "recall": Recall(k=k).calc_per_user_from_confusion_df(calc_confusions(merged, k)),
            "ndcg": NDCG(k=k, divide_by_achievable=True).calc_per_user_from_merged(merged),
            "mrr": MRR(k=k).calc_per_user_from_merged(merged),
        }
        for name, per_query in values.items():
            series.append(pl.Series(f"{name}_at_{k}{suffix}", per_query.sort_index().to_numpy(dtype=np.float64)))
    return series


def _summarise(
    per_query: pl.DataFrame, lists: npt.NDArray[np.int32], num_products: int, ks: Sequence[int]
) -> RankingResult:
    names = per_query.columns[2:]
    values = per_query.select(names).to_numpy()  # [num_queries, num_metrics]
    metrics = dict(zip(names, values.mean(axis=0).tolist(), strict=True))
    for k in ks:
        listed = np.unique(lists[:, :k])
        metrics[f"coverage_at_{k}"] = int(np.count_nonzero(listed != NO_PRODUCT)) / num_products
    metrics["num_queries"] = float(len(values))
    standard_error = {}
    if len(values) > 1:
        error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
        standard_error = dict(zip(names, error.tolist(), strict=True))
    return RankingResult(metrics, standard_error, per_query, lists)


def _flatten(offsets: IntArray, products: IntArray) -> tuple[IntArray, IntArray]:
    """Offsets and products to one `(query, product)` pair an entry."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets)), np.asarray(products)
