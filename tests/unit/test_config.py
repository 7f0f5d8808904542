"""config/ and the pydantic sections say the same, so that every setting can be given on the command line."""

import ast
import importlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel

from rec_sys.entry import CONFIG_DIR, compose_settings
from rec_sys.settings import Section, Settings
from rec_sys.settings_request import Request, by_dotted_key, default_tree, sections_in

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCE_FOLDERS = ("rec_sys", "triton_utils")


@cache
def commands() -> dict[str, type[Section]]:
    """The settings type of every file in config/ that a command starts from, as the calls of `run_entry` say."""
    found: dict[str, type[Section]] = {"config": Settings}
    for path in sorted(path for folder in SOURCE_FOLDERS for path in (REPOSITORY / folder).rglob("*.py")):
        code = path.read_text(encoding="utf-8")
        for call in ast.walk(ast.parse(code)) if "run_entry(" in code else ():
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "run_entry"):
                continue
            type_name, config_name = (ast.unparse(argument) for argument in call.args[1:3])
            name = ast.literal_eval(config_name)
            if name not in found:
                module = ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
                found[name] = getattr(importlib.import_module(module), type_name)
    return found


@cache
def request(config_name: str, *overrides: str) -> Request:
    """One for each command line: what it composes serves every test of it."""
    return Request(commands()[config_name], CONFIG_DIR, config_name, overrides)


def groups(file: str) -> list[str]:
    """The groups that a file in config/ names, and those it builds on; composing says the same, but takes long."""
    found: list[str] = []
    for given in yaml.safe_load((CONFIG_DIR / f"{file}.yaml").read_text()).get("defaults", []):
        if isinstance(given, dict):
            found += [name for name in given if not name.startswith("override ")]
        elif (CONFIG_DIR / f"{given}.yaml").is_file():
            found += groups(given)
    return found


@cache
def choices() -> list[tuple[str, str, str]]:
    """Every file of every group, under one of the commands that read it into the same type of section."""
    found: dict[tuple[str, str, str], tuple[str, str, str]] = {}
    for name, settings_type in commands().items():
        for group in groups(name):
            section = settings_type.model_fields.get(group)
            for option in request(name).options(group):
                found.setdefault((group, option, str(section and section.annotation)), (name, group, option))
    return list(found.values())


@cache
def choices_beside(config_name: str, group: str, option: str) -> Request:
    """The command line of a choice and of one in each other group: composed once for all of them.

    A choice such as `experiment=quick`, which writes into sections, stands alone.
    """
    if group not in commands()[config_name].model_fields:
        return request(config_name, f"{group}={option}")
    by_group: dict[str, list[str]] = {}
    for name, other, its_option in choices():
        if name == config_name and other in commands()[config_name].model_fields:
            by_group.setdefault(other, []).append(its_option)
    place = by_group[group].index(option)
    return request(config_name, *(f"{name}={of[place]}" for name, of in by_group.items() if place < len(of)))


def test_a_group_is_one_type_of_section_for_every_command() -> None:
    assert len({(group, option) for _, group, option in choices()}) == len(choices())


def given_values(config_name: str, group: str, option: str) -> list[str]:
    """Every setting of one choice, written as command-line arguments with the values of its file."""
    asked, others = choices_beside(config_name, group, option), request(config_name)
    alone = group not in asked.settings_type.model_fields

    def leaves(tree: dict[str, Any], prefix: str) -> Iterator[str]:
        for name, value in tree.items():
            if isinstance(value, dict) and not any(" " in below for below in value):  # else people's words, as a whole
                yield from leaves(value, f"{prefix}{name}.")
            else:
                yield f"{prefix}{name}={as_argument(value)}"

    sections = (name for name in asked.top_level if name in asked.choices and name in asked.settings_type.model_fields)
    trees = {name: (asked if alone or name == group else others).tree[name] for name in sections}
    return [argument for name in trees for argument in leaves(trees[name], f"{name}.")]


def as_argument(value: Any) -> str:
    """A value as one types it on the command line; JSON's spelling is also Hydra's, but for the names in a mapping."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{name}:{as_argument(below)}" for name, below in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(as_argument, value)) + "]"
    return '"given"' if value == "???" else json.dumps(value)


def section_type(annotation: Any, content: Any) -> type[BaseModel] | None:
    """The section that a file's content is for; of a union, the member whose literals fit."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) is tuple:
        return None  # a list of sections is given as a whole
    members = [member for argument in get_args(annotation) if (member := section_type(argument, content))]
    for member in members:
        literals = {name: get_args(field.annotation) for name, field in member.model_fields.items()}
        if len(members) == 1 or any(content.get(name) in values for name, values in literals.items() if values):
            return member
    return None


def differences(section: type[BaseModel], content: dict[str, Any], prefix: str) -> Iterator[str]:
    for name in sorted(section.model_fields.keys() - content.keys()):
        yield f"{prefix}.{name} is missing in the file"
    for name in sorted(content.keys() - section.model_fields.keys()):
        yield f"{prefix}.{name} is not a setting"
    for name in section.model_fields.keys() & content.keys():
        value = content[name]
        below = section_type(section.model_fields[name].annotation, value if isinstance(value, dict) else {})
        if below and isinstance(value, dict):
            yield from differences(below, value, f"{prefix}.{name}")
        elif below:
            yield f"{prefix}.{name} must be written out, so that what is below it can be set"


