"""A table of users becomes numbers of each, prepared beside the reviews, and of those alone who wrote some."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rec_sys.checksums import CHECKSUMS
from rec_sys.contracts import InputError, PreparedFile
from rec_sys.data.prepare import prepare
from rec_sys.data.readers.users import read_table_users
from rec_sys.data.written import WrittenData
from rec_sys.settings import StoreSettings, TableData
from rec_sys.store.store import Store

REVIEWS = "who,what,when\n0a,p1,1400000000\n0b,p1,1400000001\n0b,p2,1400000002\n0c,p2,1400000003\n"
USERS = (
    "id,years,club,mail,street\n0b,41,GOLD,1.0,x\n0a,,NONE,,x\n0d,70,GOLD,,x\n0b,99,NONE,,x\n,20,,,x\n"
    "0c,inf,SILVER ,old,x\n"
)
MAP = {
    "user_id": "id",
    "facts": {"age": "years", "club": "club", "mail": "mail"},
    "words": {"club": ["NONE", "GOLD"]},
}
COLUMNS = {"user_id": "who", "asin": "what", "timestamp": "when", "rating": None, "text": None}


def settings_of(folder: Path, users: str = USERS, **changes: Any) -> TableData:
    (folder / "reviews.csv").write_text(REVIEWS)
    (folder / "users.csv").write_text(users)
    given = {"reviews_path": "reviews.csv", "users_path": "users.csv", "max_bad_share": 0.5}
    columns = {"columns": COLUMNS, "user_columns": MAP}
    return TableData.model_validate({"name": "toy", "reader": "table", "folder": folder} | given | columns | changes)


def test_numbers_and_words_become_numbers_and_what_is_neither_is_counted(tmp_path: Path) -> None:
    data = settings_of(tmp_path)
    assert data.users_path is not None
    (batch,) = read_table_users(data.users_path, data)
    assert batch.rows.rows() == [
        ("0b", 41.0, 1.0, 1.0),
        ("0a", None, 0.0, None),
        ("0d", 70.0, 1.0, None),
        ("0b", 99.0, 0.0, None),
        ("0c", None, None, None),
    ]
    assert set(batch.rows.dtypes[1:]) == {pl.Float32}
    assert batch.set_aside.select("line", "reason").rows() == [(6, "user id is missing")]
    unread = {name: number for name, number in batch.counts.items() if "cannot be read" in name}
    assert unread == {f"values of {name} that cannot be read": 1 for name in MAP["facts"]}
    assert batch.found["columns that nothing reads"] == "street"


def test_of_those_who_wrote_the_first_row_is_prepared(tmp_path: Path) -> None:
    dataset = prepare(settings_of(tmp_path), tmp_path)
    found = dataset.users()
    assert found is not None
    assert found.rows() == [("0a", None, 0.0, None), ("0b", 41.0, 1.0, 1.0), ("0c", None, None, None)]
    summary = dataset.summary
    assert summary.found["users of whom more is known"] == "3 of 3"
    assert summary.reasons == {"users: user id is missing": 1}
    assert summary.counts["users: values of age that cannot be read"] == 1
    assert summary.counts["users: rows after a user's first (left out)"] == 1
    assert PreparedFile.USERS in (dataset.folder / CHECKSUMS).read_text()
    # One that is damaged is prepared again, and other facts are other data.
    (dataset.folder / PreparedFile.USERS).write_bytes(b"PAR1")
    assert found.equals(prepare(settings_of(tmp_path), tmp_path).users())  # type: ignore[arg-type]
    other = prepare(settings_of(tmp_path, USERS.replace("41", "42")), tmp_path)
    assert other.folder != dataset.folder
    without = prepare(settings_of(tmp_path, users_path=None), tmp_path)
    assert without.users() is None
    assert without.folder not in (dataset.folder, other.folder)


def test_a_forgotten_user_s_facts_are_left_out(tmp_path: Path) -> None:
    with Store(StoreSettings(), tmp_path) as store:
        store.forget_user("0b")
        written = WrittenData.of(store)
    dataset = prepare(settings_of(tmp_path), tmp_path, written)
    assert "0b" not in dataset.reviews()["user_id"]
    assert dataset.users()["user_id"].to_list() == ["0a", "0c"]  # type: ignore[index]


def test_users_of_whom_none_wrote_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of the 1 users of the table of users has a review") as refused:
        prepare(settings_of(tmp_path, "id,years,club,mail\nb,41,GOLD,1\n"), tmp_path)
    assert "data.user_columns.user_id" in refused.value.remedy


def test_a_column_that_is_not_there_is_named_by_its_setting(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no column 'years' \(data\.user_columns\.facts\.age\)") as refused:
        prepare(settings_of(tmp_path, USERS.replace("years", "year")), tmp_path)
    assert "data.user_columns.facts.age=year" in refused.value.remedy


def test_a_file_that_is_not_there_and_need_not_be_can_be_left_out(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist") as refused:
        prepare(settings_of(tmp_path, users_path="away.csv"), tmp_path)
    assert refused.value.remedy.endswith("or do without it: data.users_path=null")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"user_columns": {}}, "data.users_path needs data.user_columns.facts"),
        ({"user_columns": MAP | {"words": {"mood": ["bad"]}}}, "words has mood"),
        ({"user_columns": MAP | {"facts": {"user_id": "id"}, "words": None}}, "cannot be called user_id"),
    ],
)
def test_a_map_that_does_not_fit_is_refused(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        settings_of(tmp_path, **changes)
