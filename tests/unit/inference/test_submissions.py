"""Submissions: what is written is read again from nothing, and the first wrong line is refused by number and reason."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rec_sys.contracts import InputError
from rec_sys.inference.backends import Backends
from rec_sys.inference.infer import InferSettings, run
from rec_sys.inference.submissions import FORMATS
from rec_sys.inference.submissions.checking import check_answers, check_submission
from rec_sys.inference.submissions.contract import SubmissionFormat
from rec_sys.inference.submissions.export import export_submission, write_submission
from rec_sys.inference.submissions.shop_events import recall_of
from rec_sys.vector_database.catalogue import read_catalogue
from rec_sys.vector_database.edge_index import EdgePublisher
from tests.product_indexes import quick_folder
from tests.serving_bundles import write_serving_bundle

BLANKS = SubmissionFormat(("user", "products"), products=3, write=" ".join, read=str.split, user_column="user")


def settings(folder: Path, **given: Any) -> InferSettings:
    index = {"backend": "edge", "folder": folder / "index", "check_queries": 4, "progress": False}
    return InferSettings.model_validate({"output_dir": folder, "index": index, "inference": {}} | given)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with quick_folder() as folder:
        bundle = write_serving_bundle(folder / "bundles" / "first")
        EdgePublisher(settings(folder).index).publish(read_catalogue(bundle))  # type: ignore[arg-type]
        yield folder


def export(folder: Path, form: SubmissionFormat, path: Path, users: Path | None = None) -> Any:
    given = settings(folder)
    backends = Backends(given.index, given.inference, given.output_dir, given.bundle)

    async def answer() -> Any:
        try:
            return await export_submission(backends, form, path, users, None)
        finally:
            await backends.close()

    return asyncio.run(answer())


def test_everybody_gets_a_full_list_without_what_they_had(folder: Path, tmp_path: Path) -> None:
    result = export(folder, BLANKS, path := tmp_path / "all.csv")
    lists = check_submission(path, BLANKS, [f"p{number}" for number in range(60)])
    assert (len(lists), result.users, result.unknown) == (40, 40, 0)
    assert all(len(products) == 3 for products in lists.values())


def test_unknown_users_of_a_table_get_the_most_popular_and_are_counted(folder: Path, tmp_path: Path) -> None:
    pl.DataFrame({"user": ["nobody", "user 3"]}).write_csv(table := tmp_path / "users.csv")
    result = export(folder, BLANKS, path := tmp_path / "some.csv", table)
    lists = check_submission(path, BLANKS, [f"p{number}" for number in range(60)], ["nobody", "user 3"])
    assert list(lists) == ["nobody", "user 3"]
    assert result.unknown == 1
    assert lists["nobody"] != lists["user 3"]


def test_a_bundle_of_another_shop_is_refused_before_anybody_is_asked(folder: Path, tmp_path: Path) -> None:
    for form, written in ((FORMATS["hm"], "'00000000p0'"), (FORMATS["kion"], "'[p0]'")):
        with pytest.raises(InputError, match=re.escape(f"'p0' would be written {written}")):
            export(folder, form, tmp_path / "all.csv")
    assert not list(tmp_path.iterdir())


def test_a_file_that_its_check_refuses_is_not_left(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="more than 39 users"):
        export(folder, replace(BLANKS, most_users=39), tmp_path / "all.csv")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("users,products\n", 1, "the header"),
        ("user,products\na,p1 p2 p3\na,p1 p2 p3\n", 3, "twice"),
        ("user,products\na,p1 p2\n", 2, "2 products and not 3"),
        ("user,products\na,p1 p2 p3 p4\n", 2, "4 products"),
        ("user,products\na,p1 p2 p2\n", 2, "a product stands there twice"),
        ("user,products\na,p1 p2 p9\n", 2, "'p9' is not in the catalogue"),
        ("user,products\na,p1,p2\n", 2, "3 fields"),
        ("user,products\n,p1 p2 p3\n", 2, "without an id"),
        ("user,products\nc,p1 p2 p3\n", 2, "was not asked for"),
        ("user,products\na,p1 p2 p3\n", 2, "1 users are missing, the first is 'b'"),
    ],
)
def test_a_wrong_line_is_named_with_its_reason(tmp_path: Path, text: str, line: int, why: str) -> None:
    (path := tmp_path / "file.csv").write_text(text)
    with pytest.raises(InputError, match=why) as refused:
        check_submission(path, BLANKS, ["p1", "p2", "p3", "p4"], ["a", "b"])
    assert refused.value.where.endswith(f"line {line}")


@pytest.mark.parametrize(
    ("name", "products"),
    [("kion", ["15", "9728"]), ("hm", ["0108775015", "0493995001"]), ("shop_events", ["5168833", "18"])],
)
def test_a_row_is_read_as_it_was_written(name: str, products: list[str]) -> None:
    form = FORMATS[name]
    assert form.read(form.write(products)) == products


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("kion", "15, 9728"),
        ("kion", "[15,]"),
        ("kion", "['15']"),
        ("hm", "108775015"),
        ("hm", "0108775015  0493995001"),
        ("hm", "1108775015"),
        ("shop_events", "[5]"),
        ("shop_events", "['5', ]"),
    ],
)
def test_a_row_of_another_form_is_refused(name: str, field: str) -> None:
    with pytest.raises(ValueError, match="is no list"):
        FORMATS[name].read(field)


def test_an_unknown_format_is_answered_with_those_there_are(folder: Path) -> None:
    with pytest.raises(InputError, match="kion"):
        run(settings(folder, export="cinema"))


def test_more_than_3000_users_or_25_products_are_refused(tmp_path: Path) -> None:
    form, products = FORMATS["shop_events"], [str(number) for number in range(26)]
    write_submission(path := tmp_path / "predictions.csv", form, {f"u{user}": ["1"] for user in range(3_000)})
    assert len(check_submission(path, form, products)) == 3_000
    write_submission(path, form, {f"u{user}": ["1"] for user in range(3_001)})
    with pytest.raises(InputError, match="more than 3,000 users") as refused:
        check_submission(path, form, products)
    assert refused.value.where.endswith("line 3002")
    write_submission(path, form, {"u1": products[:25], "u2": products})
    with pytest.raises(InputError, match="26 products and not 25 at most"):
        check_submission(path, form, products)


def test_the_two_readings_of_recall_differ_where_a_buyer_is_not_in_the_file() -> None:
    # a: 2 of 4 found, b: none of 1, c: not in the file; d is in the file and bought nothing.
    lists = {"a": ["1", "2"], "b": ["8"], "d": ["1"]}
    bought = {"a": ["1", "2", "3", "4"], "b": ["9"], "c": ["1"]}
    found = recall_of(lists, bought)
    assert found["recall_at_25_of_all_buyers"] == pytest.approx((2 / 4 + 0 + 0) / 3)
    assert found["recall_at_25_of_buyers_listed"] == pytest.approx((2 / 4 + 0) / 2)
    assert found["buyers_listed"] == pytest.approx(2 / 3)


def test_products_beyond_the_25th_are_not_read() -> None:
    lists = {"a": [str(number) for number in range(30)]}
    assert recall_of(lists, {"a": ["24", "25"]})["recall_at_25_of_all_buyers"] == 0.5


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ("p1,T,A,4.5,0.9\np1,T,A,4.5,0.9\n", "line 3: 'p1' stands there twice"),
        ("p9,T,A,4.5,0.9\n", "line 2: 'p9' is unknown"),
        ("p1,T,A,5.5,0.9\n", "line 2: predicted_rating is 5.5 and not 1 to 5"),
        ("p1,T,A,4.5,2\n", "line 2: similarity is 2 and not -1 to 1"),
        ("p1,T,A,4.5\n", "line 2: not 5 fields"),
        ("p1,T,A,,\np2,T,A,1,-1\np3,T,A,1,1\n", "line 4: 3 products and not 1 to 2"),
        ("", "line 1: 0 products"),
    ],
)
def test_an_answer_for_titles_is_refused_by_line_and_reason(tmp_path: Path, rows: str, why: str) -> None:
    path = tmp_path / "answer.csv"
    path.write_text(f"bookId,title,author,predicted_rating,similarity\n{rows}")
    with pytest.raises(InputError, match="is refused") as refused:
        check_answers(path, ["p1", "p2", "p3"], (1, 5), 2)
    line, _, what = why.partition(": ")
    assert refused.value.where.endswith(f"answer.csv, {line}")
    assert what in refused.value.what
    path.write_text("bookId,title,author,predicted_rating,similarity\np1,T,A,,\np2,T,A,1,-1\n")
    assert check_answers(path, ["p1", "p2"], (1, 5), 2) == 2
