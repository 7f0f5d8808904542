"""What a person reads when a setting is wrong: its name, where it stands, what it takes and the nearest valid one.

Hydra and pydantic answer in their own terms (struct keys, union tags, parser alternatives); this module says the same
in terms of the command line and the files in config/.
"""

import difflib
import json
import shlex
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, get_args, get_origin

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from rec_sys.contracts import InputError
from rec_sys.settings_request import Request, sections_in
from rec_sys.shown_text import SECRET_NAMES, shorten
from rec_sys.value_words import describe_values, fault_in_words

_LONGEST_NAME: Final = 200  # characters
_MOST_SHOWN: Final = 5  # one slip, such as an experiment made for other data, can break many keys at once
# Former names, for those whose scripts still have them.
_RENAMED: Final = {
    "peers": "baselines",
    "peer_settings": "baseline_settings",
    "model.co_review.burst": "model.co_review.session",
    "model.co_review.burst_days": "model.co_review.session_days",
}


def check_overrides(request: Request) -> None:
    """Refuses what is wrong with the command line itself, before anything is composed.

    Raises:
        InputError: An argument is no `key=value`, cannot be read, or chooses a file that does not exist.
    """
    parser = OverridesParser.create()
    for text in request.overrides:
        name, equals, value = text.partition("=")
        key = name.lstrip("+~")
        if not key:
            raise InputError(f"{text} names no setting", where="command line", remedy=f"write NAME={value or 'VALUE'}")
        if not equals and not name.startswith("~"):
            near = "" if key.partition(".")[0] in request.top_level else f"; {_suggestion(key, request)}"
            raise InputError(f"{text} has no value", where="command line", remedy=f"write {key}=VALUE{near}")
        if len(key) > _LONGEST_NAME:
            raise _refusal(f"{key[:_LONGEST_NAME]}...", "no setting has a name so long", "write NAME=VALUE")
        try:
            override = parser.parse_override(text)
        except (HydraException, ValueError, RecursionError) as error:  # the others: a number, brackets without end
            remedy = f"put it in quotes within quotes: {_quoted(key, value)}"
            raise _refusal(key, f"the value of {key} cannot be read: {_shown(value, key)}", shorten(remedy)) from error
        if override.is_sweep_override():
            remedy = f"add --multirun for a run with each, or, if it is one value, write {_quoted(key, value)}"
            raise _refusal(key, f"{key} is given several values: {_shown(value, key)}", shorten(remedy))
        _check_choice(override, request)


def explain_composition(error: Exception, request: Request) -> InputError:
    """Says which argument Hydra could not place."""
    for text in request.overrides:
        key, _, value = text.partition("=")
        if isinstance(present := request.tree.get(key), dict) and value.lstrip().startswith("{"):
            given = OverridesParser.create().parse_override(text).value()
            if isinstance(given, dict) and (added := [name for name in given if name not in present]):
                names = " and ".join(map(str, added))
                what = f"{key} has {', '.join(present) or 'nothing yet'}, and {names} is not among it"
                return InputError(what, where=request.place(key), remedy=f"add it with +{key}.{added[0]}=VALUE")
        key = key.lstrip("~")
        # A plus sign may add any key, and Hydra answers for its own settings itself.
        if key.startswith(("+", "hydra")) or key in request.tree:
            continue
        what, remedy = _unknown_key(key, request)
        return InputError(what, where=request.place(key), remedy=remedy)
    first_line = shorten((str(error).splitlines() or [type(error).__name__])[0])
    return InputError(first_line, where="command line", remedy="--help shows every setting, --cfg hydra Hydra's own")


def explain_interpolation(error: OmegaConfBaseException | RecursionError, request: Request) -> InputError:
    """Names the key whose `${...}` leads nowhere."""
    first_line = shorten(str(error).partition("\n")[0])
    place = request.place(getattr(error, "full_key", None) or "")
    return InputError(first_line, where=place, remedy="write its value out")


def explain_missing(keys: Sequence[str], request: Request) -> InputError:
    """Names the values that only the user can give."""
    return InputError(
        f"{' and '.join(keys)} {'has' if len(keys) == 1 else 'have'} no value",
        where="; ".join(request.place(key) for key in keys),
        remedy=f"add {' '.join(f'{key}=VALUE' for key in keys)} to the command",
    )


