"""The command line: one answer as a table or JSON, and the export of a table of users, broken off and gone on with."""

import gzip
import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from backports import zstd
from rich.console import Console

from rec_sys.bundle import Bundle
from rec_sys.contracts import InputError
from rec_sys.inference import batch_export
from rec_sys.inference.contract import Reason, Recommendation, RecommendationAnswer, RequestError, UnknownUserError
from rec_sys.inference.infer import InferSettings, answer_table, run
from rec_sys.settings import ReviewColumnMap, TableData
from rec_sys.vector_database.catalogue import read_catalogue
from rec_sys.vector_database.edge_index import EdgePublisher
from tests.product_indexes import quick_folder
from tests.serving_bundles import write_serving_bundle


def infer(folder: Path, **settings: Any) -> None:
    index = {"backend": "edge", "folder": folder / "index", "check_queries": 4, "progress": False}
    run(InferSettings.model_validate({"output_dir": folder, "index": index, "inference": {}} | settings))


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with quick_folder() as folder:
        bundle = write_serving_bundle(folder / "bundles" / "first")
        index = InferSettings.model_validate(
            {"index": {"backend": "edge", "folder": folder / "index", "progress": False}, "inference": {}}
        ).index
        EdgePublisher(index).publish(read_catalogue(bundle))  # type: ignore[arg-type]
        yield folder


def answer_of(text: str) -> Any:
    return json.loads(text)


def test_a_user_is_shown_as_a_table_with_reasons(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    infer(folder, user_id="user 3", limit=4)
    shown = capsys.readouterr().out
    infer(folder, user_id="user 3", limit=4, format="json")
    answer = answer_of(capsys.readouterr().out)
    assert len(answer["products"]) == 4
    assert all(product["asin"] in shown for product in answer["products"])
    # One line a product, with the review that speaks most for it, and nothing cut off where there is no terminal.
    lines = [line for line in shown.splitlines() if line.startswith("│")]
    assert len(lines) == 4
    for line, product in zip(lines, answer["products"], strict=True):
        reason = product["reasons"][0]
        because = reason["title"] or reason["asin"]
        share = f"{reason['memory']:+.2f} " if product["source"] == "memory" else ""
        assert line.split("│")[-2].strip() == f"{share}{because}"
    assert "milliseconds" in shown
    assert answer["versions"]["bundle"] in shown


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"filter": {"brands": ["nobody's"]}}, "no product passes the filter that this user has not reviewed"),
        ({"filter": {"brands": ["nobody's"]}, "include_seen": True}, "no product passes the filter\n"),
        ({"filter": {"brands": ["brand1"]}}, "no product of the bundle has the brand 'brand1'; the nearest: 'Brand 1'"),
        ({"offset": 9_999}, "no product: the ranking ends before offset 9999"),
    ],
)
def test_an_empty_answer_says_why(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], asked: dict[str, Any], why: str
) -> None:
    path = tmp_path / "reviews.json"
    path.write_text(json.dumps({"reviews": [{"asin": "p1", "rating": 5}], **asked}))
    infer(folder, reviews=path)
    shown = capsys.readouterr().out
    assert why in shown
    assert "│" not in shown


