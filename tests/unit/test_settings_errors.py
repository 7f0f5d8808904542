"""The wording of refusals: what is wrong, where it stands, what to write instead."""

import shutil
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from rec_sys.contracts import InputError
from rec_sys.entry import CONFIG_DIR, compose_settings
from rec_sys.serving.gateway import GatewaySettings
from rec_sys.settings import Section, Settings
from rec_sys.settings_errors import locate


def refusal(*overrides: str) -> InputError:
    with pytest.raises(InputError) as refused:
        compose_settings(list(overrides), Settings)
    return refused.value


def test_an_unknown_choice_names_the_nearest_and_lists_all() -> None:
    error = refusal("data=instrument_2014")
    assert error.what == "data=instrument_2014 does not exist"
    assert "did you mean data=instruments_2014?" in error.remedy
    for choice in ("instruments_2014", "instruments_2018", "instruments_2023", "sample", "sequences", "table"):
        assert choice in error.remedy


@pytest.mark.parametrize("choice", ["7", "null", "quite_something_else"])
def test_a_choice_that_resembles_none_lists_all(choice: str) -> None:
    error = refusal(f"data={choice}")
    assert error.what == f"data={choice} does not exist"
    assert "did you mean" not in error.remedy
    assert "instruments_2018" in error.remedy


@pytest.mark.parametrize("plus", ["", "+", "++", "~"])
def test_a_misspelt_key_names_the_nearest_of_its_section(plus: str) -> None:
    error = refusal(f"{plus}model.num_head=3" if plus != "~" else "~model.num_head")
    assert error.what == "model.num_head is not a setting"
    assert error.remedy == "did you mean model.num_heads?"
    assert "config/model/transformer_conv.yaml" in error.where


def test_the_nearest_key_of_the_same_section_comes_before_a_nearer_one_elsewhere() -> None:
    # text.precision and text.device are spelled like trainer's keys.
    assert refusal("trainer.precison=32").remedy == "did you mean trainer.precision?"
    assert refusal("text.precison=32").remedy == "did you mean text.precision?"
    assert refusal("trainer.lerning_rate=1").remedy == "did you mean trainer.learning_rate?"


@pytest.mark.parametrize("key", ["learning_rate", "lerning_rate", "trainr.learning_rate", "model.learning_rate"])
def test_a_key_in_the_wrong_place_names_its_own(key: str) -> None:
    assert refusal(f"{key}=1").remedy == "did you mean trainer.learning_rate?"


@pytest.mark.parametrize(("word", "near"), [("dta=sample", "data"), ("sed=1", "seed"), ("outputdir=x", "output_dir")])
def test_a_misspelt_top_level_key_names_the_nearest(word: str, near: str) -> None:
    assert refusal(word).remedy == f"did you mean {near}?"


@pytest.mark.parametrize("word", ["zzz=1", "+zzz=1", "zzz.qqq=1"])
def test_an_unknown_top_level_key_lists_the_top_level_and_nothing_below(word: str) -> None:
    remedy = refusal(word).remedy
    for name in ("data", "model", "seed", "output_dir", "trainer", "experiment"):
        assert name in remedy
    assert "." not in remedy


def test_an_unknown_key_that_resembles_none_lists_its_section_alone() -> None:
    remedy = refusal("graph.zzz=1").remedy
    assert "graph.user_reviews" in remedy
    assert "trainer." not in remedy


def test_an_entry_that_a_map_lacks_is_said_to_be_added() -> None:
    given = ("data=hm", "data.folder=x")
    error = refusal(*given, "data.user_columns.facts={age: years, shoe: size}")
    assert (
        error.what == "data.user_columns.facts has age, club_status, news, active, newsletter, and shoe is not among it"
    )
    assert error.remedy == "add it with +data.user_columns.facts.shoe=VALUE"
    settings = compose_settings([*given, "+data.user_columns.facts.shoe=size"], Settings)
    assert settings.data.user_columns is not None
    assert settings.data.user_columns.facts["shoe"] == "size"


@pytest.mark.parametrize("plus", ["", "+"])
def test_a_key_of_another_choice_says_whose_it_is(plus: str) -> None:
    error = refusal(f"{plus}data.path=file")
    assert error.what == "data.path belongs to data=sequences, and data=sample is chosen"
    assert "choose data=sequences" in error.remedy


def test_a_key_of_several_other_choices_names_them_all() -> None:
    error = refusal("data.reviews_path=file")
    for choice in ("instruments_2014", "instruments_2018", "instruments_2023", "table"):
        assert f"data={choice}" in error.remedy


def test_an_experiment_made_for_other_data_is_named_as_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(CONFIG_DIR, tmp_path / "config")
    (tmp_path / "config" / "experiment" / "few.yaml").write_text("# @package _global_\ndata:\n  num_users: 50\n")
    monkeypatch.setattr("rec_sys.entry.CONFIG_DIR", tmp_path / "config")
    error = refusal("experiment=few", "data=sequences", "data.path=file")
    assert "config/experiment/few.yaml" in error.where
    assert "leave experiment=few out" in error.remedy


