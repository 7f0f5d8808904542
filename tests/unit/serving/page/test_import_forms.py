"""What is said of an offered file stays said: a look that fails throws nothing away, and what is open is found."""

import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from rec_sys.offered_file import Fault, FileAnswer, FileColumn, FileRequest
from rec_sys.serving.page.import_rows import RowWriter
from rec_sys.serving.page.imports import Import, Imports
from rec_sys.serving.page.uploads import UPLOADS
from tests.unit.serving.conftest import Start

NAMES = ("who", "what", "stars", "when")
COLUMNS = tuple(FileColumn(name=name, values=("1",)) for name in NAMES)
FAULT = Fault(what="the dates may be day or month first", where="r.csv", remedy="say data.timestamp_format")
FAULTY = FileAnswer(fault=FAULT, columns=COLUMNS, encoding="cp1252")
ROLES: dict[str, str | None] = {"user_id": "who", "asin": "what", "rating": "stars", "timestamp": "when"}
GOOD = FileAnswer(columns=COLUMNS, roles=ROLES | {"title": None, "text": None}, rating_scale=(0, 10), num_rows=3)

Look = Callable[..., str]


@pytest.fixture
def asked() -> list[FileRequest]:
    return []


@pytest.fixture
def look(start: Start, asked: list[FileRequest], monkeypatch: pytest.MonkeyPatch) -> Look:
    """Sends a file of some kind, whose looks find what a test says, or looks at it again with a form; the page then."""
    client, answers, address = start(), list[FileAnswer](), list[str]()

    async def read(self: Imports, one: Import) -> FileAnswer:
        asked.append(one.request)
        return answers[-1]

    async def check(self: RowWriter, *given: Any) -> Counter[str]:
        return Counter()

    monkeypatch.setattr(Imports, "_read", read)
    monkeypatch.setattr(RowWriter, "check", check)

    def send(answer: FileAnswer, **form: str) -> str:
        answers.append(answer)
        if address:
            client.post(address[0], data={"do": "look", **form})
        else:
            sent = client.post(UPLOADS, files={"file": ("r.csv", b"x")}, data=form)
            address.append(sent.url.path)
        return shown_by(client, address[0])

    return send


def shown_by(client: TestClient, address: str) -> str:
    """The page of a file once nothing is under way."""
    for _ in range(500):
        shown = client.get(address).text
        if "data-poll" not in shown:
            return shown
        time.sleep(0.01)
    raise AssertionError("it is still under way")


def form_of(shown: str) -> dict[str, str]:
    """What a browser would send of the page's map as it stands."""
    form = dict(re.findall(r'<input id="(\w+)"[^>]* value="([^"]*)"', shown.partition('id="map"')[2]))
    for name, options in re.findall(r'<select id="(\w+)".*?>(.*?)</select>', shown, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', options)
        form[name] = chosen[1] if chosen else ""
    return form


def test_a_file_that_could_not_be_read_is_corrected_in_one_thing_alone(look: Look, asked: list[FileRequest]) -> None:
    form = form_of(look(FAULTY))
    assert {form[role] for role in ROLES} == {""}  # to be found
    shown = look(GOOD, **form | {"encoding": "latin-1"})
    assert asked[-1].model_dump(exclude={"path"}) == {
        **{"kind": "reviews", "columns": {}, "encoding": "latin-1"},
        **{"rating_scale": None, "time_form": None, "whole": False},
    }
    form = form_of(shown)
    assert {role: form[role] for role in ROLES} == ROLES
    assert (form["text"], "none was found" in shown) == ("", True)


def test_what_was_said_before_a_fault_stays_said(look: Look, asked: list[FileRequest]) -> None:
    look(GOOD)
    said = {"user_id": "what", "asin": "who", "rating": ":none", "timestamp": "when", "title": "", "text": "stars"}
    form = form_of(look(FAULTY, **said, lowest="0", highest="10"))
    assert {role: form[role] for role in said} == said
    look(GOOD, **form | {"time_form": "%d/%m/%Y"})
    assert asked[-1].columns == {"rating": None} | {
        role: said[role] for role in ("user_id", "asin", "timestamp", "text")
    }
    assert (asked[-1].rating_scale, asked[-1].time_form, asked[-1].encoding) == ((0, 10), "%d/%m/%Y", "cp1252")
