"""Any table becomes reviews by a map of its columns."""

import gzip
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rec_sys.contracts import InputError
from rec_sys.data.readers.batches import REVIEW_SCHEMA
from rec_sys.data.readers.table import read_table_products, read_table_reviews
from rec_sys.raw_files import csv_rows
from rec_sys.settings import TableData

HEADER = "user,item,stars,when,words\n"
COLUMNS = {"user_id": "user", "asin": "item", "rating": "stars", "timestamp": "when", "text": "words"}


def _settings(**changes: Any) -> TableData:
    return TableData.model_validate(
        {"name": "toy", "reader": "table", "reviews_path": "given", "columns": COLUMNS} | changes
    )


def _read(path: Path, settings: TableData | None = None) -> tuple[pl.DataFrame, pl.DataFrame]:
    batches = list(read_table_reviews(path, settings or _settings()))
    reviews, bad = pl.concat(batch.rows for batch in batches), pl.concat(batch.set_aside for batch in batches)
    assert dict(reviews.schema) == REVIEW_SCHEMA
    return reviews, bad


def _csv(path: Path, *rows: str, header: str = HEADER) -> Path:
    path.write_text(header + "".join(row + "\n" for row in rows))
    return path


def test_a_csv_is_read_with_quotes_and_line_breaks_within(tmp_path: Path) -> None:
    path = _csv(tmp_path / "x.csv", 'u1,p1,4,1400000000,"one, ""two""', 'three"', "u2,p2,5,1400000001,")
    reviews, bad = _read(path)
    assert bad.is_empty()
    assert reviews.select("user_id", "asin", "rating", "timestamp", "text", "source_row").rows() == [
        ("u1", "p1", 4.0, 1_400_000_000_000, 'one, "two" three', 0),
        ("u2", "p2", 5.0, 1_400_000_001_000, None, 1),
    ]


@pytest.mark.parametrize("mark", ["\t", ";"])
@pytest.mark.parametrize("packed", [False, True])
def test_tabs_semicolons_gzip_and_a_byte_order_mark_are_recognised(tmp_path: Path, mark: str, packed: bool) -> None:
    content = "\ufeff" + (HEADER + "u1,p1,4,1400000000,loud\n").replace(",", mark)
    path = tmp_path / "x.csv"
    path.write_bytes(gzip.compress(content.encode()) if packed else content.encode())
    assert _read(path)[0].select("user_id", "text").rows() == [("u1", "loud")]


def test_bad_rows_of_a_csv_are_named_by_their_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_rows, "BATCH_ROWS", 2)
    rows = [
        'u1,p1,4,1400000000,"two',
        'lines"',
        "u2,p2,0,1400000000,x",
        "",
        "u3,p3",
        "u4,p4,5,soon,x",
        "",
        "",
        "",
        "u5,p5,5,1400000000,x",
    ]
    reviews, bad = _read(_csv(tmp_path / "x.csv", *rows))
    assert reviews["user_id"].to_list() == ["u1", "u5"]
    assert reviews["source_row"].to_list() == [0, 4]
    assert bad.select("line", "reason").rows() == [
        (4, "rating is outside 1 to 5"),
        (6, "2 fields where the header has 5"),
        (7, "time is missing or not a time"),
    ]
    assert "user_id=u2" in bad["raw"][0]


