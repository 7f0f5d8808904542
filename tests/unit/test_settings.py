from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from rec_sys.entry import compose_settings
from rec_sys.settings import (
    AmazonData,
    EngineSettings,
    InferenceSettings,
    ModelSettings,
    SampleData,
    Section,
    SequencesData,
    Settings,
    TableData,
)


def all_sections(base: type[Section] = Section) -> list[type[Section]]:
    found = [base, *(section for child in base.__subclasses__() for section in all_sections(child))]
    return [section for section in found if section.__module__.startswith("rec_sys.settings.")]


def numeric_fields() -> dict[str, FieldInfo]:
    return {
        f"{section.__name__}.{name}": field
        for section in all_sections()
        for name, field in section.model_fields.items()
        if field.annotation in (int, float)
    }


def test_the_bare_command_learns_from_the_sample() -> None:
    settings = compose_settings([], Settings)

    assert isinstance(settings.data, SampleData)
    assert (settings.data.num_users, settings.data.num_products, settings.data.num_reviews) == (600, 240, 6_000)
    assert settings.text.source == "encoder"
    assert settings.model.convolution == "transformer_conv"
    assert settings.evaluation.protocol == "leave_last_out"
    assert settings.output_dir == Path("outputs")


def test_settings_cannot_be_changed_after_they_were_checked() -> None:
    settings = compose_settings([], Settings)
    with pytest.raises(ValidationError, match="frozen"):
        settings.model.dim = 64  # type: ignore[misc]


@pytest.mark.parametrize(
    ("choice", "kind"),
    [
        ("sample", SampleData),
        ("instruments_2014", AmazonData),
        ("instruments_2018", AmazonData),
        ("instruments_2023", AmazonData),
        ("sequences", SequencesData),
        ("table", TableData),
    ],
)
def test_each_data_set_has_the_settings_of_its_reader(choice: str, kind: type[Section]) -> None:
    paths = {SequencesData: ["data.path=file"], TableData: ["data.reviews_path=file"]}
    assert type(compose_settings([f"data={choice}", *paths.get(kind, [])], Settings).data) is kind


@pytest.mark.parametrize("field", numeric_fields().values(), ids=numeric_fields().keys())
def test_every_number_has_a_lowest_value(field: FieldInfo) -> None:
    assert any(hasattr(limit, name) for limit in field.metadata for name in ("ge", "gt"))


@pytest.mark.parametrize("section", all_sections(), ids=lambda section: section.__name__)
def test_every_section_is_frozen_and_closed_to_unknown_names(section: type[Section]) -> None:
    assert section.model_config["frozen"]
    assert section.model_config["extra"] == "forbid"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dim": 12, "num_heads": 5}, "model.dim=12 must be a multiple of model.num_heads=5"),
        ({"ranking_weight": 0, "rating_weight": 0}, "both 0"),
        ({"dropout": 1.0}, "less than 1"),
    ],
)
def test_a_model_that_cannot_be_built_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ModelSettings(**values)


@pytest.mark.parametrize(
    "values",
    [
        {"reviews_download": {"url": "http://example.org/reviews.gz"}},
        {"reviews_download": {"sha256": "not a checksum"}},
        {"name": "../elsewhere"},
    ],
)
def test_data_that_could_not_be_fetched_or_named_safely_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"pattern|begins with https"):
        AmazonData.model_validate({"name": "own", "reader": "amazon_2014", **values})


@pytest.mark.parametrize(("given", "read"), [("32", "32"), ("bf16", "bf16"), ("auto", "auto")])
def test_a_precision_is_read_as_it_is_written_on_the_command_line(given: str, read: str) -> None:
    assert compose_settings([f"trainer.precision={given}"], Settings).trainer.precision == read


def test_a_name_of_digits_is_a_name() -> None:
    assert compose_settings(["data.name=2014"], Settings).data.name == "2014"


def test_a_later_choice_keeps_the_values_given_beside_it() -> None:
    settings = compose_settings(["model=gat", "model.dim=64", "experiment=quick", "trainer.max_epochs=3"], Settings)
    assert (settings.model.convolution, settings.model.dim, settings.trainer.max_epochs) == ("gat", 64, 3)


def test_home_is_meant_by_a_tilde_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    paths = {"~/reviews.csv": tmp_path / "reviews.csv", "~$reviews.csv": Path("~$reviews.csv")}
    for given, meant in paths.items():
        assert (
            TableData.model_validate({"name": "shop", "reader": "table", "reviews_path": given}).reviews_path == meant
        )


@pytest.mark.parametrize(
    "given", ["", [], "http://triton:8001", "triton", "triton:99999", "triton:0", "a:1,", "a:1,a:1"]
)
def test_an_address_that_no_triton_can_have_is_refused(given: object) -> None:
    with pytest.raises(ValidationError, match="each Triton is"):
        InferenceSettings.model_validate({"triton_url": given})


def test_several_tritons_are_a_list_or_a_text() -> None:
    several = [InferenceSettings.model_validate({"triton_url": given}) for given in (["a:1", "b:1"], "a:1,b:1")]
    assert {one.triton_url for one in several} == {"a:1,b:1"}


@pytest.mark.parametrize("given", [{"actors": 2}, {"address": "10.0.0.1:6379"}])
def test_what_is_for_a_cluster_is_refused_without_one(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="engine=ray"):
        EngineSettings.model_validate(given)
    EngineSettings.model_validate({"kind": "ray", **given})