def explain_validation(error: ValidationError, request: Request) -> InputError:
    """Says of each refused key what it was given and what it takes."""
    found: dict[str, tuple[str, str, str]] = {}
    for problem in error.errors(include_url=False):
        key, field = locate(request.settings_type, problem["loc"])
        given, kind, context = problem["input"], problem["type"], problem.get("ctx", {})
        what, remedy = f"{key}={_shown(given, key)} cannot be used", f"{key.partition('[')[0]} takes {_allowed(field)}"
        if kind in ("union_tag_invalid", "union_tag_not_found") and isinstance(given, dict):
            tag = context["discriminator"].strip("'")
            key, given, takes = f"{key}.{tag}", given.get(tag), context.get("expected_tags", "a value").replace("'", "")
            what, remedy = f"{key}={_shown(given)} cannot be used", f"{key} takes {takes}"
        elif kind in ("extra_forbidden", "missing") and (mismatch := _changed_tag(problem["loc"], request)):
            key, what, remedy = mismatch
        elif kind == "extra_forbidden":
            what, remedy = _unknown_key(key, request)
        elif kind == "missing" and isinstance(problem["loc"][-1], int):
            what = f"{key} is missing"
        elif kind == "missing":
            choices = "|".join(request.options(key)) or "VALUE"
            what, remedy = f"{key} has no value", f"add {key}={choices} to the command"
        elif kind == "address":
            remedy = problem["msg"]
        elif kind == "value_error":
            what, remedy = fault_in_words(problem, key), "change one of the settings named"
        # The members of a union such as `int | "auto"` each complain about the same key.
        found.setdefault(key, (what, request.place(key), remedy))
    shown = list(found.values())[:_MOST_SHOWN]
    what, where, remedy = ("; ".join(dict.fromkeys(column)) for column in zip(*shown, strict=True))
    more = f"; and {len(found) - len(shown)} more" if len(found) > len(shown) else ""
    return InputError(what + more, where=where, remedy=remedy)


def locate(settings_type: type[BaseModel], location: Iterable[str | int]) -> tuple[str, FieldInfo | None]:
    """The dotted key, as the user writes it, and the field at one of pydantic's error locations.

    Pydantic puts the tag of a union's chosen member into the location; that is no part of the key.
    """
    names: list[str] = []
    field: FieldInfo | None = None
    sections = [settings_type]
    for part in location:
        if isinstance(part, int):
            names[-1] += f"[{part}]"
        elif len(sections) > 1:
            sections = [section for section in sections if part in tags(section, field)]
        elif sections:
            names.append(part)
            field = sections[0].model_fields.get(part)
            sections = list(sections_in(field.annotation)) if field else []
    return ".".join(names), field


def _changed_tag(location: Sequence[str | int], request: Request) -> tuple[str, str, str] | None:
    """Where a section's file was made for another member of a union: the key that says so, what is wrong, what to do.

    `data.reader=table` without `data=table` leaves the keys of another reader in place; the one wrong key is the
    cause of every complaint.
    """
    group = str(location[0])
    field = request.settings_type.model_fields.get(group)
    name = field.discriminator if field else None
    if not isinstance(name, str) or len(location) < 2 or request.tree[group].get(name) == location[1]:
        return None
    key, tag = f"{group}.{name}", str(location[1])
    fitting = [option for option in request.options(group) if request.option(group, option).get(name) == tag]
    named = " or ".join(f"{group}={option}" for option in fitting)
    return key, f"{key}={tag} does not fit {group}={request.choices[group]}", f"choose {named}, and leave {key} out"


def tags(section: type[BaseModel], union: FieldInfo | None) -> set[Any]:
    """What pydantic may call a union's member: its discriminator's values, or, where that is not known, its name."""
    fields = section.model_fields
    if union and isinstance(union.discriminator, str):
        return set(get_args(fields[union.discriminator].annotation))
    literals = (field.annotation for field in fields.values() if get_origin(field.annotation) is Literal)
    return {section.__name__, *(value for literal in literals for value in get_args(literal))}