@pytest.mark.parametrize(
    ("unit", "when", "expected"),
    [
        ("s", "1400000000", "2014-05-13T16:53:20"),
        ("s", "1400000000.5", "2014-05-13T16:53:20.500"),
        ("ms", "1400000000123", "2014-05-13T16:53:20.123"),
        ("us", "1400000000123456", "2014-05-13T16:53:20.123"),
        ("ns", "1400000000123456789", "2014-05-13T16:53:20.123"),
        ("iso", "2014-05-13", "2014-05-13"),
        ("iso", "2014-05-13T16:53:20", "2014-05-13T16:53:20"),
        ("iso", "2014-05-13 16:53", "2014-05-13T16:53"),
        ("iso", "2014-05-13T16:53:20.250Z", "2014-05-13T16:53:20.250"),
        ("iso", "2014-05-13T18:53:20+02:00", "2014-05-13T16:53:20"),
        ("iso", "2014-05-13T18:53:20+0200", "2014-05-13T16:53:20"),
        ("iso", "2014-05-13 18:53:20.250+02", "2014-05-13T16:53:20.250"),
        ("iso", "2014-05-13T18:53+02:00", "2014-05-13T16:53"),
        ("iso", "2014-05-13 16:53:20 UTC", "2014-05-13T16:53:20"),
    ],
)
def test_every_unit_of_time_becomes_milliseconds(tmp_path: Path, unit: str, when: str, expected: str) -> None:
    # A second row of another form: one form must not decide for all rows.
    other = "2015-01-01" if unit == "iso" else when
    path = _csv(tmp_path / "x.csv", f"u1,p1,4,{other},a", f"u1,p1,4,{when},a")
    moment = datetime.fromisoformat(expected).replace(tzinfo=UTC)
    for setting in (unit, "auto"):
        reviews, bad = _read(path, _settings(timestamp_unit=setting))
        assert bad.is_empty()
        assert reviews["timestamp"][1] == round(moment.timestamp() * 1000)


@pytest.mark.parametrize(
    ("when", "form"),
    [
        ("13/05/2014", "%d/%m/%Y"),
        ("05/13/2014", "%m/%d/%Y"),
        ("5/13/14 4:53 PM", "%m/%d/%y %I:%M %p"),
        ("13.05.2014 16:53", "%d.%m.%Y %H:%M"),
        ("2014/05/13", "%Y/%m/%d"),
        ("20140513", "%Y%m%d"),
        ('"May 13, 2014"', "%B %d, %Y"),
        ("13-May-2014", "%d-%B-%Y"),
    ],
)
def test_other_dates_are_found_by_the_rows_that_leave_no_doubt(tmp_path: Path, when: str, form: str) -> None:
    path = _csv(tmp_path / "x.csv", f"u1,p1,4,{when},a", "u1,p1,4,never,a")
    for setting in ({}, {"timestamp_format": form}):
        reviews, bad = _read(path, _settings(**setting))
        assert reviews["timestamp"].cast(pl.Datetime("ms")).dt.date().to_list() == [date(2014, 5, 13)]
        assert bad["reason"].to_list() == ["time is missing or not a time"]