@pytest.mark.parametrize("data", ["sample", "instruments_2014", "instruments_2023", "table", "sequences"])
def test_a_quick_run_is_a_choice_for_every_data_set(data: str) -> None:
    needed = {"table": ["data.reviews_path=file"], "sequences": ["data.path=file"]}
    settings = compose_settings([f"data={data}", "experiment=quick", *needed.get(data, [])], Settings)
    assert (settings.data.max_reviews, settings.trainer.max_epochs) == (1000, 2)


@pytest.mark.parametrize(
    ("setting", "address"),
    [
        ("data.reviews_path", "https://shop.example/reviews.csv"),
        ("data.metadata_path", "s3://bucket/products.parquet"),
        ("output_dir", "gs://bucket/outputs"),
        ("data.reviews_path", "hdfs://node:9000/reviews"),
    ],
)
def test_an_address_is_no_path(setting: str, address: str) -> None:
    error = refusal("data=table", "data.reviews_path=file", f"{setting}={address}")
    assert f"{setting}={address}" in error.what
    assert f"{address.partition(':')[0]}:// is an address" in error.remedy
    assert "download or mount it first" in error.remedy
    assert setting in error.where


def test_a_reader_changed_without_its_file_is_the_one_thing_named() -> None:
    error = refusal("data.reader=table")
    assert error.what == "data.reader=table does not fit data=sample"
    assert "data=table, and leave data.reader out" in error.remedy
    assert "data.reader takes sample, amazon_2014" in refusal("data.reader=amazon").remedy


@pytest.mark.parametrize(
    ("override", "takes", "file"),
    [
        ("seed=abc", "a whole number, at least 0", "config/config.yaml"),
        ("trainer.max_epochs=1.5", "a whole number, at least 1", "config/trainer/default.yaml"),
        ("trainer.max_epochs=null", "a whole number, at least 1", "config/trainer/default.yaml"),
        ("trainer.learning_rate=-1", "a number, above 0, at most 1", "config/trainer/default.yaml"),
        ("trainer.progress=maybe", "true or false", "config/trainer/default.yaml"),
        ("trainer.devices=many", "a whole number or auto", "config/trainer/default.yaml"),
        ("model.rating_error=cubic", "absolute or squared", "config/model/transformer_conv.yaml"),
        ("text.precision=int9", "fp32, int8, fp16 or bf16", "config/text/minilm.yaml"),
        ("evaluation.ks=5", "a list such as [a,b], each a whole number", "config/evaluation/leave_last_out.yaml"),
        ("evaluation.ks=[]", "of length at least 1", "config/evaluation/leave_last_out.yaml"),
        ("data.max_bad_share=2", "a number, at least 0, at most 1", "config/data/sample.yaml"),
    ],
)
def test_a_value_that_does_not_fit_names_key_value_range_and_file(override: str, takes: str, file: str) -> None:
    error = refusal(override)
    key = override.partition("=")[0]
    assert error.what == f"{override} cannot be used"
    assert error.remedy.startswith(f"{key} takes ")
    assert takes in error.remedy
    assert error.where == f"setting {key} (command line; it would stand in {file})"


@pytest.mark.parametrize(
    ("overrides", "key", "file"),
    [
        (["data.name=a/b"], "data.name", "config/data/sample.yaml"),
        (["trainer=sampled", "trainer.batch_size=0"], "trainer.batch_size", "config/trainer/sampled.yaml"),
        (["data=table", "data.reviews_path=[]"], "data.reviews_path", "config/data/table.yaml"),
        (["experiment=quick", "trainer.max_epochs=0"], "trainer.max_epochs", "config/experiment/quick.yaml"),
    ],
)
def test_a_file_in_which_a_key_is_written_is_called_its_file(overrides: list[str], key: str, file: str) -> None:
    assert refusal(*overrides).where == f"setting {key} (command line; its file is {file})"


def test_the_file_named_is_that_of_the_choice_made() -> None:
    assert "config/model/gat.yaml" in refusal("model=gat", "model.dim=3").where


def test_a_bad_element_of_a_list_is_named_by_its_place() -> None:
    assert refusal("evaluation.ks=[5,x]").what == "evaluation.ks[1]=x cannot be used"


def test_values_that_do_not_go_together_are_named_together() -> None:
    assert refusal("model.dim=12", "model.num_heads=5").what == "model.dim=12 must be a multiple of model.num_heads=5"


def test_every_wrong_value_is_named_at_once() -> None:
    error = refusal("model.dim=3", "trainer.batch_size=0")
    assert "model.dim=3" in error.what
    assert "trainer.batch_size=0" in error.what