def test_the_users_attention_is_shown_once_the_strongest_first(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reviews = [{"asin": f"p{row}", "rating": 1 + row % 5, "text": f"Well [made] {row}[/b]."} for row in range(1, 6)]
    path = tmp_path / "reviews.json"
    path.write_text(json.dumps(reviews))
    infer(folder, reviews=path, limit=30)
    shown = capsys.readouterr().out
    lines = [line for line in shown.splitlines() if line.startswith("attention ")]
    weights = [float(line.split()[1]) for line in lines]
    assert len(lines) == 3
    assert weights == sorted(weights, reverse=True)
    assert len({line.partition(": Well [made] ")[2] for line in lines} - {""}) == 3
    assert shown.count("Well [made]") == shown.count("[/b].") == 3
    assert "the last review given is the newest" in shown


def test_a_narrow_terminal_cuts_titles_and_reasons_alone() -> None:
    reason = Reason(asin="p1", title="r" * 90, snippet=None, rating=5, timestamp=None, weight=1.0, memory=2.0)
    product = Recommendation(
        **{"rank": 1, "asin": "B000000001", "title": "t" * 90, "brand": None, "categories": (), "price": None},
        **{"rating_mean": None, "review_count": 1, "score": 12.5, "memory_score": 9.0, "source": "memory"},
        reasons=(reason,),
    )
    answer = RecommendationAnswer.model_construct(products=(product,))
    console = Console(width=80, file=io.StringIO())
    console.print(answer_table(answer))
    assert isinstance(console.file, io.StringIO)
    [line] = [line for line in console.file.getvalue().splitlines() if line.startswith("│")]
    cells = [cell.strip() for cell in line.split("│")[1:-1]]
    assert (cells[0], cells[1], cells[3], cells[4]) == ("1", "B000000001", "12.50", "memory")
    assert cells[2].endswith("t…")
    assert cells[5].startswith("+2.00 r")
    assert cells[5].endswith("r…")


def test_reviews_come_from_a_json_file(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "reviews.json"
    path.write_text('[{"asin": "p1", "rating": 5}, {"asin": "nowhere"}]')
    infer(folder, reviews=path, limit=3)
    assert "ignored: reviews[1] (nowhere)" in capsys.readouterr().out
    path.write_text('{"reviews": [{"asin": "p1"}], "limit": 2, "filter": {"brands": ["Brand 2"]}}')
    infer(folder, reviews=path, output=tmp_path / "answer.json")
    answer = json.loads((tmp_path / "answer.json").read_text())
    assert [product["brand"] for product in answer["products"]] == ["Brand 2"] * 2


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ('[{"asin": "p1", "text": "\\ud800"}]', "a text of whole characters"),
        ('[{"asin": "\\ud800"}]', "a text of whole characters"),
        ("[" * 200_000, "the JSON array is broken"),
        ("[" * 200_000 + "]" * 200_000, "the JSON array is broken"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "this cannot be read as JSON"),
        ('[{"asin": "p1", "text": ' + "[" * 700 + "]" * 700 + "}]", "takes a text"),
        ('[{"asin": "p1"},' + " " * (2 << 20), "there are 1 MB of blank lines"),
        ('[{"asin": "p1", "text": "' + "no end " * (5 << 20), "holds more than 32 MB"),
        ("user_id,asin\n" + "u,p1\n" * 150_000, "holds more than 32 MB"),
        ('[{"asin": "p1", "rating": ' + "9" * 5_000 + "}]", "this cannot be read as JSON"),
    ],
    ids=[
        "half a character",
        "an id of it",
        "brackets",
        "closed brackets",
        "objects",
        "nested",
        "blanks",
        "a text",
        "rows",
        "digits",
    ],
)
def test_a_file_that_no_parser_can_end_is_refused_in_words(
    folder: Path, tmp_path: Path, content: str, what: str
) -> None:
    path = tmp_path / "reviews.json"
    path.write_text(content)
    with pytest.raises(InputError, match=what):
        infer(folder, reviews=path)


def handed_in(path: Path, kind: str) -> Path:
    """Two reviews, written in one of the ways in which people have them."""
    rows = [{"asin": "p1", "rating": 5, "text": "Très bien 🎸"}, {"asin": "nowhere", "rating": 2, "text": ""}]
    table = pl.DataFrame(rows)
    dumped = json.dumps(rows, ensure_ascii=False)
    contents = {
        "byte order mark": dumped.encode("utf-8-sig"),
        "utf-16": dumped.encode("utf-16"),
        "gzip": gzip.compress(dumped.encode()),
        "zstd": zstd.compress(dumped.encode()),
        "lines": "\n".join(json.dumps(row) for row in rows).encode(),
        "literals": "\n".join(map(str, rows)).encode(),
        "csv": table.write_csv().encode(),
        "semicolons": gzip.compress(table.write_csv(separator=";").encode("utf-16")),
    }
    if kind == "parquet":
        table.write_parquet(path)
    else:
        path.write_bytes(contents[kind])
    return path


