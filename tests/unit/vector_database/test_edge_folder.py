"""Which version is served is one link; what is around it may be torn at any point."""

import errno
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from rec_sys.contracts import InputError
from rec_sys.settings import EdgeIndex
from rec_sys.vector_database import edge_version
from rec_sys.vector_database.contract import IndexUnavailableError, ProductFilter
from rec_sys.vector_database.edge_folder import EdgeFolder
from rec_sys.vector_database.edge_index import EdgeProductIndex, EdgePublisher
from rec_sys.vector_database.edge_version import VERSION_FILE
from rec_sys.vector_database.publication import draw_users
from tests.product_indexes import make_catalogue


@pytest.fixture
def folder(tmp_path: Path) -> EdgeFolder:
    folder = EdgeFolder(tmp_path / "index")
    for name in ("1", "2", "3"):
        folder.path(name).mkdir(parents=True)
        (folder.path(name) / VERSION_FILE).write_text("{}")
    return folder


def test_nothing_is_served_before_the_first_version(tmp_path: Path) -> None:
    folder = EdgeFolder(tmp_path / "index")
    assert folder.served() is None
    with pytest.raises(IndexUnavailableError, match="the index is empty"):
        folder.open_served()


def test_the_version_before_is_remembered_by_the_one_after(folder: EdgeFolder) -> None:
    folder.switch("1", [])
    folder.switch("2", ["1"])
    assert (folder.served(), folder.previous("2"), folder.previous("1")) == ("2", "1", None)


def test_versions_may_change_their_order(folder: EdgeFolder) -> None:
    folder.switch("3", ["2", "1"])
    assert folder.kept("3") == ["2", "1"]
    folder.switch("2", ["3", "1"])
    assert (folder.served(), folder.kept("2")) == ("2", ["3", "1"])
    folder.switch("1", [])
    assert folder.kept("1") == []


def test_a_rollback_leads_nowhere_once_the_version_before_is_gone(folder: EdgeFolder) -> None:
    folder.switch("2", ["1"])
    folder.drop("1")
    assert folder.previous("2") is None


def test_what_is_not_kept_is_dropped_and_leftovers_are_not_counted(folder: EdgeFolder) -> None:
    (folder.versions / ".4.abc.unfinished").mkdir()
    (folder.path("0")).mkdir()
    assert folder.drop_all_but({"3"}) == ["1", "2"]
    assert [path.name for path in folder.versions.iterdir()] == ["3"]


def test_a_version_that_may_not_be_removed_is_named_and_stays(
    folder: EdgeFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(path: Path) -> None:
        if path.name == "1":
            raise PermissionError(errno.EACCES, "Permission denied", "is_null")  # as the system names it, in its folder
        remove(path)

    remove = shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", refuse)
    assert folder.drop_all_but({"3"}) == ["2"]
    assert f"Permission denied); change its owner or its permissions: {folder.path('1')}" in caplog.text


def test_the_index_may_be_moved(folder: EdgeFolder, tmp_path: Path) -> None:
    folder.switch("2", ["1"])
    folder.root.rename(tmp_path / "elsewhere")
    moved = EdgeFolder(tmp_path / "elsewhere")
    assert (moved.served(), moved.previous("2"), moved.is_whole("2")) == ("2", "1", True)


def test_an_index_copied_without_its_links_is_named(folder: EdgeFolder, tmp_path: Path) -> None:
    folder.switch("2", ["1"])
    copy = EdgeFolder(shutil.copytree(folder.root, tmp_path / "copy", symlinks=False))
    for ask in (copy.served, copy.open_served, lambda: copy.kept("2")):
        with pytest.raises(IndexUnavailableError, match="copied without its links") as refused:
            ask()
        assert str(tmp_path / "copy") in refused.value.where
    shutil.rmtree(copy.root / "current")
    copy.drop("2")
    assert copy.served() is None


def test_a_switch_that_was_cut_off_is_made_good_by_the_next(folder: EdgeFolder) -> None:
    folder.switch("1", [])
    (folder.root / ".current.new").symlink_to("versions/2")
    folder.switch("3", ["1"])
    assert folder.served() == "3"
    assert not (folder.root / ".current.new").is_symlink()


def test_a_second_writer_is_told_so(folder: EdgeFolder) -> None:
    with folder.locked(0), pytest.raises(InputError, match="another process is writing"), folder.locked(0):
        pass
    with folder.locked(0):
        pass


def test_a_version_that_cannot_be_opened_is_named(folder: EdgeFolder) -> None:
    folder.switch("2", ["1"])
    with pytest.raises(IndexUnavailableError, match="cannot be opened") as refused:
        folder.open_served()
    assert refused.value.where == str(folder.path("2"))


def test_a_version_that_would_not_fit_is_refused_before_edge_maps_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = make_catalogue(tmp_path / "bundle", 30)
    settings = EdgeIndex.model_validate({"backend": "edge", "folder": tmp_path / "index", "progress": False})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=90_000_000))
    with pytest.raises(InputError, match=r"the disk is full(.|\n)*about 120,\d{3},\d{3} bytes"):
        EdgePublisher(settings).publish(catalogue)
    assert not list(EdgeFolder(settings.folder).versions.iterdir())


def test_what_is_kept_of_points_and_how_many_are_left_out_changes_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = make_catalogue(tmp_path / "bundle", 60)
    settings = EdgeIndex(backend="edge", folder=tmp_path / "index", check_queries=4, progress=False)
    EdgePublisher(settings).publish(catalogue)
    # With no point kept and every exclusion a filter, with few kept, and as it is.
    answers = []
    for most_kept, few in ((0, -1), (3, 2), (edge_version._MOST_KEPT, edge_version._FEW)):
        monkeypatch.setattr(edge_version, "_MOST_KEPT", most_kept)
        monkeypatch.setattr(edge_version, "_FEW", few)
        index = EdgeProductIndex(settings)
        questions = [
            replace(one, filter=ProductFilter(not_seen=tuple(catalogue.asins[:left_out])), limit=7, offset=offset)
            for one in draw_users(catalogue, 4, seed=7)
            for left_out in (0, 2, 3, 32, 33)
            for offset in (0, 5)
        ]
        answers.append([answer.hits for answer in index.search_many(questions + questions)])
    assert answers[0] == answers[1] == answers[2]
    assert any(hit.memory_of for hits in answers[0] for hit in hits)