def _check_choice(override: Override, request: Request) -> None:
    group, choice = override.key_or_group, _shown(override.value())
    options = request.options(group)
    if not options or override.is_delete() or override.package:
        return
    if choice not in options:
        near = _nearest(choice, options)
        question = f"did you mean {group}={near}? " if near else ""
        remedy = f"{question}{request.config_dir.name}/{group}/ has {', '.join(options)}"
        raise _refusal(group, f"{group}={choice} does not exist", remedy)
    if override.is_add() and group in request.choices:
        what = f"{group} is a choice that always stands, it cannot be added"
        raise _refusal(group, what, f"write {group}={choice}")


def _refusal(key: str, what: str, remedy: str) -> InputError:
    return InputError(what, where=f"setting {key} (command line)", remedy=remedy)


def _unknown_key(key: str, request: Request) -> tuple[str, str]:
    """What is wrong with a key that does not exist, and what to write instead."""
    group, _, rest = key.partition(".")
    owners = request.owners(group, rest)
    if owners and group in request.choices:
        named = " or ".join(f"{group}={option}" for option in owners)
        what = f"{key} belongs to {named}, and {group}={request.choices[group]} is chosen"
        unwanted = key if request.typed(key) else request.experiment(key) or key
        return what, f"choose {named}, or leave {unwanted} out"
    what = f"{key} is not a setting"
    parent = request.parent(key)
    if parent and group not in request.settings_type.model_fields:
        return what, f"{group} only chooses a file: write {group}={'|'.join(request.options(group))}"
    if parent and not isinstance(request.tree[parent], dict):
        return what, f"{parent} is one value, not a section: write {parent}=VALUE"
    return what, _suggestion(key, request)


def _suggestion(key: str, request: Request) -> str:
    """The nearest valid key: beside the one typed, then by its last name anywhere, else all that stand beside it."""
    if (renamed := _RENAMED.get(key.partition("[")[0])) and renamed in request.tree:
        return f"it is called {renamed} now"
    parent = request.parent(key)
    misspelt, _, rest = key.removeprefix(parent).removeprefix(".").partition(".")
    beside = [f"{parent}.{name}" for name in request.tree[parent]] if parent else request.top_level
    near = _nearest(misspelt, beside)
    if near and rest and f"{near}.{rest}" in request.tree:
        near = f"{near}.{rest}"
    elif rest or not near:
        near = _nearest(key, request.keys, cutoff=0.75) or near
    title = f"{parent} has" if parent else "the settings are"
    return f"did you mean {near}?" if near else f"{title} {', '.join(beside)}"


def _nearest(key: str, choices: Sequence[str], cutoff: float = 0.6) -> str | None:
    """The choice whose last name is nearest to the last name of `key`; the first of equals."""
    typed = key.rpartition(".")[2]
    near = {choice: _closeness(typed, choice.rpartition(".")[2]) for choice in choices}
    fitting = [choice for choice in choices if max(near[choice]) >= cutoff]
    return max(fitting, key=lambda choice: near[choice], default=None)


def _closeness(typed: str, name: str) -> tuple[float, float, float]:
    """How alike two names are, by the whole name or by words that make up half of it, then by any of its words.

    `user` is a word of `user_id`, and only like the word `users`.
    """
    words, length = name.split("_"), typed.count("_") + 1
    runs = {"_".join(words[start : start + length]) for start in range(len(words))}
    alike = {run: difflib.SequenceMatcher(None, typed, run).ratio() for run in {*runs, name}}
    return max(like for run, like in alike.items() if 2 * len(run) >= len(name)), max(alike.values()), alike[name]


def _allowed(field: FieldInfo | None) -> str:
    """What a field takes, in words, and what it is for."""
    if field is None:
        return "another value"
    return describe_values(field) + (f" ({field.description.rstrip('.')})" if field.description else "")


def _shown(value: Any, key: str = "") -> str:
    """A value as the user would type it; of a key that holds a secret nothing of it."""
    if {part.partition("[")[0].rstrip("s") for part in key.split(".")} & {*SECRET_NAMES}:
        return "***"
    return shorten(value if isinstance(value, str) else json.dumps(value, default=str))


def _quoted(key: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return shlex.quote(f'{key}="{escaped}"')