def test_a_parquet_table_may_be_typed(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pl.DataFrame(
        {
            "user": [1, 2],
            "item": [3.0, None],
            "stars": [4, 5],
            "when": [datetime(2014, 5, 13), datetime(2014, 5, 14)],
            "words": ["loud", None],
        }
    ).write_parquet(path)
    reviews, bad = _read(path)
    assert reviews.select("user_id", "asin", "timestamp").rows() == [("1", "3", 1_399_939_200_000)]
    assert bad.select("line", "reason").rows() == [(2, "product id is missing")]


def test_a_parquet_date_is_a_time(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pl.DataFrame(
        {"user": ["u"], "item": ["p"], "stars": [4.0], "when": [date(2014, 5, 13)], "words": [""]}
    ).write_parquet(path)
    assert _read(path)[0]["timestamp"].to_list() == [1_399_939_200_000]


def test_columns_that_the_map_leaves_out_are_null_and_no_fault(tmp_path: Path) -> None:
    settings = _settings(columns={"user_id": "user", "asin": "item"})
    reviews, bad = _read(_csv(tmp_path / "x.csv", "u1,p1", header="user,item\n"), settings)
    assert bad.is_empty()
    assert reviews.row(0) == ("u1", "p1", *[None] * 8, 1.0, 0)


def test_styles_votes_and_verification_are_taken_from_a_table(tmp_path: Path) -> None:
    columns = {"user_id": "u", "asin": "p", "style": "s", "helpful_votes": "h", "verified": "v"}
    path = tmp_path / "x.parquet"
    pl.DataFrame(
        {"u": ["a", "b"], "p": ["x", "y"], "s": ['{"Size:": " 5"}', "red"], "h": [3, None], "v": [True, None]}
    ).write_parquet(path)
    reviews, _ = _read(path, _settings(columns=columns))
    assert reviews.select("style", "helpful_votes", "verified").rows() == [
        ('{"Size": "5"}', 3, True),
        ('{"style": "red"}', None, None),
    ]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_column_that_is_not_there_is_named_with_the_nearest_and_all(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    frame = pl.DataFrame({"user": ["u"], "item": ["p"], "star": [4], "when": [1_400_000_000], "words": ["a"]})
    if kind == "csv":
        frame.write_csv(path)
    else:
        frame.write_parquet(path)
    with pytest.raises(InputError, match=r"there is no column 'stars' \(data.columns.rating\)") as caught:
        _read(path)
    assert "did you mean: data.columns.rating=star;" in caught.value.remedy
    assert "user, item, star, when, words" in caught.value.remedy


def test_json_that_is_no_object_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="JSON and no table"):
        _read(_csv(tmp_path / "x.json", header="[1, 2]\n"))


@pytest.mark.parametrize("kind", ["lines", "array", "gzip", "utf-16"])
def test_objects_of_json_are_rows(tmp_path: Path, kind: str) -> None:
    rows = [
        {"user": 7, "item": "p1", "stars": 4.5, "when": "2014-05-13", "words": "None", "tags": ["a"]},
        {"user": None, "item": "p1", "stars": 4, "when": "2014-05-13"},
        {"user": "u2", "item": "nan", "stars": 4, "when": "2014-05-13"},
        {"user": "u2", "item": "p2", "stars": "", "when": 1_400_000_000_000, "words": " "},
        5,
    ]
    text = json.dumps(rows) if kind == "array" else "".join(json.dumps(row) + "\n" for row in rows)
    path = tmp_path / "x.json"
    content = text.encode("utf-16" if kind == "utf-16" else "utf-8")
    path.write_bytes(gzip.compress(content) if kind == "gzip" else content)
    (batch,) = read_table_reviews(path, _settings(timestamp_unit="iso"))
    assert batch.rows.select("user_id", "asin", "rating", "text", "source_row").rows() == [("7", "p1", 4.5, "None", 0)]
    reasons = ["user id is missing", "product id is missing", "time is missing or not a time", "not a JSON object"]
    assert sorted(batch.set_aside["reason"]) == sorted(reasons)
    assert kind == "array" or batch.set_aside["line"].to_list() == [2, 3, 4, 5]
    assert batch.found["columns that nothing reads"] == "tags"
    assert batch.counts == {"asin: words for missing": 1}


def test_lists_of_json_products_are_lists(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"asin": "p1", "kind": [["Music", "Ukes"], ["Gifts"]], "cost": 9.5}) + "\n")
    columns = {"asin": "asin", "categories": "kind", "price": "cost"}
    (batch,) = read_table_products(path, _settings(product_columns=columns))
    assert batch.rows.select("asin", "categories", "price").rows() == [("p1", ["Music", "Ukes"], 9.5)]


def test_a_table_without_rows_is_told_from_an_empty_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has a header but no rows"):
        _read(_csv(tmp_path / "x.csv"))
    with pytest.raises(InputError, match="has columns but no rows"):
        pl.read_csv(_csv(tmp_path / "y.csv")).write_parquet(tmp_path / "y")
        _read(tmp_path / "y")
    (tmp_path / "z.csv").write_bytes(b"")
    with pytest.raises(InputError, match="the file is empty"):
        _read(tmp_path / "z.csv")


def test_a_truncated_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pl.DataFrame({"user": ["u"]}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="Parquet file is broken"):
        _read(path)


def test_a_truncated_gzip_table_is_refused(tmp_path: Path) -> None:
    rows = "".join(f"u{n * 7919},p1,4,1400000000,words {n * 104729}\n" for n in range(20_000))
    packed = gzip.compress((HEADER + rows).encode())
    path = tmp_path / "x.csv.gz"
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(InputError, match="breaks off"):
        _read(path)


def test_products_are_read_by_their_own_map(tmp_path: Path) -> None:
    path = _csv(
        tmp_path / "p.csv", "p1,Uke,Strings | Ukes,$20,small|light", ",Nameless,,,", header="id,name,kind,cost,points\n"
    )
    columns = {"asin": "id", "title": "name", "categories": "kind", "price": "cost", "features": "points"}
    (batch,) = read_table_products(path, _settings(product_columns=columns))
    assert batch.rows.rows() == [("p1", "Uke", None, ["Strings", "Ukes"], 20.0, None, ["small", "light"], None)]
    assert batch.set_aside.select("line", "reason").rows() == [(3, "product id is missing")]