@pytest.mark.parametrize(
    "kind",
    ["byte order mark", "utf-16", "gzip", "zstd", "lines", "literals", "csv", "semicolons", "parquet"],
)
def test_reviews_are_read_as_training_files_are(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    infer(folder, reviews=handed_in(tmp_path / "reviews", kind), limit=3)
    shown = capsys.readouterr().out
    assert "Très bien 🎸" in shown
    assert "ignored: reviews[1] (nowhere)" in shown
    assert "reviews read: 1;" in shown


def test_reviews_may_have_the_names_and_the_scale_of_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    columns = ReviewColumnMap(user_id="CustomerID", asin="ItemCode", rating="Points", timestamp="When", text=None)
    table = TableData(
        **{"name": "shop", "reader": "table", "reviews_path": "shop.csv", "columns": columns},
        **{"rating_scale": (0, 10), "timestamp_unit": "s"},
    )
    bundle = write_serving_bundle(tmp_path / "bundles" / "only", data=table)
    index = InferSettings.model_validate(
        {"index": {"backend": "edge", "folder": tmp_path / "index", "progress": False}, "inference": {}}
    ).index
    EdgePublisher(index).publish(read_catalogue(bundle))  # type: ignore[arg-type]
    ours = [{"asin": "p3", "rating": 10, "timestamp": 1_500_000_000_000}, {"asin": "p4", "rating": 0}]
    shops = [
        {"CustomerID": 17850, "ItemCode": "p3", "Points": 10, "When": 1_500_000_000},
        {"ItemCode": "p4", "Points": "0"},
    ]
    written = {
        "ours.json": json.dumps(ours),
        "shop.json": json.dumps(shops),
        "request.json": json.dumps({"reviews": shops}),
        "lists.json": json.dumps([{**shops[0], "ItemCode": ["p3"]}, {"ItemCode": ["p4"], "Points": 0}]),
        "shop.csv": "CustomerID,ItemCode,Points,When,Colour\n17850,p3,10,1500000000,red\n17850,p4,0,,red\n",
    }
    answers = []
    for name, text in written.items():
        (tmp_path / name).write_text(text)
        infer(tmp_path, reviews=tmp_path / name, format="json")
        answers.append(answer_of(capsys.readouterr().out))
    assert all(answer["products"] == answers[0]["products"] for answer in answers)
    assert answers[0]["rating_scale"] == [0, 10]
    infer(tmp_path, reviews=tmp_path / "ours.json")
    assert "ratings: 0 to 10, as in the training data" in capsys.readouterr().out
    assert {reason["rating"] for product in answers[0]["products"] for reason in product["reasons"]} == {5, 1}
    assert "columns that nothing reads: Colour; the training data had CustomerID, ItemCode, Points, When" in caplog.text
    for text, message in (
        ("CustomerID,ItemCode\n17850,p3\n17851,p4\n", "the reviews are of 2 people, such as 17850 and 17851"),
        ("ItemCode,Points\np3,10\np4,11\n", "'11' cannot be read: ratings go from 0 to 10"),
        ('[{"ItemCode": "p3", "Points": [5]}]', "[5] cannot be read"),
        ('[{"asin": "p3", "rating": 11}]', "a rating of 11 is outside the scale of this model's data, 0 to 10"),
    ):
        (tmp_path / "wrong").write_text(text)
        with pytest.raises(InputError, match=re.escape(message)):
            infer(tmp_path, reviews=tmp_path / "wrong")


def test_a_column_that_no_review_has_is_named_with_what_to_call_it(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text("asin,overall,reviewText,reviewerID\np1,5,ok,A1\n")
    with pytest.raises(RequestError) as caught:
        infer(folder, reviews=path)
    for said in ("rename overall to rating", "rename reviewText to text", "leave out or rename reviewerID"):
        assert said in caught.value.remedy


def test_a_review_that_stands_many_times_counts_once(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    once, other = {"asin": "p1", "rating": 5, "text": "fine strings"}, {"asin": "p2", "rating": 4}
    path = tmp_path / "reviews.json"
    answers = []
    for reviews in ([other, once], [once] * 30 + [other] + [once] * 30):
        path.write_text(json.dumps(reviews))
        infer(folder, reviews=path, format="json")
        answers.append(answer_of(capsys.readouterr().out))
    assert answers[1]["reviews_used"] == 2
    assert answers[1]["products"] == answers[0]["products"]
    assert sum("counts once" in ignored["reason"] for ignored in answers[1]["ignored"]) == 59
    infer(folder, reviews=path)
    assert "ignored: reviews[0] and 58 more (p1): it is sent again further down" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("[", InputError),
        ('{"asin": "p1"}\n{"asin":', InputError),
        ("[1]", RequestError),
        ('[{"asin": "p1", "rating": NaN}]', RequestError),
        ('{"reviews": [{"asin": "p1", "rating": 6}]}', RequestError),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(
    folder: Path, tmp_path: Path, content: str, error: type[Exception]
) -> None:
    path = tmp_path / "reviews.json"
    path.write_text(content)
    with pytest.raises(error):
        infer(folder, reviews=path)


def test_somebody_must_be_asked_for(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nobody is asked for"):
        infer(folder)
    with pytest.raises(InputError, match="a table of users and a single one"):
        infer(folder, users=tmp_path / "users.parquet", user_id="user 1")
    with pytest.raises(UnknownUserError, match="no user somebody"):
        infer(folder, user_id="somebody")


def write_users(path: Path, users: list[str | None]) -> Path:
    pl.DataFrame({"user_id": users}, schema={"user_id": pl.String}).write_parquet(path)
    return path


def test_an_export_says_what_a_single_answer_says(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_export, "PART_USERS", 16)
    users = write_users(tmp_path / "users.parquet", [*(f"user {number}" for number in range(40)), "stranger", None])
    infer(folder, users=users, limit=5, output=tmp_path / "out")
    assert "unknown: 1 users" in capsys.readouterr().out
    assert pl.read_parquet(tmp_path / "out" / "unknown_users.parquet")["user_id"].to_list() == ["stranger"]
    assert len(list((tmp_path / "out").glob("part-*.parquet"))) == 3
    table = pl.read_parquet(tmp_path / "out" / "part-*.parquet")
    assert table["user_id"].n_unique() == 40
    for user_id in ("user 0", "user 17", "user 39"):
        infer(folder, user_id=user_id, limit=5, format="json")
        products = answer_of(capsys.readouterr().out)["products"]
        rows = table.filter(pl.col("user_id") == user_id).sort("rank").rows(named=True)
        assert [row["asin"] for row in rows] == [product["asin"] for product in products]
        for row, product in zip(rows, products, strict=True):
            assert row["score"] == pytest.approx(product["score"], abs=1e-4)
            assert (row["source"], row["title"]) == (product["source"], product["title"])
            assert [reason["asin"] for reason in row["reasons"]] == [reason["asin"] for reason in product["reasons"]]
            for found, wanted in zip(row["reasons"], product["reasons"], strict=True):
                assert found["weight"] == pytest.approx(wanted["weight"], abs=1e-5)
                assert found["memory"] == pytest.approx(wanted["memory"], abs=1e-4)


@pytest.mark.parametrize("kind", ["csv", "json", "lines", "ids"])
def test_users_are_read_from_any_file(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    users = ["user 1", "user 2", "stranger"]
    rows = [{"user_id": user, "age": 44} for user in users]
    contents = {
        "csv": "age;user_id\n" + "".join(f"44;{user}\n" for user in users) + "3;nan\n",
        "json": json.dumps(rows),
        "lines": "\n".join(json.dumps(row) for row in rows),
        "ids": json.dumps([*users, None]),
    }
    path = tmp_path / "users"
    path.write_bytes(contents[kind].encode("utf-8-sig"))
    infer(folder, users=path, limit=2, output=tmp_path / "out")
    assert "unknown: 1 users" in capsys.readouterr().out
    assert pl.read_parquet(tmp_path / "out" / "part-*.parquet")["user_id"].unique().sort().to_list() == users[:2]


def test_ids_of_users_may_be_numbers(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pl.DataFrame({"user_id": [1, 2]}).write_parquet(tmp_path / "users.parquet")
    infer(folder, users=tmp_path / "users.parquet", output=tmp_path / "out")
    assert "unknown: 2 users" in capsys.readouterr().out
    assert pl.read_parquet(tmp_path / "out" / "unknown_users.parquet")["user_id"].to_list() == ["1", "2"]


def test_an_export_that_broke_off_goes_on_where_it_was(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_export, "PART_USERS", 10)
    users = write_users(tmp_path / "users.parquet", [f"user {number}" for number in range(40)])
    infer(folder, users=users, output=tmp_path / "out")
    whole = pl.read_parquet(tmp_path / "out" / "part-*.parquet")
    kept = tmp_path / "out" / "part-00000.parquet"
    before = kept.stat().st_mtime_ns
    (tmp_path / "out" / "part-00002.parquet").unlink()
    capsys.readouterr()
    infer(folder, users=users, output=tmp_path / "out")
    assert "10 of them now" in capsys.readouterr().out
    assert kept.stat().st_mtime_ns == before
    assert pl.read_parquet(tmp_path / "out" / "part-*.parquet").equals(whole)
    with pytest.raises(InputError, match="another bundle or other settings"):
        infer(folder, users=users, output=tmp_path / "out", limit=3)


def test_a_table_that_is_none_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("user,age\nuser 1,44\n")
    with pytest.raises(InputError, match="no column user_id") as caught:
        infer(folder, users=tmp_path / "users.csv")
    assert "user, age" in caught.value.remedy
    pl.DataFrame({"user": ["user 1"]}).write_parquet(tmp_path / "users.parquet")
    with pytest.raises(InputError, match="no column user_id"):
        infer(folder, users=tmp_path / "users.parquet")
    shutil.rmtree(folder / "recommendations", ignore_errors=True)


def test_the_bundle_can_be_chosen_and_must_be_the_one_of_the_index(folder: Path, tmp_path: Path) -> None:
    infer(folder, user_id="user 1", bundle=folder / "bundles" / "first")
    other: Bundle = write_serving_bundle(tmp_path / "other", seed=5)
    with pytest.raises(InputError, match=other.identity):
        infer(folder, user_id="user 1", bundle=tmp_path / "other")
