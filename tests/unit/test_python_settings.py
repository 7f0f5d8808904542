"""Settings given in Python are checked when they are given, and what is wrong is said in Python's terms."""

from pathlib import Path
from typing import Any

import pytest

from rec_sys import ReviewGraphRecommender
from rec_sys.contracts import InputError
from rec_sys.inference.contract import RequestError
from rec_sys.python_settings import compose_training, in_python

SHELL = ("--", "command line", "to the command")


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("trainer.max_epochs=3", "data.rating_scale=[0,10]"),  # of the frame to come
        ("data=table", "data.rating_scale=[0,10]"),
        ("data.num_users=50",),  # of the sample
        ("data=sample", "data.num_users=50"),
        ("data=table", "data.reviews_path=reviews.csv", "data.columns.user_id=who"),
    ],
)
def test_settings_of_frames_files_and_the_sample_are_taken(settings: tuple[str, ...]) -> None:
    ReviewGraphRecommender(*settings)


@pytest.mark.parametrize(
    ("given", "message", "remedy"),
    [
        ("trainer.max_epoch=3", "trainer.max_epoch is not a setting", "did you mean trainer.max_epochs?"),
        ("trainer.max_epochs=many", "max_epochs=many cannot be used", "a whole number, at least 1"),
        ("data.rating_scales=[0,10]", "data.rating_scales is not", "did you mean data.rating_scale?"),
        ("data.num_userz=50", "data.num_userz is not a setting", "did you mean data.num_users?"),
        ("data=tabel", "data=tabel does not exist", "did you mean data=table?"),
        ("trainer.max_epochs=1,2", "given several values", "if it is one value, write"),
        ("data.columns.usr=x", "data.columns.usr is not a setting", "data.columns.user_id"),
        ("text=given", "text.vectors_path has no value", "add text.vectors_path=VALUE to the settings"),
        ("output_dir=elsewhere", "output_dir is an argument", "give output_dir=... beside"),
        (3, "3 is no setting", 'ReviewGraphRecommender("NAME=VALUE")'),
        (["seed=1"], "is no setting", 'ReviewGraphRecommender("NAME=VALUE")'),
    ],
)
def test_a_wrong_setting_is_refused_by_the_constructor(given: Any, message: str, remedy: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        ReviewGraphRecommender(given)
    assert remedy in refused.value.remedy
    assert str(refused.value).count(refused.value.remedy) == 1
    assert [words for words in SHELL if words in str(refused.value)] == []


@pytest.mark.parametrize(
    ("given", "message", "remedy"),
    [
        ("index=sever", "index=sever does not exist", "did you mean index=server?"),
        ("trainer.max_epochs=3", "trainer.max_epochs is not a setting", "index, inference"),
        ("limit=3", "limit=3 is of a single question", "recommend"),
        (3, "3 is no setting", 'serving=["NAME=VALUE"]'),
    ],
)
def test_a_wrong_setting_of_answers_is_refused_by_the_constructor_and_load(
    given: Any, message: str, remedy: str, tmp_path: Path
) -> None:
    for make in (lambda: ReviewGraphRecommender(serving=[given]), lambda: ReviewGraphRecommender.load(tmp_path, given)):
        with pytest.raises(InputError, match=message) as refused:
            make()
        assert remedy in refused.value.remedy


def test_a_frame_and_a_setting_that_choose_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="data=sample and a frame of reviews both say"):
        compose_training(["data=sample"], tmp_path, ["data.reviews_path=x"])
    settings = compose_training(["data=table", "data.name=shop"], tmp_path, ["data.reviews_path=x"])
    assert (settings.data.name, settings.output_dir) == ("shop", tmp_path)


@pytest.mark.parametrize(
    ("remedy", "meant"),
    [
        ("add data.columns.user_id=who to the command", "add data.columns.user_id=who to the settings; SETTINGS"),
        ("add 'data.rating_scale=[0,10]', or leave", "add 'data.rating_scale=[0,10]', or leave; SETTINGS"),
        ("see data.columns.asin", "see data.columns.asin"),
        ("choose another folder with output_dir=...", "choose another folder with output_dir=..."),
        ("as SETTINGS say, seed=1", "as SETTINGS say, seed=1"),
        ("--help shows every setting, --cfg hydra Hydra's own", "rec-sys train --help shows every setting"),
        (
            "run rec_sys.train.train first, or give a bundle's path with bundle=...",
            "call fit first, or give the folder it wrote to",
        ),
    ],
)
def test_remedies_are_said_in_python(remedy: str, meant: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused, in_python(tmp_path, "SETTINGS"):
        raise InputError("wrong", where=f"{tmp_path}/frames/reviews.parquet, line 3", remedy=remedy)
    assert refused.value.remedy == meant
    assert refused.value.where == "the frame reviews, line 3"
    assert str(refused.value).count(meant) == 1


def test_an_error_keeps_its_kind(tmp_path: Path) -> None:
    with pytest.raises(RequestError) as refused, in_python(tmp_path):
        raise RequestError("too many", field="reviews", remedy="send fewer")
    assert (refused.value.field, refused.value.remedy) == ("reviews", "send fewer")