@pytest.mark.parametrize(("config_name", "group", "option"), choices())
def test_a_settings_file_has_exactly_the_keys_of_its_section(config_name: str, group: str, option: str) -> None:
    asked = choices_beside(config_name, group, option)
    if group in asked.settings_type.model_fields:
        content = asked.tree[group]
        annotation = asked.settings_type.model_fields[group].annotation
        if len(list(sections_in(annotation))) > 1:
            assert asked.option(group, option) | content == content
        section = section_type(annotation, content)
        assert section, "no section has this file's reader"
        assert list(differences(section, content, group)) == []
    else:
        written = set(by_dotted_key(asked.file(f"{group}/{option}"), f"{group}."))
        unknown = {key.removeprefix(f"{group}.") for key in written} - {*asked.keys, *asked.top_level}
        assert unknown == set()


@pytest.mark.parametrize(("config_name", "group", "option"), choices())
def test_every_setting_of_every_choice_can_be_given(config_name: str, group: str, option: str) -> None:
    arguments = given_values(config_name, group, option)
    asked_for = [argument for argument in arguments if argument.endswith('="given"')]
    # The section itself asks for these, since its other options need none.
    of_option = {("text", "given"): "text.vectors_path", ("text", "sentence_transformer"): "text.model"}
    if setting := of_option.get((group, option)):
        asked_for.append(f"{setting}=given")
        arguments = [asked_for[-1] if argument == f"{setting}=null" else argument for argument in arguments]
    # A section's choice is tried with its own settings, for the others have cases of their own; a choice such as
    # `experiment=quick`, which writes into sections, with the settings of all of them.
    own = [argument for argument in arguments if argument.startswith(f"{group}.")] or arguments
    needed = [argument for argument in asked_for if argument not in own]
    assert own
    compose_settings([f"{group}={option}", *needed, *own], commands()[config_name], config_name)


@pytest.mark.parametrize("config_name", commands())
def test_the_top_level_of_settings_and_files_is_the_same(config_name: str) -> None:
    asked = request(config_name)
    assert asked.composed.keys() - {"hydra"} == asked.settings_type.model_fields.keys()
    assert asked.choices.keys() == set(groups(config_name))


def repeated_values(tree: Any, base: Any, prefix: str) -> Iterator[str]:
    """The keys of a file whose values stand there already."""
    for name, value in tree.items():
        if isinstance(value, dict) and isinstance(base.get(name), dict):
            yield from repeated_values(value, base[name], f"{prefix}.{name}")
        elif name in base and value == base[name] and value is not None:
            yield f"{prefix}.{name}"


@pytest.mark.parametrize(("config_name", "group", "option"), choices())
def test_no_file_repeats_a_default_of_the_code(config_name: str, group: str, option: str) -> None:
    asked = request(config_name, f"{group}={option}")
    written = asked.file(f"{group}/{option}")
    base = {group: {}} | default_tree(asked.settings_type)
    field = asked.settings_type.model_fields.get(group)
    for kind in sections_in(field.annotation) if field and field.discriminator else ():
        if kind.__name__ in written.get("defaults", []):
            base[group] = default_tree(kind)
    content = written if field is None else {group: written}
    assert list(repeated_values(content, base, "")) == []


@pytest.mark.parametrize("config_name", commands())
def test_no_command_file_repeats_a_default_of_the_code(config_name: str) -> None:
    asked = request(config_name)
    assert list(repeated_values(asked.file(config_name), default_tree(asked.settings_type), "")) == []


def test_a_repeated_default_would_be_found() -> None:
    base = {"dim": 128, "memory": {"recency": 0.9}}
    assert list(repeated_values({"dim": 64, "memory": {"recency": 0.9}}, base, "model")) == ["model.memory.recency"]
    assert list(repeated_values({"dim": 128, "other": 1}, base, "model")) == ["model.dim"]


def leaves_without_words(section: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in section.model_fields.items():
        below = list(sections_in(field.annotation))
        for kind in below:
            yield from leaves_without_words(kind, f"{prefix}{name}.")
        if not below and not field.description:
            yield f"{prefix}{name}"
        yield from (f"{prefix}{name}: {kind.__name__}" for kind in below if not kind.__doc__)


@pytest.mark.parametrize("config_name", commands())
def test_every_setting_says_what_it_is_for(config_name: str) -> None:
    assert list(leaves_without_words(commands()[config_name])) == []


def test_no_settings_file_is_left_over() -> None:
    known = {group for name in commands() for group in groups(name)}
    folders = {path.relative_to(CONFIG_DIR).as_posix() for path in CONFIG_DIR.rglob("*") if any(path.glob("*.yaml"))}
    assert folders - {"pipeline"} == known  # that one is DVC's
    assert {path.stem for path in CONFIG_DIR.glob("*.yaml")} == {*commands(), "command"}


def test_a_file_that_differs_from_its_section_would_be_found() -> None:
    class Below(Section):
        depth: int

    class Above(Section):
        width: int
        below: Below | None = None

    assert list(differences(Above, {"width": 1, "below": {"depth": 1}}, "above")) == []
    assert list(differences(Above, {"height": 1, "below": None}, "above")) == [
        "above.width is missing in the file",
        "above.height is not a setting",
        "above.below must be written out, so that what is below it can be set",
    ]
    assert list(differences(Above, {"width": 1, "below": {}}, "above")) == ["above.below.depth is missing in the file"]
