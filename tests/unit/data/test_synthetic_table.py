"""The invented table: the same shape at every size, the same rows for the same seed."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rec_sys.data.column_map import complete_map
from rec_sys.data.synthetic_table import (
    COLUMNS,
    INTERACTION_COLUMNS,
    REVIEWS_A_PRODUCT,
    REVIEWS_A_USER,
    write_synthetic_table,
    write_synthetic_vectors,
)
from rec_sys.settings import TableData
from tests.text_width import TEXT_DIM


def table(path: Path, num_reviews: int, seed: int = 0) -> pl.DataFrame:
    write_synthetic_table(path, num_reviews, seed)
    return pl.read_parquet(path)


def test_rows_are_whole_reviews_and_repeat_with_their_seed(tmp_path: Path) -> None:
    frame = table(tmp_path / "reviews.parquet", 5_000)
    assert frame.height == 5_000
    assert set(frame.columns) == set(COLUMNS.model_dump().values()) - {None}
    assert frame.null_count().sum_horizontal().item() == 0
    assert set(frame["rating"].unique()) == {1.0, 2.0, 3.0, 4.0, 5.0}
    assert frame["text"].n_unique() > 4_990
    assert not frame["timestamp"].is_sorted()
    assert frame.equals(table(tmp_path / "again.parquet", 5_000))
    assert not frame.equals(table(tmp_path / "other.parquet", 5_000, seed=1))


def test_interactions_alone_are_read_without_what_the_table_has_beside_them(tmp_path: Path) -> None:
    path = tmp_path / "reviews.parquet"
    write_synthetic_table(path, 1_000, 0)
    found = complete_map(TableData(name="synthetic", reader="table", reviews_path=path, columns=INTERACTION_COLUMNS))
    read = {name for name, column in found.columns.model_dump().items() if column is not None}
    assert read == {"user_id", "asin", "timestamp"}


@pytest.mark.parametrize(("column", "mean"), [("user_id", REVIEWS_A_USER), ("asin", REVIEWS_A_PRODUCT)])
def test_a_user_and_a_product_have_as_many_reviews_in_a_large_table(tmp_path: Path, column: str, mean: int) -> None:
    small, large = (table(tmp_path / f"{size}.parquet", size)[column].value_counts() for size in (20_000, 200_000))
    assert small.height == pytest.approx(20_000 / mean, rel=0.02)
    assert large.height == pytest.approx(200_000 / mean, rel=0.02)
    for share in (0.25, 0.5, 0.9):
        quantiles = [counts["count"].quantile(share) for counts in (small, large)]
        assert quantiles[0] == pytest.approx(quantiles[1], rel=0.15)


def test_vectors_are_halves_of_unit_length(tmp_path: Path) -> None:
    write_synthetic_vectors(tmp_path / "vectors.npy", 70_000, 0, TEXT_DIM)
    vectors = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    assert vectors.dtype == np.float16
    assert vectors.shape == (70_000, TEXT_DIM)
    # Rows of both pieces that it was written in.
    for rows in (vectors[:100], vectors[-100:]):
        np.testing.assert_allclose(np.linalg.norm(rows.astype(np.float32), axis=1), 1, atol=1e-3)
    assert not np.array_equal(vectors[0], vectors[65_536])
