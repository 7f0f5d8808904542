"""Merges exact duplicates and sorts reviews by time, however many there are, in bounded memory.

Duplicates share their time, so rows are dealt into buckets of time first: each bucket is then merged and sorted on
its own, and the buckets stand one after another in the result.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from rec_sys.contracts import MILLISECONDS_A_DAY, TIME_ORDER, ReviewColumn

_BUCKET_BYTES: Final = 128 << 20
_ROW_GROUP: Final = 131_072
# Headline, style and votes may differ: shops repeat one review for every variant of one purchase.
SAME_REVIEW: Final = [
    *(ReviewColumn.USER_ID, ReviewColumn.ASIN, ReviewColumn.TIMESTAMP, ReviewColumn.RATING, ReviewColumn.TEXT),
    ReviewColumn.EVENT,
]


@dataclass(frozen=True)
class WeightRules:
    """What becomes of the weights of rows.

    Args:
        is_quantity: Whether equal rows add up.
        half_life_days: Days before the newest row in which a weight halves; None: it stays.
        is_latest: Whether of a user's rows of one product the last alone counts.
    """

    is_quantity: bool = False
    half_life_days: float | None = None
    is_latest: bool = False


_AS_READ: Final = WeightRules()
_LEAST: Final = 1e-30  # a weight that has halved often enough to be none is still above 0


def write_in_time_order(
    files: list[Path],
    num_bytes: int,
    folder: Path,
    target: Path,
    bucket_bytes: int = _BUCKET_BYTES,
    weights: WeightRules = _AS_READ,
) -> int:
    """Writes the reviews of all files to one, sorted, each once; returns how many duplicates were merged.

    Two reviews are the same where user, product, time, rating and body are; the first in the raw file is kept.
    Reviews without any time get their position among the user's own as time.

    Args:
        files: The reviews as they were read, in the order of the raw file; they are used up.
        num_bytes: Their size in memory, all together.
        folder: A scratch folder on the same disk.
        target: The Parquet file to write.
        bucket_bytes: How much to hold in memory at once.
        weights: What becomes of the weights.
    """
    merged = 0
    sorted_files = []
    num_buckets = 1 if weights.is_latest else -(-num_bytes // bucket_bytes)  # the last one may be in any bucket
    newest = pl.scan_parquet(files).select(pl.col(ReviewColumn.TIMESTAMP).max()).collect().item()
    for number, bucket in enumerate(_time_buckets(files, num_buckets, folder)):
        sorted_files.append(folder / f"sorted-{number:05}.parquet")
        merged += _sort_bucket(bucket, sorted_files[-1], weights, newest)
    if len(sorted_files) == 1:
        sorted_files[0].replace(target)
    else:
        pl.scan_parquet(sorted_files).sink_parquet(target, row_group_size=_ROW_GROUP)
    return merged


def _sort_bucket(files: list[Path], target: Path, weights: WeightRules, newest: int | None) -> int:
    """Merges, sorts and checks the reviews of some files, which are removed; returns how many were merged."""
    from rec_sys.data.schemas import ReviewTable

    bucket = pl.concat([pl.read_parquet(file) for file in files])
    for file in files:
        file.unlink()
    in_file_order = bucket.sort(ReviewColumn.SOURCE_ROW).with_columns(pl.col(ReviewColumn.WEIGHT).fill_null(1.0))
    if weights.is_quantity:
        in_file_order = in_file_order.with_columns(pl.col(ReviewColumn.WEIGHT).sum().over(SAME_REVIEW))
    if weights.half_life_days is not None and newest is not None:
        age = (newest - pl.col(ReviewColumn.TIMESTAMP)) / (MILLISECONDS_A_DAY * weights.half_life_days)
        decayed = (pl.col(ReviewColumn.WEIGHT) * 0.5**age).clip(lower_bound=_LEAST).cast(pl.Float32)
        in_file_order = in_file_order.with_columns(decayed)
    once = in_file_order.unique(SAME_REVIEW, keep="first", maintain_order=True)
    if weights.is_latest:
        once = once.sort(ReviewColumn.TIMESTAMP, maintain_order=True)
        once = once.unique([ReviewColumn.USER_ID, ReviewColumn.ASIN], keep="last", maintain_order=True)
    position = pl.int_range(pl.len(), dtype=pl.Int64).over(ReviewColumn.USER_ID)
    timed = once.with_columns(pl.col(ReviewColumn.TIMESTAMP).fill_null(position))
    ordered = timed.sort(TIME_ORDER)
    ReviewTable.validate(ordered, lazy=True)
    ordered.write_parquet(target, row_group_size=_ROW_GROUP)
    return bucket.height - once.height


def _time_buckets(files: list[Path], num_buckets: int, folder: Path) -> Iterator[list[Path]]:
    """Files that hold the reviews of one stretch of time, stretch by stretch."""
    times = pl.scan_parquet(files).select(ReviewColumn.TIMESTAMP).collect().to_series()
    if num_buckets <= 1 or times.null_count():
        yield files
        return
    quantiles = np.linspace(0, 1, num_buckets + 1)[1:-1]
    edges = np.unique(np.quantile(times.to_numpy(), quantiles, method="lower"))
    dealt: list[list[Path]] = [[] for _ in range(len(edges) + 1)]
    for number, file in enumerate(files):
        frame = pl.read_parquet(file)
        places = np.searchsorted(edges, frame[ReviewColumn.TIMESTAMP].to_numpy(), side="right")
        for place in np.unique(places):
            dealt[place].append(folder / f"bucket-{place:05}-{number:05}.parquet")
            frame.filter(pl.Series(places == place)).write_parquet(dealt[place][-1], compression="lz4")
        file.unlink()
    yield from (bucket for bucket in dealt if bucket)
