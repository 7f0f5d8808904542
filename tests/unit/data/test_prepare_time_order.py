"""Reviews come out sorted and each once, however small the memory."""

from pathlib import Path
from typing import Any

import numpy as np
import pandera.errors
import polars as pl
import pytest

from rec_sys.contracts import TIME_ORDER, ProductColumn, ReviewColumn
from rec_sys.data.readers.batches import REVIEW_SCHEMA
from rec_sys.data.schemas import ProductTable, ReviewTable
from rec_sys.data.time_order import SAME_REVIEW, write_in_time_order


def _reviews(*rows: dict[str, Any]) -> pl.DataFrame:
    defaults = dict.fromkeys(REVIEW_SCHEMA) | {"user_id": "u", "asin": "p", "rating": 5.0, "timestamp": 7, "text": "a"}
    defaults |= {"weight": 1.0}
    return pl.DataFrame([defaults | {"source_row": at} | row for at, row in enumerate(rows)], schema=REVIEW_SCHEMA)


def _written(folder: Path, *frames: pl.DataFrame, bucket_bytes: int = 1 << 30) -> tuple[pl.DataFrame, int]:
    scratch = folder / "scratch"
    scratch.mkdir(parents=True)
    files = [scratch / f"part-{number}.parquet" for number in range(len(frames))]
    for frame, file in zip(frames, files, strict=True):
        frame.write_parquet(file)
    size = sum(int(frame.estimated_size()) for frame in frames)
    merged = write_in_time_order(files, size, scratch, folder / "reviews.parquet", bucket_bytes)
    return pl.read_parquet(folder / "reviews.parquet"), merged


def test_the_first_of_equal_reviews_is_kept_though_headline_and_style_differ(tmp_path: Path) -> None:
    frame = _reviews({"style": '{"Size": "1"}'}, {"style": '{"Size": "2"}', "title": "T"}, {"rating": 4.0})
    found, merged = _written(tmp_path, frame)
    assert merged == 1
    assert found["source_row"].to_list() == [0, 2]
    assert found["style"].to_list() == ['{"Size": "1"}', None]


@pytest.mark.parametrize("name", SAME_REVIEW)
def test_reviews_that_differ_in_one_part_are_two_reviews(tmp_path: Path, name: str) -> None:
    other = {"user_id": "v", "asin": "q", "timestamp": 8, "rating": None, "text": None, "event": "view"}[name]
    found, merged = _written(tmp_path, _reviews({}, {name: other}))
    assert (found.height, merged) == (2, 0)


def test_missing_texts_and_ratings_are_equal(tmp_path: Path) -> None:
    found, merged = _written(tmp_path, _reviews({"text": None, "rating": None}, {"text": None, "rating": None}))
    assert (found.height, merged) == (1, 1)


def test_rows_are_sorted_by_time_user_product_and_row(tmp_path: Path) -> None:
    frame = _reviews(
        {"timestamp": 9}, {"user_id": "v"}, {"asin": "q"}, {"text": "b"}, {"timestamp": 1, "user_id": "z"}, {}
    )
    found, merged = _written(tmp_path, frame)
    assert found["source_row"].to_list() == [4, 3, 5, 2, 1, 0]
    assert merged == 0


def test_reviews_without_time_are_numbered_within_their_user_in_file_order(tmp_path: Path) -> None:
    users = ["a", "b", "a", "a", "b"]
    rows = [{"user_id": user, "asin": f"p{at}", "timestamp": None} for at, user in enumerate(users)]
    repeated = {"user_id": "a", "asin": "p0", "timestamp": None}
    found, merged = _written(tmp_path, _reviews(*rows[:2], repeated, *rows[2:]), bucket_bytes=1)
    assert merged == 1
    assert found.select("timestamp", "user_id", "asin").rows() == [
        (0, "a", "p0"),
        (0, "b", "p1"),
        (1, "a", "p2"),
        (1, "b", "p4"),
        (2, "a", "p3"),
    ]


@pytest.mark.parametrize("bucket_bytes", [1, 2_000, 20_000])
def test_little_memory_gives_the_same_file(tmp_path: Path, bucket_bytes: int) -> None:
    random = np.random.default_rng(3)
    rows = [
        {
            "user_id": f"u{random.integers(9)}",
            "asin": f"p{random.integers(3)}",
            "timestamp": int(random.integers(40)),
            "rating": float(random.integers(1, 3)),
            "text": None,
        }
        for _ in range(1_500)
    ]
    frame = _reviews(*rows)
    parts = [frame[:400], frame[400:1_000], frame[1_000:]]
    at_once, merged_at_once = _written(tmp_path / "at_once", *parts)
    dealt, merged = _written(tmp_path / "dealt", *parts, bucket_bytes=bucket_bytes)
    assert merged == merged_at_once > 100
    assert dealt.equals(at_once)
    assert dealt.equals(frame.unique(SAME_REVIEW, keep="first", maintain_order=True).sort(TIME_ORDER))


def test_the_schemas_have_the_columns_of_the_contract() -> None:
    def columns(contract: type) -> list[str]:
        return [value for name, value in vars(contract).items() if name.isupper()]

    assert list(ReviewTable.to_schema().columns) == columns(ReviewColumn) == list(REVIEW_SCHEMA)
    assert list(ProductTable.to_schema().columns) == columns(ProductColumn)


@pytest.mark.parametrize(
    "rows",
    [
        [{"rating": 0.0}],
        [{"rating": 5.5}],
        [{"user_id": ""}],
        [{"asin": None}],
        [{"timestamp": None}],
        [{"timestamp": 2}, {"timestamp": 1}],
        [{"user_id": "b"}, {"user_id": "a"}],
        [{"weight": 0.0}],
        [{"weight": None}],
        [{"text": ""}],
    ],
)
def test_an_unsound_review_table_is_refused(rows: list[dict[str, Any]]) -> None:
    ReviewTable.validate(_reviews({}), lazy=True)
    with pytest.raises(pandera.errors.SchemaErrors):
        ReviewTable.validate(_reviews(*rows), lazy=True)