def test_lists_of_a_parquet_product_table_stay_lists(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    pl.DataFrame({"asin": ["p1", "p2"], "kind": [["A|B", "C"], None]}).write_parquet(path)
    (batch,) = read_table_products(path, _settings(product_columns={"asin": "asin", "categories": "kind"}))
    assert batch.rows["categories"].to_list() == [["A|B", "C"], None]


def test_printed_lists_of_a_product_table_are_lists(tmp_path: Path) -> None:
    rows = [
        """p0,"['Music', 'Cables']","['First part.', 'Second part.']","[""red"", ""5 m""]\"""",
        """p1,"[""Music"",""Cables""]",One part.,red|5 m""",
        "p2,Music|Cables,,[]",
        """p3,"[['Music', 'Cables'], ['Gifts']]",[brackets] within,""",
    ]
    path = _csv(tmp_path / "p.csv", *rows, header="asin,kind,about,points\n")
    columns = {"asin": "asin", "categories": "kind", "description": "about", "features": "points"}
    (batch,) = read_table_products(path, _settings(product_columns=columns))
    assert batch.rows.select("categories", "features", "description").rows() == [
        (["Music", "Cables"], ["red", "5 m"], "First part. Second part."),
        (["Music", "Cables"], ["red", "5 m"], "One part."),
        (["Music", "Cables"], [], None),
        (["Music", "Cables"], None, "[brackets] within"),
    ]


def test_words_for_missing_set_rows_aside_or_empty_a_text_and_lines_are_counted(tmp_path: Path) -> None:
    rows = [
        "nan,p1,4,1400000000,loud",
        "u2,p2,5,1400000001,nan",
        "u3,NULL,5,1400000001,x",
        "",
        "u4,p4",
        "u5,p5,5,1400000001,x",
    ]
    path = _csv(tmp_path / "x.csv", *rows)
    (batch,) = read_table_reviews(path, _settings())
    assert batch.rows.select("user_id", "text").rows() == [("u2", None), ("u5", "x")]
    assert batch.set_aside.select("line", "reason").rows() == [
        (2, "user id is missing"),
        (4, "product id is missing"),
        (6, "2 fields where the header has 5"),
    ]
    assert "user_id=nan" in batch.set_aside["raw"][0]
    counts = dict(batch.counts)
    words = {name: counts.pop(f"{name}: words for missing") for name in ("user_id", "asin", "text")}
    assert words == {"user_id": 1, "asin": 1, "text": 1}
    assert (counts["lines of rows"], counts["lines of rows set aside"], counts["blank lines"]) == (2, 3, 1)
    assert sum(counts.values()) == path.read_text().count("\n")


def test_a_list_of_one_in_a_parquet_table_is_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    pl.DataFrame({"asin": ["p1", "p2"], "kind": [["A|B"], []]}).write_parquet(path)
    (batch,) = read_table_products(path, _settings(product_columns={"asin": "asin", "categories": "kind"}))
    assert batch.rows["categories"].to_list() == [["A|B"], [""]]


@pytest.mark.parametrize("given", ["tab", "\\t", "\t"])
def test_a_tab_can_be_said(tmp_path: Path, given: str) -> None:
    path = _csv(tmp_path / "x.tsv", "u1\tp1\t4\t1400000000\tloud", header=HEADER.replace(",", "\t"))
    assert _read(path, _settings(separator=given))[0].height == 1


def test_an_encoding_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown encoding: klingon"):
        _settings(encoding="klingon")
    with pytest.raises(ValueError, match="not a text encoding"):
        _settings(encoding="hex")


def test_settings_say_how_a_table_is_written(tmp_path: Path) -> None:
    path = tmp_path / "x.dat"
    path.write_bytes('% Ö\nu1~p1~4~1400000000~"größer\n'.encode("cp1252"))
    columns = {name: str(number) for number, name in enumerate(COLUMNS, 1)}
    how = {"separator": "~", "quoting": "none", "header": False, "comment": "%", "encoding": "cp1252"}
    reviews, bad = _read(path, _settings(columns=columns, **how))
    assert bad.is_empty()
    assert reviews.select("user_id", "text").rows() == [("u1", '"größer')]
