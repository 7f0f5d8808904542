"""Tables of every shape become rows; no line of a CSV is lost or bent in silence."""

import bz2
import gzip
import lzma
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from rec_sys.contracts import InputError
from rec_sys.raw_files import csv_rows
from rec_sys.raw_files.missing import null_missing
from rec_sys.raw_files.table_layout import TableFormat
from rec_sys.raw_files.table_rows import TableBatch, read_table_rows
from rec_sys.raw_files.tables import Table, check_columns, list_text_columns
from rec_sys.raw_files.values import read_values

NAMES = ("user", "item", "stars", "when", "words")
ROWS = [("u1", "p1", "4", "1400000000", "loud"), ("u2", "p2", "5", "1400000001", "soft")]


def table(path: Path, *columns: str, **form: Any) -> Table:
    named = columns or NAMES
    return Table(path, dict(zip(NAMES, named, strict=False)), "data.columns", form=TableFormat(**form))


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def joined(separator: str, *rows: tuple[str, ...], ending: str = "\n") -> str:
    return "".join(separator.join(row) + ending for row in rows)


def read(asked: Table) -> tuple[list[tuple[str | None, ...]], list[TableBatch]]:
    batches = list(read_table_rows(asked))
    return [row for batch in batches for row in batch.frame.rows()], batches


def lines_told(batches: list[TableBatch]) -> dict[str, int]:
    told: dict[str, int] = {}
    for batch in batches:
        for what, number in batch.counts(0).items():
            told[what] = told.get(what, 0) + number
    return {what: number for what, number in told.items() if number}


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(csv_rows, "BATCH_ROWS", 3)
    return


# ---- separators and headers ----


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", "::"])
def test_the_separator_is_found(tmp_path: Path, separator: str) -> None:
    rows, batches = read(table(written(tmp_path / "x.csv", joined(separator, NAMES, *ROWS))))
    assert rows == ROWS
    assert f"separator {'tab' if separator == chr(9) else separator}," in batches[0].found["table"]


@pytest.mark.parametrize("separator", ["^", "||", " ~ "])
def test_any_other_separator_is_set(tmp_path: Path, separator: str) -> None:
    path = written(tmp_path / "x.csv", joined(separator, NAMES, *ROWS))
    assert read(table(path, separator=separator))[0] == ROWS


def test_a_separator_of_two_characters_stays_a_text_where_it_is_quoted(tmp_path: Path) -> None:
    row = ("u1", "p1", "4", "1", '"std::move"')
    assert read(table(written(tmp_path / "x.csv", joined("::", NAMES, row))))[0] == [(*row[:4], "std::move")]


@pytest.mark.parametrize(
    ("before", "told"),
    [
        ("sep=;\n", {"lines before the header": 1}),
        ('"sep=;"\r\n', {"lines before the header": 1}),
        ("\n\n", {"blank lines": 2}),
        ("# exported; today\n#\n", {"lines before the header": 2}),
        ("Report of May\n\nby; the; shop\n", {"lines before the header": 2, "blank lines": 1}),
    ],
)
def test_lines_before_the_header_are_skipped_and_counted(tmp_path: Path, before: str, told: dict[str, int]) -> None:
    rows, batches = read(table(written(tmp_path / "x.csv", before + joined(";", NAMES, *ROWS))))
    assert rows == ROWS
    assert lines_told(batches) == {"lines of the header": 1, "lines of rows": 2} | told
    assert batches[0].lines == range(2 + before.count("\n"), 4 + before.count("\n"))


def test_a_header_may_stand_in_a_comment(tmp_path: Path) -> None:
    assert read(table(written(tmp_path / "x.tsv", "# " + joined("\t", NAMES, *ROWS))))[0] == ROWS


def test_without_a_header_columns_are_numbers(tmp_path: Path) -> None:
    path = written(tmp_path / "ratings.dat", joined("::", *ROWS))
    rows, batches = read(table(path, "1", "2", "3", "4", "5", header=False))
    assert rows == ROWS
    assert lines_told(batches) == {"lines of rows": 2}
    with pytest.raises(InputError, match=r"no column '6'") as caught:
        read(table(path, "1", "6", header=False))
    assert "1, 2, 3, 4, 5" in caught.value.remedy


def test_comment_lines_are_skipped_where_they_are_set(tmp_path: Path) -> None:
    text = joined(",", NAMES, ROWS[0]) + '# removed, "by hand\n' + joined(",", ROWS[1]) + 'u3,p3,3,1,"a\n# b"\n'
    rows, batches = read(table(written(tmp_path / "x.csv", text), comment="#"))
    assert rows == [*ROWS, ("u3", "p3", "3", "1", "a\n# b")]
    expected = {"lines of the header": 1, "lines of rows": 3, "comment lines": 1, "lines within a text": 1}
    assert lines_told(batches) == expected


