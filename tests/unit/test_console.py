"""What a table looks like where it is printed."""

import ast
import json
from pathlib import Path

import pytest
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from rec_sys.console import error_console, print_table, say, say_error, text_column
from rec_sys.shown_text import escape_controls

ROOT = Path(__file__).parents[2]
# A colour, a title of the window, C1's CSI, DEL, a text turned around, half a character, and lines that are no lines.
CONTROLS = "\x1b[31m\x1b]0;mine\x07\x9b2J\x7f\u202eevil\u2066\ud800\r\u2028"
ESCAPED = r"\u001b[31m\u001b]0;mine\u0007\u009b2J\u007f\u202eevil\u2066\ud800\u000d\u2028"
OTHERS = ("nice rosin[/b], thanks", "[updated] [bold red]loud", "a :smile: and [link=x]")


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


def test_no_text_of_others_is_markup(capfd: pytest.CaptureFixture[str]) -> None:
    for text in OTHERS:
        table = Table(text, title=text)
        table.add_row(text)
        print_table(table)
        error_console().print(text)
        with Progress(text_column("{task.description}"), console=error_console()) as progress:
            progress.add_task(text)
        out, errors = capfd.readouterr()
        assert out.count(text) == 3
        assert errors.count(text) >= 2


def test_no_text_of_others_steers_the_terminal(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich's own escape characters are its way to draw
    table = Table(CONTROLS, title=CONTROLS)
    table.add_row(CONTROLS, Text(CONTROLS))
    print_table(table)
    say(CONTROLS)
    say_error(CONTROLS)
    error_console().print(CONTROLS)
    with Progress(text_column("{task.description}"), console=error_console()) as progress:
        progress.add_task(CONTROLS)
    out, errors = capfd.readouterr()
    assert out.count(ESCAPED) == 4  # a Text of rich has lost its bell by itself
    assert errors.count(ESCAPED) >= 2
    for harm in ("\x1b[31m", "\x1b]", "\x07", "\x9b", "\x7f", "\u202e", "\u2066", "\u2028"):
        assert harm not in out + errors


def test_an_escaped_json_keeps_its_meaning() -> None:
    value = {"text": CONTROLS + "\n\t ünïcode 🎸"}
    text = json.dumps(value, ensure_ascii=False)
    assert json.loads(escape_controls(text)) == value
    assert escape_controls("a\tb\nc ünïcode 🎸") == "a\tb\nc ünïcode 🎸"


def test_consoles_and_columns_are_made_in_one_place_alone() -> None:
    """rich reads markup wherever it is not told otherwise."""
    readers_of_markup = {"Console", "TextColumn", "print_json", "get_console", "Prompt", "from_markup"}
    for folder in ("rec_sys", "triton_utils"):
        for path in (ROOT / folder).rglob("*.py"):
            if path == ROOT / "rec_sys" / "console.py":
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                    called = ast.unparse(node.func)
                    printed = called in ("print", "sys.stdout.write", "sys.stderr.write", "traceback.print_exception")
                    assert not printed, f"{path}: {called} escapes nothing; use say of rec_sys.console"
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rich"):
                    found = readers_of_markup & {alias.name for alias in node.names}
                    assert not found, f"{path}: {found} of rich reads markup; use rec_sys.console"
                    assert node.module != "rich", f"{path}: rich.print reads markup; use rec_sys.console"
                if isinstance(node, ast.Import):
                    assert not any(alias.name.split(".")[0] == "rich" for alias in node.names), path
