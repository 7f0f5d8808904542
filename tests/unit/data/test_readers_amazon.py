"""Amazon's three editions give the same columns, and what is no review is named."""

import json
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rec_sys.contracts import InputError
from rec_sys.data.readers import amazon_reviews
from rec_sys.data.readers.amazon_products import read_amazon_metadata
from rec_sys.data.readers.amazon_reviews import Edition, read_amazon_reviews
from rec_sys.data.readers.batches import QUARANTINE_SCHEMA, REVIEW_SCHEMA
from rec_sys.raw_files.product_texts import PRODUCT_FACTS_SCHEMA

REVIEW = {
    "reviewerID": "U1",
    "asin": "P1",
    "overall": 5.0,
    "unixReviewTime": 1_400_000_000,
    "summary": "Good",
    "reviewText": "Nice strings",
}


def _written(path: Path, *rows: dict[str, Any] | str) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def _read(path: Path, edition: Edition = "amazon_2018") -> tuple[pl.DataFrame, pl.DataFrame]:
    batches = list(read_amazon_reviews(path, edition))
    reviews, bad = pl.concat(batch.rows for batch in batches), pl.concat(batch.set_aside for batch in batches)
    assert dict(reviews.schema) == REVIEW_SCHEMA
    assert dict(bad.schema) == QUARANTINE_SCHEMA
    assert sum(batch.num_records for batch in batches) == reviews.height + bad.height
    return reviews, bad


def test_a_review_of_2014_keeps_its_helpful_votes(tmp_path: Path) -> None:
    path = _written(tmp_path / "x.json", REVIEW | {"helpful": [13, 14]})
    reviews, _ = _read(path, "amazon_2014")
    assert reviews.row(0, named=True) == {
        "user_id": "U1",
        "asin": "P1",
        "rating": 5.0,
        "timestamp": 1_400_000_000_000,
        "title": "Good",
        "text": "Nice strings",
        "style": None,
        "helpful_votes": 13,
        "verified": None,
        "event": None,
        "weight": 1.0,
        "source_row": 0,
    }


def test_a_review_of_2018_keeps_style_votes_and_verification(tmp_path: Path) -> None:
    style = {"Size:": " Big Boys ", "Color:": " Blue &amp; Red", "Empty:": None}
    path = _written(tmp_path / "x.json", REVIEW | {"style": style, "vote": "1,234", "verified": True})
    row = _read(path)[0].row(0, named=True)
    assert json.loads(row["style"]) == {"Size": "Big Boys", "Color": "Blue & Red"}
    assert (row["helpful_votes"], row["verified"]) == (1234, True)


def test_a_review_of_2023_has_its_renamed_fields_and_milliseconds(tmp_path: Path) -> None:
    review = {
        "user_id": "U1",
        "parent_asin": "P1",
        "asin": "VARIANT",
        "rating": 4.0,
        "timestamp": 1_588_687_728_923,
        "title": "Good",
        "text": "Loud<br />and clear",
        "helpful_vote": 3,
        "verified_purchase": False,
    }
    row = _read(_written(tmp_path / "x.jsonl", review), "amazon_2023")[0].row(0, named=True)
    assert (row["asin"], row["timestamp"], row["rating"]) == ("P1", 1_588_687_728_923, 4.0)
    assert (row["helpful_votes"], row["verified"], row["text"]) == (3, False, "Loud and clear")


def test_missing_texts_are_legal_and_null(tmp_path: Path) -> None:
    without = {name: value for name, value in REVIEW.items() if name not in ("summary", "reviewText")}
    reviews, bad = _read(_written(tmp_path / "x.json", without, REVIEW | {"reviewText": "  "}))
    assert bad.is_empty()
    assert reviews["text"].to_list() == [None, None]
    assert reviews["title"].to_list() == [None, "Good"]


def test_long_texts_and_texts_of_emoji_alone_are_legal(tmp_path: Path) -> None:
    texts = ["la " * 33_333 + "!", "🎸🔥👍🏽"]
    reviews, bad = _read(_written(tmp_path / "x.json", *(REVIEW | {"reviewText": text} for text in texts)))
    assert bad.is_empty()
    assert reviews["text"].to_list() == texts