def test_an_index_without_a_name_does_not_disturb(tmp_path: Path) -> None:
    numbered = [(str(number), *row) for number, row in enumerate(ROWS)]
    # pandas leaves the name empty, R leaves it out.
    for header in (("", *NAMES), NAMES):
        assert read(table(written(tmp_path / "x.csv", joined(",", header, *numbered))))[0] == ROWS


def test_a_separator_at_the_end_of_each_row_is_no_column(tmp_path: Path) -> None:
    assert read(table(written(tmp_path / "x.csv", joined(",", NAMES, *((*row, "") for row in ROWS)))))[0] == ROWS


def test_all_wrong_columns_of_all_tables_are_told_at_once_with_the_ready_settings(tmp_path: Path) -> None:
    reviews = written(tmp_path / "reviews.csv", "customer,product no,star,text\nu,p,4,x\n")
    products = written(tmp_path / "products.csv", "sku,titel\np,x\n")
    columns = {"user_id": "customers", "asin": "product_no", "text": "text", "rating": "weight in g"}
    with pytest.raises(InputError, match="there are no columns") as caught:
        check_columns(
            Table(reviews, columns, "data.columns"),
            Table(products, {"asin": "sku", "title": "title"}, "data.product_columns"),
        )
    ready = "data.columns.user_id=customer 'data.columns.asin=product no' data.product_columns.title=titel;"
    assert f"did you mean: {ready}" in caught.value.remedy
    for said in ("'customers' (data.columns.user_id)", "'weight in g' (data.columns.rating)", "'title' (data.product"):
        assert said in caught.value.what
    assert "columns of products.csv: sku, titel" in caught.value.remedy


def test_no_column_is_proposed_twice(tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", '"User-ID";"ISBN";"Book-Rating"\n1;2;3\n')
    columns = {"user_id": "user_id", "asin": "asin", "rating": "rating", "text": "ISBN"}
    with pytest.raises(InputError) as caught:
        check_columns(Table(path, columns, "data.columns"))
    assert "did you mean: data.columns.user_id=User-ID data.columns.rating=Book-Rating;" in caught.value.remedy


def test_a_name_that_stands_twice_is_no_choice(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="several columns are called 'item'"):
        read(table(written(tmp_path / "x.csv", "user,item,item\nu,p,q\n"), "user", "item"))


def test_a_wrong_separator_is_suspected_where_it_leaves_one_column(tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", joined(",", NAMES, *ROWS))
    with pytest.raises(InputError) as caught:
        read(table(path, separator=";"))
    assert "mend data.separator" in caught.value.remedy


# ---- quotes ----


def test_one_opening_quote_swallows_nothing(tmp_path: Path) -> None:
    rows = [("u1", "p1", "4", str(1_400_000_000 + number), f"text {number}") for number in range(300)]
    rows[60] = (*rows[60][:4], '"7 inch holder, too small')
    path = written(tmp_path / "x.tsv", joined("\t", NAMES, *rows))
    found, batches = read(table(path))
    assert found == rows
    assert "quoting none" in batches[0].found["table"]
    with pytest.raises(InputError, match="never closed") as caught:
        read(table(path, quoting="standard"))
    assert caught.value.where == f"{path}, line 62"
    assert "data.quoting=none" in caught.value.remedy


def test_two_opening_quotes_do_not_close_each_other(tmp_path: Path) -> None:
    rows = [("u1", "p1", "4", str(number), f"text {number}") for number in range(100)]
    rows[10] = (*rows[10][:4], '"great')
    rows[20] = (*rows[20][:4], 'they said "great"')
    rows[30] = (*rows[30][:4], '"so" and "so"')
    found, _ = read(table(written(tmp_path / "x.tsv", joined("\t", NAMES, *rows))))
    assert found == rows


def far_down(line: str, *after: str) -> str:
    """A table whose head of 10,000 lines holds no odd quote."""
    rows = [("u1", "p1", "4", str(number), f"text {number}") for number in range(10_500)]
    return joined(",", NAMES, *rows) + line + "".join(f"{row}\n" for row in after)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (far_down('u2,p2,4,1,"open\n'), "never closed"),
        (far_down('u2,p2,4,1,"open\n', *(f"more {number}" for number in range(1_100)), '"'), "longer than 1,000 lines"),
        (far_down('u2,p2,4,1,"open\n', "u3,p3,4,2,x", "u4,p4,4,3,so they said", 'u5,p5,4,3,"'), "swallows the 3 rows"),
    ],
)
def test_what_a_quote_swallows_behind_the_head_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path / "x.csv", text)
    with pytest.raises(InputError, match=said) as caught:
        read(table(path))
    assert caught.value.where == f"{path}, line 10502"
    assert "data.quoting=none" in caught.value.remedy


