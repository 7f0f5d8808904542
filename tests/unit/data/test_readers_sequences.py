"""Bare sequences become reviews with an order and nothing else."""

import json
from pathlib import Path

import polars as pl
import pytest

from rec_sys.contracts import InputError
from rec_sys.data.readers.batches import REVIEW_SCHEMA
from rec_sys.data.readers.sequences import read_sequences


def _written(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_time_of_a_review_is_its_position(tmp_path: Path) -> None:
    path = _written(tmp_path / "x", {"user": 7, "items": [3, 1, 3]}, {"user": "b", "items": ["x,y"], "age": 9})
    (batch,) = read_sequences(path)
    assert batch.found == {"fields that nothing reads": "age"}
    assert dict(batch.rows.schema) == REVIEW_SCHEMA
    assert batch.rows.select("user_id", "asin", "timestamp", "source_row").rows() == [
        ("7", "3", 0, 0),
        ("7", "1", 1, 1),
        ("7", "3", 2, 2),
        ("b", "x,y", 0, 3),
    ]
    assert batch.rows.select("rating", "text", "title").null_count().row(0) == (4, 4, 4)


def test_bad_sequences_are_set_aside_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rec_sys.raw_files.records.BATCH_ROWS", 3)
    rows: list[object] = [
        {"user": 1, "items": [1, 2]},
        {"user": None, "items": [1]},
        {"user": 2, "items": []},
        {"user": 3, "items": [1, None]},
        {"user": 1, "items": [9]},
        {"user": 4, "items": "x"},
        {"user": 5},
        {"user": 6, "items": [5]},
        {"user": "nan", "items": [5]},
        {"user": 8, "items": [5, "NULL"]},
    ]
    batches = list(read_sequences(_written(tmp_path / "x", *rows)))
    reviews, bad = pl.concat(batch.rows for batch in batches), pl.concat(batch.set_aside for batch in batches)
    assert reviews.select("user_id", "source_row").rows() == [("1", 0), ("1", 1), ("6", 2)]
    assert bad.select("line", "reason").rows() == [
        (2, "user id is missing"),
        (3, "items are missing"),
        (4, "product id is missing"),
        (5, "the user has an earlier line"),
        (6, "a field has the wrong type"),
        (7, "items are missing"),
        (9, "user id is missing"),
        (10, "product id is missing"),
    ]
    assert sum(batch.num_records for batch in batches) == len(rows)


def test_reviews_are_no_sequences(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not hold sequences") as caught:
        list(read_sequences(_written(tmp_path / "x", {"reviewerID": "U", "asin": "P"})))
    assert "reviewerID, asin" in caught.value.where