def test_identifiers_are_strings_and_numbers_may_be_text(tmp_path: Path) -> None:
    row = REVIEW | {"reviewerID": 17, "asin": " P1 ", "overall": "4.0", "unixReviewTime": "1400000000"}
    found = _read(_written(tmp_path / "x.json", REVIEW, row))[0].row(1, named=True)
    assert (found["user_id"], found["asin"], found["rating"]) == ("17", "P1", 4.0)
    assert found["timestamp"] == 1_400_000_000_000


def test_fields_that_nothing_reads_are_listed(tmp_path: Path) -> None:
    path = _written(tmp_path / "x.json", REVIEW, REVIEW | {"colour": "red"})
    (batch,) = read_amazon_reviews(path, "amazon_2014")
    assert batch.found == {"fields that nothing reads": "colour"}
    products = _written(tmp_path / "p.json", {"asin": "P1", "title": "Uke", "imUrl": "x"})
    (batch,) = read_amazon_metadata(products, "amazon_2014")
    assert batch.found == {"fields that nothing reads": "imUrl"}


@pytest.mark.parametrize("missing", [None, "", " ", "nan", "N/A"])
def test_a_review_may_have_no_rating(tmp_path: Path, missing: str | None) -> None:
    path = _written(tmp_path / "x.json", REVIEW, REVIEW | {"overall": missing})
    (batch,) = read_amazon_reviews(path, "amazon_2014")
    assert batch.rows["rating"].to_list() == [REVIEW["overall"], None]
    assert (batch.counts["reviews without a rating"], batch.set_aside.height) == (1, 0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"reviewerID": None}, "user id is missing"),
        ({"reviewerID": "x" * 513}, "user id has more than 512 characters"),
        ({"asin": "x" * 513}, "product id has more than 512 characters"),
        ({"reviewerID": "  "}, "user id is missing"),
        ({"asin": ""}, "product id is missing"),
        ({"overall": "five"}, "rating is not a number"),
        ({"overall": [5]}, "rating is not a number"),
        ({"overall": "infinity"}, "rating is not a number"),
        ({"overall": 0}, "rating is outside 1 to 5"),
        ({"overall": 11}, "rating is outside 1 to 5"),
        ({"overall": -1}, "rating is outside 1 to 5"),
        ({"unixReviewTime": None}, "time is missing or not a time"),
        ({"unixReviewTime": "soon"}, "time is missing or not a time"),
        ({"unixReviewTime": -5}, "time is before 1995"),
        ({"unixReviewTime": 0}, "time is before 1995"),
        ({"unixReviewTime": int(time.time()) + 3 * 86_400}, "time is in the future"),
        ({"unixReviewTime": 10**20}, "time is in the future"),
    ],
)
def test_a_row_that_is_no_review_is_set_aside_with_line_and_reason(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    path = _written(tmp_path / "x.json", REVIEW, "", REVIEW | change, REVIEW)
    reviews, bad = _read(path)
    assert reviews["source_row"].to_list() == [0, 2]
    raw = json.dumps(REVIEW | change)
    assert bad.rows() == [(str(path), 3, reason, raw[:500])]


@pytest.mark.parametrize("rating", [1, 1.0, 5, 4.5])
def test_every_rating_from_1_to_5_is_legal(tmp_path: Path, rating: float) -> None:
    reviews, bad = _read(_written(tmp_path / "x.json", REVIEW | {"overall": rating}))
    assert reviews["rating"].to_list() == [rating]
    assert bad.is_empty()


def test_a_review_written_today_is_legal(tmp_path: Path) -> None:
    reviews, _ = _read(_written(tmp_path / "x.json", REVIEW | {"unixReviewTime": int(time.time())}))
    assert reviews.height == 1


def test_a_broken_line_in_the_middle_is_set_aside_and_cut_to_500_characters(tmp_path: Path) -> None:
    broken = json.dumps(REVIEW | {"reviewText": "x" * 5000})[:-1]
    path = _written(tmp_path / "x.json", REVIEW, broken, REVIEW)
    reviews, bad = _read(path)
    assert reviews["source_row"].to_list() == [0, 2]
    assert bad.rows() == [(str(path), 2, "broken JSON", broken[:500])]


@pytest.mark.parametrize(
    ("row", "edition", "said"),
    [
        ({"user_id": "U", "parent_asin": "P", "rating": 5, "timestamp": 1}, "amazon_2014", "data=instruments_2023"),
        (REVIEW | {"helpful": [0, 0]}, "amazon_2023", "data=instruments_2014"),
        (REVIEW | {"verified": True}, "amazon_2023", "data=instruments_2018"),
        ({"user": 1, "items": [1, 2]}, "amazon_2018", "data=sequences"),
        ({"asin": "P", "title": "Guitar", "price": "$5"}, "amazon_2018", "data.metadata_path"),
        ({"who": "U", "what": "P"}, "amazon_2018", "reviewerID"),
        ("user,item,rating", "amazon_2018", "data=table"),
    ],
)
def test_another_schema_is_refused_with_what_was_found_and_what_fits(
    tmp_path: Path, row: dict[str, Any] | str, edition: Edition, said: str
) -> None:
    path = _written(tmp_path / "x.json", row)
    with pytest.raises(InputError, match=f"schema of {edition}") as caught:
        _read(path, edition)
    assert said in caught.value.remedy
    for name in row if isinstance(row, dict) else [row]:
        assert name in caught.value.where


def test_files_of_2018_lose_nothing_when_read_as_2014(tmp_path: Path) -> None:
    path = _written(tmp_path / "x.json", REVIEW | {"vote": "7", "style": {"Color:": " Red"}, "verified": True})
    assert _read(path, "amazon_2014")[0].equals(_read(path, "amazon_2018")[0])


def test_source_rows_go_on_across_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rec_sys.raw_files.records.BATCH_ROWS", 2)
    path = _written(tmp_path / "x.json", REVIEW, "{", REVIEW, REVIEW, REVIEW)
    reviews, bad = _read(path)
    assert reviews["source_row"].to_list() == [0, 2, 3, 4]
    assert bad["line"].to_list() == [2]
    assert len(list(amazon_reviews.read_amazon_reviews(path, "amazon_2018"))) == 3


def _facts(path: Path, edition: Edition) -> list[dict[str, Any]]:
    batches = list(read_amazon_metadata(path, edition))
    assert all(dict(batch.rows.schema) == PRODUCT_FACTS_SCHEMA for batch in batches)
    return [row for batch in batches for row in batch.rows.iter_rows(named=True)]


def test_metadata_of_2014_are_python_literals(tmp_path: Path) -> None:
    line = (
        "{'asin': 'P1', 'title': \"Player's pick\", 'price': 12.99, 'brand': 'Dunlop', 'description': 'Pick.', "
        "'categories': [['Musical Instruments', 'Picks'], ['Other', 'Path']], 'salesRank': {'Music': 3}}"
    )
    (facts,) = _facts(_written(tmp_path / "x.json", line), "amazon_2014")
    assert facts == {
        "asin": "P1",
        "title": "Player's pick",
        "brand": "Dunlop",
        "categories": ["Musical Instruments", "Picks"],
        "price": pytest.approx(12.99),
        "known_rating": None,
        "features": [],
        "description": "Pick.",
    }


def test_code_in_a_metadata_line_is_never_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    lines = "{'asin': 'P1'}", f"{{'asin': open({str(mark)!r}, 'w').name}}"
    batches = list(read_amazon_metadata(_written(tmp_path / "x.json", *lines), "amazon_2014"))
    assert batches[0].set_aside["reason"].to_list() == ["broken JSON"]
    assert not mark.exists()


def test_metadata_of_2018_have_lists_and_printed_prices(tmp_path: Path) -> None:
    row = {
        "asin": "P1",
        "title": "Cable",
        "brand": "by\n    Hosa",
        "category": ["Musical Instruments", "Cables"],
        "feature": ["Ten feet", "OFC copper"],
        "description": ["Quiet.", "Sturdy."],
        "price": "$5.00 - $9.99",
    }
    blank = {"asin": "P2", "title": "var x = getTime();", "price": "", "category": [], "description": []}
    first, second = _facts(_written(tmp_path / "x.json", row, blank), "amazon_2018")
    assert first == {
        "asin": "P1",
        "title": "Cable",
        "brand": "Hosa",
        "categories": ["Musical Instruments", "Cables"],
        "price": 5.0,
        "known_rating": None,
        "features": ["Ten feet", "OFC copper"],
        "description": "Quiet. Sturdy.",
    }
    assert (second["title"], second["price"], second["categories"]) == (None, None, [])


def test_metadata_of_2023_have_a_store_and_details(tmp_path: Path) -> None:
    row = {
        "parent_asin": "P1",
        "main_category": "Musical Instruments",
        "title": "Uke",
        "store": "Kala",
        "categories": ["Ukuleles", "Soprano"],
        "features": ["Small"],
        "description": [],
        "price": 59.5,
        "details": {"Brand": "Other", "Color": "Mahogany", "Item Weight": "1 pound", "Material Type": "Wood"},
    }
    branded = {"parent_asin": "P2", "store": None, "price": "None", "details": {"Brand": "Fender"}}
    first, second = _facts(_written(tmp_path / "x.jsonl", row, branded), "amazon_2023")
    assert first["brand"] == "Kala"
    assert first["categories"] == ["Musical Instruments", "Ukuleles", "Soprano"]
    assert first["features"] == ["Small", "Color: Mahogany", "Material Type: Wood"]
    assert first["price"] == 59.5
    assert (second["brand"], second["price"], second["categories"]) == ("Fender", None, [])


@pytest.mark.parametrize(
    ("printed", "price"),
    [
        ("$12.99", 12.99),
        ("12.99", 12.99),
        ("$1,299.00", 1299.0),
        ("$5.00 - $9.99", 5.0),
        ("from 14.99", 14.99),
        ("12,50 €", 12.5),
        ("0", None),
        ("-3", None),
        ("free", None),
        (".a-box{width:100%;height:44px} #buy13 $5", None),
        ("<span class='x'>9.99</span>", None),
    ],
)
def test_only_a_price_is_a_price(tmp_path: Path, printed: str, price: float | None) -> None:
    (facts,) = _facts(_written(tmp_path / "x.json", {"asin": "P", "price": printed}), "amazon_2018")
    assert facts["price"] == (None if price is None else pytest.approx(price))


@pytest.mark.parametrize("details", ["", "plain words", '"{', [1], {"Color": {"deep": 1}}])
def test_details_of_another_kind_do_no_harm(tmp_path: Path, details: object) -> None:
    (facts,) = _facts(_written(tmp_path / "x.jsonl", {"parent_asin": "P", "details": details}), "amazon_2023")
    assert facts["brand"] is None


def test_metadata_without_a_product_id_are_set_aside(tmp_path: Path) -> None:
    (batch,) = read_amazon_metadata(_written(tmp_path / "x.json", {"asin": "P"}, {"title": "?"}, "{"), "amazon_2018")
    assert batch.rows["asin"].to_list() == ["P"]
    assert batch.set_aside.select("line", "reason").rows() == [(2, "product id is missing"), (3, "broken JSON")]


def test_a_file_that_lists_no_products_is_refused_as_metadata(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not Amazon product metadata"):
        list(read_amazon_metadata(_written(tmp_path / "x.json", {"a": 1}), "amazon_2018"))


def test_python_literals_are_reviews_in_every_edition(tmp_path: Path) -> None:
    row = REVIEW | {"overall": "5.0", "verified": "Y", "vote": "1,234", "style": {"Size:": " L"}}
    path = _written(tmp_path / "x.json", str(row), str(row | {"reviewText": None}))
    for edition in ("amazon_2014", "amazon_2018"):
        reviews, bad = _read(path, edition)
        assert bad.is_empty()
        assert reviews.select("user_id", "rating", "helpful_votes", "verified", "style", "text").rows() == [
            ("U1", 5.0, 1234, True, '{"Size": "L"}', "Nice strings"),
            ("U1", 5.0, 1234, True, '{"Size": "L"}', None),
        ]


@pytest.mark.parametrize("parent", [None, "", "  ", "None"])
def test_an_empty_parent_leaves_the_asin(tmp_path: Path, parent: str | None) -> None:
    row = {"user_id": "u", "parent_asin": parent, "asin": "p4", "rating": 5.0, "timestamp": 1_400_000_000_000}
    assert _read(_written(tmp_path / "x.jsonl", row), "amazon_2023")[0]["asin"].to_list() == ["p4"]
    metadata = _written(tmp_path / "m.jsonl", {"parent_asin": parent, "asin": "p4", "title": "Uke"})
    (batch,) = read_amazon_metadata(metadata, "amazon_2023")
    assert batch.rows["asin"].to_list() == ["p4"]


def test_empty_fields_of_metadata_leave_those_that_have_a_value(tmp_path: Path) -> None:
    row = {
        **{"parent_asin": "p0", "title": "Cable", "main_category": "", "categories": [], "category": ["MI"]},
        **{"store": "", "details": {"Brand": "Hosa"}, "features": [], "feature": ["old"], "description": []},
    }
    (batch,) = read_amazon_metadata(_written(tmp_path / "m.jsonl", row), "amazon_2023")
    assert batch.rows.row(0, named=True) == {
        **{"asin": "p0", "title": "Cable", "brand": "Hosa", "categories": ["MI"], "price": None},
        **{"features": ["old"], "description": "", "known_rating": None},
    }


def test_words_for_missing_are_no_price_and_no_brand_of_metadata(tmp_path: Path) -> None:
    row = {"parent_asin": "p", "title": "None", "price": "None", "brand": "NULL", "store": "Hosa"}
    (batch,) = read_amazon_metadata(_written(tmp_path / "m.jsonl", row), "amazon_2023")
    assert batch.rows.select("title", "price", "brand").rows() == [("None", None, "Hosa")]
    assert batch.counts == {"price: words for missing": 1, "brand: words for missing": 1}


def test_words_for_missing_are_no_ids_but_may_be_texts(tmp_path: Path) -> None:
    rows = [REVIEW | {"reviewerID": "nan"}, REVIEW | {"asin": "NULL"}, REVIEW | {"reviewText": "None"}]
    path = _written(tmp_path / "x.json", *rows)
    (batch,) = read_amazon_reviews(path, "amazon_2018")
    assert batch.rows["text"].to_list() == ["None"]
    assert batch.set_aside["reason"].to_list() == ["user id is missing", "product id is missing"]
    assert batch.counts == {"reviewerID: words for missing": 1, "asin: words for missing": 1}
    (batch,) = read_amazon_reviews(path, "amazon_2018", missing_values=())
    assert batch.rows.height == 3


def test_another_encoding_is_proposed(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    line = json.dumps(REVIEW | {"reviewText": "Très bonne guitare à Noël"}, ensure_ascii=False)
    path.write_bytes(f"{line}\n".encode("cp1252"))
    with pytest.raises(InputError, match="not UTF-8") as caught:
        _read(path)
    assert "data.encoding=cp1252" in caught.value.remedy
    path.write_bytes(json.dumps(REVIEW).encode() + f"\n{line}\n".encode("cp1252"))
    (batch,) = read_amazon_reviews(path, "amazon_2018")
    assert batch.set_aside["reason"].to_list() == ["not UTF-8 text, see data.encoding"]
    assert batch.remedies == {"data.encoding": "cp1252"}
    (batch,) = read_amazon_reviews(path, "amazon_2018", encoding="cp1252")
    assert batch.rows["text"].to_list() == ["Nice strings", "Très bonne guitare à Noël"]
