"""The units that splits never divide: what one user wrote at one moment with one text."""

import polars as pl

from rec_sys.data.interactions import BoolArray, IntArray, Interactions


def unit_ranks(interactions: Interactions, of_kind: BoolArray | None) -> tuple[IntArray, ...]:
    """For every edge the rank of its unit among the user's, from 1, and those of the user's last units asked for.

    Returns:
        int64 `[num_reviews]` each: the rank, and those of the last, second last and third last unit of a kind that is
        predicted; 0 where there is none.
    """
    asked = pl.lit(True) if of_kind is None else pl.Series(of_kind)
    ranks = (
        pl.DataFrame({"user": interactions.user_index, "unit": interactions.unit_start})
        .with_columns(rank=pl.col("unit").rank("dense").over("user").cast(pl.Int64))
        .with_columns(target=pl.when(asked).then("rank"))
        .with_columns(last=pl.col("target").max().over("user"))
        .with_columns(second=pl.col("target").filter(pl.col("target") < pl.col("last")).max().over("user"))
        .with_columns(third=pl.col("target").filter(pl.col("target") < pl.col("second")).max().over("user"))
        .fill_null(0)
    )
    return tuple(ranks[name].to_numpy() for name in ("rank", "last", "second", "third"))