@pytest.mark.parametrize(
    ("overrides", "key"), [(["data=sequences"], "data.path"), (["text=given"], "text.vectors_path")]
)
def test_a_value_that_only_the_user_can_give_is_asked_for(overrides: list[str], key: str) -> None:
    error = refusal(*overrides)
    assert error.what == f"{key} has no value"
    assert f"add {key}=VALUE" in error.remedy


def test_a_group_left_out_lists_its_choices() -> None:
    assert "instruments_2014" in refusal("~data").remedy


@pytest.mark.parametrize(
    ("override", "what", "remedy"),
    [
        ("seed", "seed has no value", "write seed=VALUE"),
        ("sed", "sed has no value", "did you mean seed?"),
        ("=3", "=3 names no setting", "write NAME=3"),
        ("run_dir=it's", "the value of run_dir cannot be read: it's", "quotes"),
        ("run_dir=a=b", "the value of run_dir cannot be read: a=b", "'run_dir=\"a=b\"'"),
        ("run_dir=a,b", "run_dir is given several values: a,b", "--multirun"),
        ("+experiment=quick", "experiment is a choice that always stands", "write experiment=quick"),
        (
            "experiment.x=1",
            "experiment.x is not a setting",
            "write experiment=fast|",
        ),
        ("seed.x=1", "seed.x is not a setting", "write seed=VALUE"),
        ("model.dim=${nothing}", "nothing", "write its value out"),
        ("hydra.run.dri=x", "hydra.run.dri", "--cfg hydra"),
    ],
)
def test_a_slip_of_the_keyboard_is_answered_with_what_to_write(override: str, what: str, remedy: str) -> None:
    error = refusal(override)
    assert what in error.what
    assert remedy in error.remedy


def test_the_quotes_that_are_advised_work() -> None:
    assert compose_settings(['run_dir="a=b,c it\'s"'], Settings).run_dir == Path("a=b,c it's")


@settings(max_examples=15)
@given(st.text(alphabet="seddatmol.numhi_=,:+~@/[]{}()$'\"\\ 30-", max_size=14))
def test_whatever_is_typed_is_understood_or_refused_with_a_remedy(text: str) -> None:
    try:
        compose_settings([text], Settings)
    except InputError as error:
        answer = [error.what, error.where, error.remedy]
    else:
        return
    assert all(answer)


class Cup(Section):
    kind: Literal["cup"]
    size: int


class Bottle(Section):
    kind: Literal["bottle"]
    cap: Cup | None = None
    volume: int | Literal["full"] = "full"


class Shelf(Section):
    vessel: Annotated[Cup | Bottle, Field(discriminator="kind")] = Cup(kind="cup", size=1)
    row: tuple[Annotated[Cup | Bottle, Field(discriminator="kind")], ...] = ()


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"vessel": {"kind": "cup", "size": "x"}}, "vessel.size"),
        ({"vessel": {"kind": "cup", "size": 1, "colour": 2}}, "vessel.colour"),
        ({"vessel": {"kind": "bottle", "volume": "x"}}, "vessel.volume"),
        ({"vessel": {"kind": "bottle", "cap": {"kind": "cup", "size": "x"}}}, "vessel.cap.size"),
        ({"row": [{"kind": "cup", "size": 1}, {"kind": "cup", "size": "x"}]}, "row[1].size"),
    ],
)
def test_the_tag_of_a_union_is_no_part_of_a_key(values: dict[str, Any], key: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Shelf.model_validate(values)
    assert {locate(Shelf, problem["loc"])[0] for problem in refused.value.errors()} == {key}


@pytest.mark.parametrize(
    ("given", "takes"),
    [
        ("data.rating_words={good: 9}", "a mapping such as {a: b}, each value a number, at least 1, at most 5 or null"),
        ("data.rating_scale=[1]", "data.rating_scale takes a list such as [a,b], each a number"),
    ],
)
def test_values_of_several_parts_are_described(given: str, takes: str) -> None:
    assert takes in refusal("data=table", "data.reviews_path=file", given).remedy


def test_a_time_is_described() -> None:
    with pytest.raises(InputError) as refused:
        compose_settings(
            ['serving.tokens=[{name:a,token:a-long-one,expires:"2026-05-31"}]'], GatewaySettings, "gateway"
        )
    assert "takes a time with its zone, such as 2027-01-31T12:00:00Z or null" in refused.value.remedy


@pytest.mark.parametrize(
    "override",
    [
        "seed=" + "[" * 500 + "]" * 500,
        "seed=" + "f(" * 1_000 + ")" * 1_000,
        "data.name='" + "${a" * 1_000 + "}" * 1_000 + "'",
        "seed=" + "9" * 5_000,
        "seed." * 2_000 + "a=1",
        "seed=" + "x" * 100_000,
    ],
    ids=["brackets", "calls", "interpolations", "digits", "dots", "letters"],
)
def test_an_endless_value_is_refused_in_a_few_words(override: str) -> None:
    assert len(str(refusal(override))) < 2_500
