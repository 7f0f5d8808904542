"""Raw JSON files are cut into records, and broken ones are found by their line."""

import gzip
import io
import json
import pickle
import tarfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rec_sys.contracts import InputError
from rec_sys.raw_files import records as records_module
from rec_sys.raw_files.json_objects import BROKEN, NO_OBJECT, NOT_UTF8, WRONG_SHAPE, parse_objects
from rec_sys.raw_files.records import read_records

_SCHEMA: dict[str, pl.DataType] = {"a": pl.String(), "n": pl.String()}


def _lines_and_values(path: Path) -> list[tuple[int, object]]:
    return [(record.line, json.loads(record.raw)) for batch in read_records(path) for record in batch.records]


@pytest.mark.parametrize("name", ["x.json", "x.jsonl", "x.json.gz", "x"])
@pytest.mark.parametrize("packed", [False, True])
def test_the_content_tells_gzip_not_the_name(tmp_path: Path, name: str, packed: bool) -> None:
    path = tmp_path / name
    content = b'{"a": 1}\n{"a": 2}\n'
    path.write_bytes(gzip.compress(content) if packed else content)
    assert _lines_and_values(path) == [(1, {"a": 1}), (2, {"a": 2})]


def test_blank_lines_a_byte_order_mark_and_a_missing_last_newline_are_no_errors(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\r\n   \n{"a": 2}')
    assert _lines_and_values(path) == [(1, {"a": 1}), (4, {"a": 2})]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("packed", [False, True])
def test_a_json_array_is_read_object_by_object(tmp_path: Path, indent: int | None, packed: bool) -> None:
    values = [{"a": f"x{number}", "deep": {"list": [1, "]}"]}} for number in range(20)]
    text = "\n " + json.dumps(values, indent=indent)
    path = tmp_path / "x.json"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    found = _lines_and_values(path)
    assert [value for _, value in found] == values
    first = 3 if indent else 2
    assert found[0][0] == first
    assert found[1][0] == first + (9 if indent else 0)


def test_an_array_is_read_across_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records_module, "_CHUNK", 7)
    path = tmp_path / "x.json"
    path.write_text('[{"a": "long enough to need several chunks"},\n{"a": 2}]')
    assert _lines_and_values(path) == [(1, {"a": "long enough to need several chunks"}), (2, {"a": 2})]


@pytest.mark.parametrize(("text", "line"), [('[{"a": 1},\n{"a": 2}', 2), ('[{"a": 1},\n\n{"a": }]', 3)])
def test_a_broken_array_is_refused_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(InputError, match="array is broken") as caught:
        list(read_records(path))
    assert caught.value.where == f"{path}, line {line}"


def test_what_follows_an_array_is_not_dropped_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('[{"a": 1}]\n[{"a": 2}]\n')
    with pytest.raises(InputError, match="something follows the JSON array"):
        list(read_records(path))


def test_batches_are_bounded_and_count_rows_from_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records_module, "BATCH_ROWS", 4)
    path = tmp_path / "x.json"
    path.write_text("".join(f'{{"a": {number}}}\n' for number in range(10)))
    batches = list(read_records(path))
    assert [batch.first_row for batch in batches] == [0, 4, 8]
    assert [len(batch.records) for batch in batches] == [4, 4, 2]


