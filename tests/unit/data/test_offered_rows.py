"""Files that a shop offers: what the process that reads them finds, in this process."""

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rec_sys.data.offered_rows import answer
from rec_sys.offered_file import ANSWER, REQUEST, ROWS, FileAnswer, FileRequest

PRODUCTS = (
    "sku,name,maker,price,category\nb1,Banjo,Hol,12.5,Folk|Banjos\nb2,Ukulele,Hol,\u20ac 9,Folk\n,Nothing,X,1,Y\n"
)
OLD = {"reviewerID": "ann", "asin": "p1", "overall": 4.0, "unixReviewTime": 1_600_000_000, "reviewText": "Warm"}


def read(folder: Path, name: str, content: bytes, **asked: Any) -> FileAnswer:
    (folder / name).write_bytes(content)
    (folder / ROWS).mkdir(exist_ok=True)
    request = FileRequest(path=folder / name, **asked)
    (folder / REQUEST).write_text(request.model_dump_json())
    answer(folder)
    return FileAnswer.model_validate_json((folder / ANSWER).read_text())


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return pl.read_parquet(folder / ROWS / "*.parquet").to_dicts()


def test_products_are_found_by_the_names_of_their_columns(tmp_path: Path) -> None:
    found = read(tmp_path, "p.csv.gz", gzip.compress(PRODUCTS.encode()), kind="products", whole=True)
    assert found.fault is None
    assert found.roles == {
        **{"asin": "sku", "title": "name", "brand": "maker", "categories": "category", "price": "price"},
        "description": None,
    }
    assert (found.num_records, found.num_rows, found.set_aside) == (3, 2, {"product id is missing": 1})
    assert found.examples[0]["categories"] == "Folk, Banjos"
    assert [(row["asin"], row["price"]) for row in rows_of(tmp_path)] == [("b1", 12.5), ("b2", 9.0)]


def test_a_first_look_writes_nothing_and_a_known_form_needs_no_map(tmp_path: Path) -> None:
    found = read(tmp_path, "r.json", json.dumps(OLD).encode() + b"\n", kind="reviews")
    assert (found.data_choice, found.columns, found.num_rows) == ("instruments_2018", (), 1)
    assert found.examples[0]["timestamp"] == "2020-09-13 12:26"
    assert not list((tmp_path / ROWS).iterdir())
    again = read(tmp_path, "s.json", b'{"user": "ann", "items": ["p1", "p2"]}\n', kind="reviews", whole=True)
    assert (again.data_choice, again.num_rows) == ("sequences", 2)
    assert {row["timestamp"] for row in rows_of(tmp_path)} == {None}


@pytest.mark.parametrize(
    ("content", "asked", "what"),
    [
        (b"", {}, "empty"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", {}, ""),
        (b"user,product,rating\na,p,5\n", {"columns": {"user_id": "nobody"}}, "nobody"),
        (b"user,product,rating\na,p,5\n", {"rating_scale": (5, 1)}, "lowest rating comes first"),
        (b"user,product,time\na,p,5\n", {"time_form": "weeks"}, "timestamp_unit"),
    ],
)
def test_what_cannot_be_read_is_said_without_the_folders_name(
    content: bytes, asked: dict[str, Any], what: str, tmp_path: Path
) -> None:
    found = read(tmp_path, "odd.csv", content, kind="reviews", **asked)
    assert found.fault is not None
    assert what in found.fault.what + found.fault.where
    assert str(tmp_path) not in found.fault.where
