"""A command that is printed can be copied: a shell and Hydra read back what was meant, from any folder."""

import shlex
import string
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given
from hypothesis import strategies as st

from rec_sys import ready_command
from rec_sys.ready_command import argument, command_to_copy, is_sayable, path_to_copy

ROOT = Path(__file__).resolve().parents[2]
KEYS = st.text(string.ascii_letters + string.digits + "_ -öß'\"", min_size=1).filter(lambda key: is_sayable({key: 1}))


def read_back(text: str) -> object:
    (word,) = shlex.split(text)
    return OverridesParser.create().parse_override(word).value()


@given(st.text() | st.text(string.ascii_lowercase + "=-, []ü'\"01./", min_size=1))
@example("null")
@example("True")
@example("nan")
@example("007")
@example("1_000")
@example("1e5")
@example("-dash.csv")
@example(".5")
@example("Größe (cm), [neu]='ja'.csv")
def test_a_text_is_read_back_as_that_text(text: str) -> None:
    found = read_back(argument("data.columns.asin", text))
    assert found == (int(text) if text.isascii() and text.isdigit() and text[0] != "0" and len(text) < 19 else text)


@given(st.dictionaries(KEYS, st.lists(st.integers() | st.text(string.ascii_letters + " ü,:"))))
def test_a_mapping_is_read_back(mapping: dict[str, object]) -> None:
    found = read_back(argument("data.rating_words", mapping))
    assert isinstance(found, dict)
    assert {str(name): value for name, value in found.items()} == {
        str(int(name)) if name.isdigit() else name: value for name, value in mapping.items()
    }


def test_the_command_runs_in_the_folder_where_it_is_printed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert read_back(argument("data.reviews_path", Path("2015"))) == "2015"
    monkeypatch.chdir(ROOT)
    assert command_to_copy("rec_sys.train.train data=table") == "uv run -m rec_sys.train.train data=table"
    assert path_to_copy(Path("a.csv")) == Path("a.csv")
    monkeypatch.chdir(tmp_path)
    assert command_to_copy("rec_sys.train.train") == f"uv run --project {shlex.quote(str(ROOT))} -m rec_sys.train.train"
    assert path_to_copy(Path("a.csv")) == tmp_path / "a.csv"
    monkeypatch.setattr(ready_command, "_IS_CHECKOUT", False)
    assert command_to_copy("rec_sys.train.train data=table") == "rec-sys train data=table"
    assert command_to_copy("rec_sys.train.train") == "rec-sys train"
