"""Raw files that were made to fill the memory or the day are refused while they are read, however they are packed."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest
from backports import zstd

from rec_sys.contracts import InputError
from rec_sys.raw_files import content
from rec_sys.raw_files.content import open_raw
from rec_sys.raw_files.records import read_records
from rec_sys.raw_files.table_rows import read_table_rows
from rec_sys.raw_files.tables import Table

MB = 1 << 20
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstd.compress,
}


def read_all(path: Path) -> int:
    with open_raw(path) as stream:
        return sum(len(chunk) for chunk in iter(lambda: stream.read1(MB), b""))


@pytest.mark.parametrize("blank", [b"\n", b" ", b"\r\n", b"\t"])
@pytest.mark.parametrize("packing", ["gz", "zst", ""])
def test_blank_lines_without_end_are_refused(packing: str, blank: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"lines.{packing}"
    text = b'{"asin": "p"}\n' + blank * (2 * MB)
    path.write_bytes(PACK[packing](text) if packing else text)
    with pytest.raises(InputError, match="1 MB of blank lines") as refused:
        read_all(path)
    assert str(path) in refused.value.where
    with pytest.raises(InputError, match="1 MB of blank lines"):
        list(read_records(path))


@pytest.mark.parametrize("packing", PACK)
def test_a_file_that_unpacks_to_hundreds_of_times_its_size_is_refused(
    packing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "_ALWAYS_UNPACKED", MB)
    path = tmp_path / f"bomb.{packing}"
    path.write_bytes(PACK[packing](b'{"asin": "p"}\n' * (MB // 2)))
    with pytest.raises(InputError, match="more than 200 times its size"):
        read_all(path)


def test_what_is_packed_well_but_small_is_read(tmp_path: Path) -> None:
    path = tmp_path / "small.gz"
    text = b'{"asin": "p"}\n' * MB
    path.write_bytes(gzip.compress(text))
    assert len(text) > 200 * path.stat().st_size
    assert read_all(path) == len(text)


@pytest.mark.parametrize("text", [b"a" * (40 * MB), b"a,b\n1,2\n" + b"3" * (40 * MB), b'a,b\n1,"' + b"3" * (40 * MB)])
def test_a_line_without_end_is_no_row(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_bytes(text)
    with pytest.raises(InputError, match="a line is longer than 16 MB"):
        list(read_table_rows(Table(path, {"asin": "a"}, "columns")))


def test_a_long_field_is_read(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_bytes(b"a,b\n1,2\n" + b"3" * (2 * MB) + b",4\n")
    [batch] = read_table_rows(Table(path, {"asin": "a"}, "columns"))
    assert batch.frame["asin"].str.len_bytes().to_list() == [1, 2 * MB]
