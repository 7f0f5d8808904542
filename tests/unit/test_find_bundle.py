"""The bundle that a command means, and the name that everything made from it carries."""

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rec_sys.bundle import Bundle, BundleContents, bundle_folders, find_bundle, find_by_identity, write_bundle
from rec_sys.bundle_manifest import bundle_identity
from rec_sys.contracts import BundleFile, InputError
from rec_sys.scoring import ScoreFormula
from tests.changed_bundles import note_anew
from tests.text_width import TEXT_DIM

CONTENTS = BundleContents(
    data_name="sample",
    data_fingerprint="f",
    text_encoder="none",
    weights={"table": np.zeros((2, 2), dtype=np.float32)},
    settings={},
    products=pl.DataFrame({"asin": ["a", "b"]}),
    product_vectors={"output": np.zeros((2, 2), dtype=np.float32)},
    metrics={},
    histories=pl.DataFrame(),
    history_text=np.zeros((0, TEXT_DIM), dtype=np.float16),
    score=ScoreFormula(temperature=0.07),
    user_reviews=50,
    product_reviews=16,
    has_time=True,
)


def write(folder: Path, created: str) -> Path:
    write_bundle(folder, CONTENTS)
    note_anew(folder, created=created)
    return folder


def test_the_bundle_that_is_given_is_taken(tmp_path: Path) -> None:
    write(tmp_path / "outputs" / "bundles" / "newer", "2030-01-01T00:00:00+00:00")
    given = write(tmp_path / "elsewhere", "2020-01-01T00:00:00+00:00")
    assert find_bundle(given, tmp_path / "outputs").folder == given
    with pytest.raises(InputError, match="there is no bundle"):
        find_bundle(tmp_path / "nothing", tmp_path / "outputs")


def test_bundles_of_another_user_are_not_taken_for_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> list[str]:  # root may list what others may not
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    with pytest.raises(InputError, match="there is no bundle yet"):
        find_bundle(None, tmp_path)
    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(InputError, match=r"may not be used \(Permission denied\)\n.*bundles"):
        find_bundle(None, tmp_path)


def test_without_one_the_newest_is_taken_whatever_its_name(tmp_path: Path) -> None:
    for name, created in (("c", "2026-01-02"), ("a", "2026-01-03"), ("b", "2026-01-01")):
        write(tmp_path / "bundles" / name, f"{created}T00:00:00+00:00")
    (tmp_path / "bundles" / "unfinished").mkdir()
    assert find_bundle(None, tmp_path).folder == tmp_path / "bundles" / "a"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format_version": 99}'])
def test_a_broken_manifest_hides_no_other_bundle(
    content: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = write(tmp_path / "bundles" / "good", "2026-01-02T00:00:00+00:00")
    broken = tmp_path / "bundles" / "later"
    broken.mkdir()
    (broken / BundleFile.MANIFEST).write_text(content)
    assert find_bundle(None, tmp_path).folder == good
    assert str(broken / BundleFile.MANIFEST) in caplog.text
    shutil.rmtree(good)
    with pytest.raises(InputError) as refused:
        find_bundle(None, tmp_path)
    assert refused.value.where == str(broken / BundleFile.MANIFEST)


def test_a_manifest_that_was_changed_makes_no_bundle_the_newest(tmp_path: Path) -> None:
    good = write(tmp_path / "bundles" / "good", "2026-01-02T00:00:00+00:00")
    manifest = write(tmp_path / "bundles" / "changed", "2026-01-01T00:00:00+00:00") / BundleFile.MANIFEST
    manifest.write_text(manifest.read_text().replace("2026-01-01", "2036-01-01"))
    assert find_bundle(None, tmp_path).folder == good


def test_a_newest_bundle_that_was_changed_is_named_and_no_older_one_stands_in(tmp_path: Path) -> None:
    write(tmp_path / "bundles" / "good", "2026-01-02T00:00:00+00:00")
    weights = write(tmp_path / "bundles" / "newest", "2026-01-03T00:00:00+00:00") / BundleFile.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match="missing or was changed") as refused:
        find_bundle(None, tmp_path)
    assert refused.value.where == str(weights)


def test_one_that_a_killed_training_had_nearly_written_is_none(tmp_path: Path) -> None:
    good = write(tmp_path / "bundles" / "good", "2026-01-02T00:00:00+00:00")
    half = write(tmp_path / "bundles" / ".newer.abc.unfinished", "2026-01-03T00:00:00+00:00")
    assert find_bundle(None, tmp_path).folder == good
    assert bundle_folders(tmp_path) == [good]
    assert find_by_identity(tmp_path, bundle_identity(half)) is None


def test_where_there_is_none_the_command_that_makes_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no bundle yet") as caught:
        find_bundle(None, tmp_path)
    assert "rec_sys.train.train" in caught.value.remedy


def test_a_bundle_keeps_its_identity_when_it_is_moved_and_no_other_has_it(tmp_path: Path) -> None:
    first = Bundle(write(tmp_path / "first", "2026-01-01T00:00:00+00:00")).identity
    (tmp_path / "first").rename(tmp_path / "moved")
    assert Bundle(tmp_path / "moved").identity == first
    write_bundle(tmp_path / "second", replace(CONTENTS, weights={"table": np.ones((2, 2), dtype=np.float32)}))
    assert Bundle(tmp_path / "second").identity != first
