"""Files that a shop offers: what the process that reads them finds, in this process."""

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rec_sys.data.offered_rows import _keep_last, answer
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


def test_of_products_whose_id_comes_again_the_last_one_counts(tmp_path: Path) -> None:
    lines = ["sku,price", "b1,1", "b2,2", "b1,3", "b1,4", "b3,5"]
    found = read(tmp_path, "p.csv", "\n".join(lines).encode(), kind="products")
    reason = "with an id that comes again: the last one counts"
    assert (found.num_records, found.num_rows, found.set_aside) == (5, 3, {reason: 2})
    assert [one["price"] for one in found.examples] == ["2", "4", "5"]
    assert [(row["asin"], row["price"]) for row in rows_of(tmp_path)] == [("b2", 2), ("b1", 4), ("b3", 5)]
    pl.DataFrame({"asin": ["b1", "b4"]}).write_parquet(tmp_path / ROWS / "000001.parquet")  # a later batch
    assert _keep_last(tmp_path / ROWS) == 1
    assert pl.read_parquet(tmp_path / ROWS / "000000.parquet")["asin"].to_list() == ["b2", "b3"]


def test_a_first_look_writes_its_rows_and_a_known_form_needs_no_map(tmp_path: Path) -> None:
    found = read(tmp_path, "r.json", json.dumps(OLD).encode() + b"\n", kind="reviews")
    assert (found.data_choice, found.columns, found.num_rows) == ("instruments_2018", (), 1)
    assert found.examples[0]["timestamp"] == "2020-09-13 12:26"
    assert [row["asin"] for row in rows_of(tmp_path)] == ["p1"]
    again = read(tmp_path, "s.json", b'{"user": "ann", "items": ["p1", "p2"]}\n', kind="reviews", whole=True)
    assert (again.data_choice, again.num_rows) == ("sequences", 2)
    assert {row["timestamp"] for row in rows_of(tmp_path)} == {None}


def test_the_encoding_of_a_file_is_proposed_and_taken_as_it_is_said(tmp_path: Path) -> None:
    latin = "wer,was,Sterne\nJürgen,p1,5\nZoë,p2,4\n".encode("latin-1")
    columns = {"user_id": "wer", "asin": "was", "rating": "Sterne"}
    found = read(tmp_path, "r.csv", latin, kind="reviews", columns=columns)
    assert found.fault is not None
    assert (found.fault.what, found.encoding) == ("the file is not UTF-8", "cp1252")
    assert found.columns[0].values == ("Jürgen", "Zoë")
    found = read(tmp_path, "r.csv", latin, kind="reviews", columns=columns, encoding="latin-1")
    assert (found.fault, found.encoding, found.examples[0]["user_id"]) == (None, "latin-1", "Jürgen")
    assert read(tmp_path, "p.csv", PRODUCTS.encode(), kind="products").encoding == "utf-8"
    old = json.dumps(OLD | {"reviewText": "Schön"}, ensure_ascii=False).encode("cp1252") + b"\n"
    found = read(tmp_path, "r.json", old, kind="reviews", encoding="cp1252")
    assert (found.data_choice, found.examples[0]["text"]) == ("instruments_2018", "Schön")
    found = read(tmp_path, "u.csv", PRODUCTS.replace("\u20ac ", "").encode("utf-16-be"), kind="products")
    assert (found.encoding, found.columns[1].values) == ("utf-16-be", ("Banjo", "Ukulele", "Nothing"))
    unknown = read(tmp_path, "r.csv", latin, kind="reviews", encoding="klingon")
    assert unknown.fault is not None
    assert (unknown.encoding, "klingon" in unknown.fault.what) == ("klingon", True)


def test_a_price_that_is_none_is_counted(tmp_path: Path) -> None:
    found = read(tmp_path, "p.csv", PRODUCTS.replace("12.5", "-12.5").encode(), kind="products")
    assert (found.num_rows, found.left_empty) == (2, {"prices that cannot be read": 1})


@pytest.mark.parametrize(
    ("content", "asked", "what"),
    [
        (b"", {}, "empty"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", {}, ""),
        (b"\x00\x01\x00\x00a\x00\n\x00\x00", {}, "this is no text"),
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