def test_a_quote_that_another_row_closes_sets_its_own_row_aside_alone(tmp_path: Path) -> None:
    text = far_down('u2,p2,4,1,"open\n', "u3,p3,4,2,fine", 'u4,p4,4,3,"also" open', 'u5,p5,4,3,"fine, too"')
    rows, batches = read(table(written(tmp_path / "x.csv", text)))
    assert rows[-3:] == [
        ("u3", "p3", "4", "2", "fine"),
        ("u4", "p4", "4", "3", "also open"),
        ("u5", "p5", "4", "3", "fine, too"),
    ]
    (bad,) = [bad for batch in batches for bad in batch.ragged]
    assert (bad.line, bad.raw) == (10_502, "u2,p2,4,1,open\n")
    assert lines_told(batches) == {
        "lines of the header": 1,
        "lines of rows": 10_503,
        "lines of rows set aside": 1,
    }


def test_quotes_of_a_tool_that_quotes_everything_are_taken_off(tmp_path: Path) -> None:
    quoted = [tuple(f'"{value}"' for value in row) for row in (NAMES, *ROWS)]
    quoted[2] = (*quoted[2][:4], '"so "soft" it is"')
    found, batches = read(table(written(tmp_path / "x.csv", joined(";", *quoted))))
    assert [row[:4] for row in found] == [row[:4] for row in ROWS]
    assert "quoting standard" in batches[0].found["table"]


CELLS = st.text(alphabet=st.sampled_from('ab1,;"\n\r\t# '), max_size=6)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=12), st.sampled_from([2, 5, 50]))
def test_what_csv_writes_is_read_back_and_every_line_is_told(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], batch: int
) -> None:
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    # Letters in front keep blank lines and lone "sep=" lines out, which are no rows.
    filled = [tuple(f"x{value}x" for value in row) for row in rows]
    pl.DataFrame(filled, schema=list(NAMES[:3]), orient="row").write_csv(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_rows, "BATCH_ROWS", batch)
        found, batches = read(table(path, *NAMES[:3], quoting="standard"))
    assert found == filled
    with path.open(newline="") as file:
        assert sum(lines_told(batches).values()) == sum(1 for _ in file)


@pytest.mark.usefixtures("small_batches")
def test_every_line_is_told_across_batches(tmp_path: Path) -> None:
    text = joined(",", NAMES, ROWS[0]) + '\n   \nu3,p3,4,1,"a\nb\nc\nd"\n\nu4,p4\n' + joined(",", ROWS[1])
    rows, batches = read(table(written(tmp_path / "x.csv", text)))
    assert [row[0] for row in rows] == ["u1", "u3", "u2"]
    told = lines_told(batches)
    assert told.pop("lines of rows set aside") == 1
    assert told == {"lines of the header": 1, "lines of rows": 3, "blank lines": 3, "lines within a text": 3}
    assert [line for batch in batches for line in batch.lines] == [2, 5, 11]