def test_a_truncated_gzip_is_refused_with_the_line_it_breaks_off_in(tmp_path: Path) -> None:
    lines = [json.dumps({"a": f"{number * 7919 % 10_007} some text {number}"}) for number in range(20_000)]
    packed = gzip.compress("\n".join(lines).encode())
    path = tmp_path / "x.json.gz"
    path.write_bytes(packed[: len(packed) // 2])
    read: list[int] = []
    with pytest.raises(InputError, match="breaks off") as caught:
        for batch in read_records(path):
            read += [record.line for record in batch.records]
    line = int(caught.value.where.rpartition(" ")[2])
    assert 1 < line < 20_000
    assert path.name in caught.value.where


def test_a_gzip_damaged_in_the_middle_is_refused(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress("\n".join(json.dumps({"a": n * 7919}) for n in range(20_000)).encode()))
    packed[len(packed) // 2] ^= 0xFF
    path = tmp_path / "x.json.gz"
    path.write_bytes(packed)
    with pytest.raises(InputError, match="breaks off"):
        list(read_records(path))


@pytest.mark.parametrize("content", [b"", b"\n \n", b"[]", gzip.compress(b"", mtime=0)])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    said = "the JSON array is empty" if content == b"[]" else "the file is empty"
    with pytest.raises(InputError, match=said) as caught:
        list(read_records(path))
    assert caught.value.where == str(path)


def _tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("reviews.json"), io.BytesIO())
    return file.getvalue()


FOREIGN = {
    "zip": b"PK\x03\x04zip",
    "Parquet": b"PAR1abcd",
    "an old Excel workbook": b"\xd0\xcf\x11\xe0\xa1\xb1",
    "an SQLite database": b"SQLite format 3\x00",
    "a Python pickle": pickle.dumps({"user": "u1"}),
    "a web page": gzip.compress(b"<!DOCTYPE html><html>"),
    "a tar archive": _tar(),
}


# Named by the words: packed bytes hold the time, and every worker packs its own.
@pytest.mark.parametrize("said", FOREIGN)
def test_another_format_is_called_by_its_name(tmp_path: Path, said: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(FOREIGN[said])
    with pytest.raises(InputError, match=said):
        list(read_records(path))


def test_a_missing_file_and_a_folder_are_refused_with_what_is_near(tmp_path: Path) -> None:
    (tmp_path / "reviews.json.gz").write_bytes(b"x")
    with pytest.raises(InputError, match="does not exist") as caught:
        list(read_records(tmp_path / "reviews.json"))
    assert str(tmp_path / "reviews.json.gz") in caught.value.remedy
    with pytest.raises(InputError, match="this is a folder") as caught:
        list(read_records(tmp_path))
    assert "reviews.json.gz" in caught.value.remedy


def test_a_record_without_an_end_is_refused_before_memory_runs_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records_module, "LONGEST_RECORD", 1 << 20)
    path = tmp_path / "x.json"
    path.write_bytes(b'{"a": 1}\n' + b"x" * (3 << 20))
    with pytest.raises(InputError, match="longer than 1 MB") as caught:
        list(read_records(path))
    assert caught.value.where.endswith("line 2")


def test_broken_records_are_told_apart_and_the_others_survive() -> None:
    found = parse_objects(
        [b'{"a": "x", "n": 5.0}', b'{"a": "y"', b"[1, 2]", b'{"a": "z"} tail', b"null", b"", b'{"a": 7, "n": true}'],
        _SCHEMA,
    )
    assert found.frame.rows() == [("x", "5"), ("7", "true")]
    assert found.positions == [0, 6]
    assert found.broken == {1: BROKEN, 2: NO_OBJECT, 3: BROKEN, 4: NO_OBJECT, 5: BROKEN}


def test_numbers_that_only_python_writes_are_null_or_unusable_but_not_broken() -> None:
    found = parse_objects([b'{"a": "x", "n": NaN}', b'{"a": "y", "n": 1}'], _SCHEMA)
    assert found.frame["a"].to_list() == ["x", "y"]
    assert found.broken == {}


def test_a_field_of_another_type_sets_only_its_record_aside() -> None:
    schema: dict[str, pl.DataType] = {"items": pl.List(pl.String())}
    found = parse_objects([b'{"items": [1]}', b'{"items": "two"}', b'{"items": ["3"]}'], schema)
    assert found.frame["items"].to_list() == [["1"], ["3"]]
    assert (found.positions, found.broken) == ([0, 2], {1: WRONG_SHAPE})


def test_python_literals_are_read_and_nothing_is_run() -> None:
    records = [
        b"{'a': 'it\\'s', 'n': 3}",
        b"{'a': __import__('os')}",
        b'{"a": "json", "n": null}',
        b"{'a': nan, 'n': 1}",
    ]
    found = parse_objects(records, _SCHEMA)
    assert found.frame.rows() == [("it's", "3"), ("json", None), (None, "1")]
    assert found.broken == {1: BROKEN}


def test_a_record_of_another_encoding_is_named_so() -> None:
    assert parse_objects(['{"a": "café"}'.encode("latin-1"), b'{"a": 1}'], _SCHEMA).broken == {0: NOT_UTF8}


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252"])
@pytest.mark.parametrize("array", [False, True])
def test_records_of_another_encoding_are_read_where_it_is_known(tmp_path: Path, encoding: str, array: bool) -> None:
    values = [{"a": "Très bonne"}, {"a": "guitare à Noël"}]
    dumped = [json.dumps(value, ensure_ascii=False) for value in values]
    path = tmp_path / "x.json"
    path.write_bytes((f"[{','.join(dumped)}]" if array else "\n".join(dumped)).encode(encoding))
    given = "auto" if encoding == "utf-16" else encoding
    records = [record for batch in read_records(path, given) for record in batch.records]
    assert [json.loads(record.raw) for record in records] == values


def test_an_array_of_another_encoding_is_refused_with_the_likely_one(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes('[{"a": "Très bonne guitare à Noël"}]'.encode("cp1252"))
    with pytest.raises(InputError, match="not UTF-8") as caught:
        list(read_records(path))
    assert "data.encoding=cp1252" in caught.value.remedy


_VALUES = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)


@settings(max_examples=100, deadline=None)
@given(st.lists(_VALUES | st.sampled_from([b"{", b"[]", b'{"a": }']), max_size=30))
def test_every_record_is_either_parsed_or_named(values: list[str | bytes]) -> None:
    records = [value if isinstance(value, bytes) else json.dumps({"a": value}).encode() for value in values]
    found = parse_objects(records, _SCHEMA)
    assert found.frame["a"].to_list() == [value for value in values if isinstance(value, str)]
    assert sorted([*found.positions, *found.broken]) == list(range(len(values)))
