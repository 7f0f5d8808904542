"""What a table looks like where it is printed."""

import pytest
from rich.table import Table

from rec_sys.console import print_table


def test_a_table_in_a_file_is_whole_whatever_its_width(capfd: pytest.CaptureFixture[str]) -> None:
    columns = [f"a column with a long name, {number}" for number in range(20)]
    table = Table(*columns)
    table.add_row(*(str(number) * 30 for number in range(20)))
    print_table(table)
    out = capfd.readouterr().out
    assert all(column in out for column in columns)
    assert all(str(number) * 30 in out for number in range(20))
    assert "…" not in out


def test_a_table_in_a_file_is_no_wider_than_it_needs_to_be(capfd: pytest.CaptureFixture[str]) -> None:
    table = Table("a", "b")
    table.add_row("1", "2")
    print_table(table)
    assert max(map(len, capfd.readouterr().out.splitlines())) < 20