# ---- packing and encoding ----


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstd.compress])
def test_every_usual_packing_is_unpacked_and_a_broken_one_refused(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "x"
    packed = pack(joined(",", NAMES, *ROWS * 20_000).encode())
    path.write_bytes(packed)
    assert len(read(table(path))[0]) == 40_000
    path.write_bytes(packed[: len(packed) * 2 // 3])
    with pytest.raises(InputError, match="breaks off"):
        read(table(path))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_tells_the_encoding(tmp_path: Path, encoding: str) -> None:
    row = ("ü1", "p1", "4", "1", "Très bien 🎸")
    rows, batches = read(table(written(tmp_path / "x.csv", joined(";", NAMES, row), encoding)))
    assert rows == [row]
    assert batches[0].found["table"].startswith(encoding.removesuffix("-sig"))


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("cp1252", "Très bonne guitare, le café est là"),
        ("cp1250", "Świetna gitara, polecam każdemu, żółty"),
        ("cp1251", "Очень хорошая гитара, звук отличный"),
        ("cp932", "とても良い音です"),
    ],
)
def test_another_encoding_is_proposed_with_a_sample_and_read_where_it_is_set(
    tmp_path: Path, encoding: str, words: str
) -> None:
    row = ("u1", "p1", "4", "1", words)
    path = written(tmp_path / "x.tsv", joined("\t", NAMES, ROWS[0], row), encoding)
    with pytest.raises(InputError, match="not UTF-8") as caught:
        read(table(path))
    assert caught.value.where == f"{path}, line 3"
    assert f"data.encoding={encoding}" in caught.value.remedy
    assert words[3:12] in caught.value.remedy
    assert read(table(path, encoding=encoding))[0] == [ROWS[0], row]


def test_bytes_far_down_that_are_not_utf8_are_refused_too(tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", far_down("u2,p2,4,1,café\n"), "latin-1")
    with pytest.raises(InputError, match="not UTF-8") as caught:
        read(table(path))
    assert caught.value.where == f"{path}, line 10502"
    assert "data.encoding=cp1252" in caught.value.remedy


def test_bytes_that_are_not_of_the_encoding_set_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(joined(",", NAMES, ROWS[0]).encode() + b"u2,p2,4,1,\x81\x8d\n")
    with pytest.raises(InputError, match="not cp1252"):
        read(table(path, encoding="cp1252"))


def test_utf16_without_its_mark_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", joined(",", NAMES, *ROWS), "utf-16-le")
    with pytest.raises(InputError, match="UTF-16") as caught:
        read(table(path))
    assert "data.encoding=utf-16-le" in caught.value.remedy
    assert read(table(path, encoding="utf-16-le"))[0] == ROWS


# ---- types of Parquet ----

PICTURE = b"\xff\xd8\xff"
TYPED = pl.DataFrame(
    {
        "user": [b"u1", b"u2"],  # bytes that are texts, as Impala writes them
        "picture": [PICTURE, None],
        "pictures": [[PICTURE], []],
        "parts": [{"picture": PICTURE}, None],
        "spent": [timedelta(1), None],
        "paths": [[["Music", "Ukes"], ["Gifts"]], None],
        "far": [1e20, 3.0],
    }
)


def test_columns_of_parquet_that_hold_no_text_do_not_disturb(tmp_path: Path) -> None:
    TYPED.write_parquet(tmp_path / "x.parquet")
    asked = Table(tmp_path / "x.parquet", {"user": "user", "paths": "paths", "far": "far"}, "data.columns")
    assert list_text_columns(asked) == ["user", "paths", "far"]
    assert read(asked)[0] == [("u1", '[["Music","Ukes"],["Gifts"]]', "1e+20"), ("u2", None, "3")]
    assert read_values(asked.path, ["user"])[1] == {"user": "u2", "far": "3"}


@pytest.mark.parametrize("column", ["picture", "pictures", "parts", "spent"])
def test_a_column_of_parquet_that_is_read_and_holds_no_text_is_named_with_its_type(tmp_path: Path, column: str) -> None:
    TYPED.write_parquet(tmp_path / "x.parquet")
    with pytest.raises(InputError, match=rf"the column '{column}' is {re.escape(str(TYPED.schema[column]))}") as caught:
        read(Table(tmp_path / "x.parquet", {"user": "user", "words": column}, "data.columns"))
    assert "data.columns.words" in caught.value.where


# ---- missing values ----


def test_a_sentence_for_missing_is_read_in_any_case_and_a_word_as_it_is_spelled() -> None:
    said = ["This user doesn't have any rating", "this user doesn\u2019t have ANY rating ", "None", "none", "it was ok"]
    frame, counts = null_missing(pl.DataFrame({"rating": said}), ("None", "This user doesn't have any rating"))
    assert frame["rating"].to_list() == [None, None, None, "none", "it was ok"]
    assert counts == {"rating": 3}


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_words_for_missing_are_null_and_counted(tmp_path: Path, kind: str) -> None:
    words = ["nan", "NaN", "None", "NULL", "null", "\\N", "NaT", "<NA>", "N/A"]
    users = ["u1", "Nan", "nanny", "", *words]
    frame = pl.DataFrame({"user": users, "item": ["p"] * len(users), "words": [f" {user} " for user in users]})
    path = tmp_path / "x"
    if kind == "csv":
        frame.write_csv(path)
    else:
        frame.write_parquet(path)
    asked = Table(path, {"user": "user", "item": "item", "words": "words"}, "data.columns")
    rows, batches = read(asked)
    assert [user for user, _, _ in rows] == ["u1", "Nan", "nanny", *[None] * 10]
    assert [text for _, _, text in rows] == [" u1 ", " Nan ", " nanny ", *[None] * 10]
    assert batches[0].missing_words == {"user": 9, "words": 9}
    assert batches[0].raw["user"][4] == "nan"
    other = Table(path, asked.columns, "data.columns", missing_values=("u1",))
    assert [user for user, _, _ in read(other)[0]] == [None, "Nan", "nanny", None, *words]
