"""What `--help` prints: what a command does, the choices it reads, and every setting under the choices made."""

import json
import textwrap
from collections.abc import Iterator
from typing import Any, Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from rec_sys.settings_errors import check_overrides, tags
from rec_sys.settings_request import Request, sections_in
from rec_sys.value_words import describe_values

_WIDTH: Final = 120
_INDENT: Final = " " * 6
_FLAGS: Final = """\
  --multirun, -m    a run for each of several values: KEY=A,B or GROUP=A,B
  --cfg job         print the composed settings and run nothing
  --hydra-help      the flags that belong to Hydra"""


def help_text(request: Request, purpose: str) -> str:
    """The whole help of a command, which begins with the first paragraph of its purpose.

    Raises:
        InputError: An argument cannot be read, or a choice does not exist.
    """
    check_overrides(request)
    parts = [" ".join(purpose.partition("\n\n")[0].split())]
    if request.choices:
        parts.append("\n".join(["Groups, each chosen with GROUP=OPTION:", *_groups(request)]))
    parts.append("\n".join(["Settings with their defaults, each given with KEY=VALUE:", *_settings(request)]))
    return "\n\n".join([*parts, f"Flags:\n{_FLAGS}"])


def _groups(request: Request) -> Iterator[str]:
    for group, choice in request.choices.items():
        yield f"  {group}={choice}"
        options = {option: request.remark(group, option) for option in request.options(group)}
        width = max(map(len, options))
        yield from (f"      {option:{width}}  {remark}".rstrip() for option, remark in options.items())


def _settings(request: Request) -> Iterator[str]:
    for key, field, value in settings_of(request.settings_type, request.composed):
        if isinstance(value, dict):
            kind = _kind(field, value)
            purpose = (kind.__doc__ or "").partition("\n")[0] if kind else ""
            yield f"\n  {key}: {purpose}"
            continue
        takes = describe_values(field)
        given = "VALUE" if value == "???" else value if isinstance(value, str) else json.dumps(value)
        words = f"{takes}{', must be given' if value == '???' else ''}. {field.description or ''}"
        yield f"  {key}={given}"
        yield from textwrap.wrap(
            words, _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT, break_on_hyphens=False
        )


def settings_of(
    section: type[BaseModel], content: dict[str, Any], prefix: str = ""
) -> Iterator[tuple[str, FieldInfo, Any]]:
    """Every key below a section with its field and composed value: bare values first, then sections and theirs."""
    fields = section.model_fields.items()
    below = {name: kind for name, field in fields if (kind := _kind(field, content.get(name)))}
    for name, field in fields:
        if name not in below:
            yield f"{prefix}{name}", field, content.get(name)
    for name, kind in below.items():
        yield f"{prefix}{name}", section.model_fields[name], content[name]
        yield from settings_of(kind, content[name], f"{prefix}{name}.")


def _kind(field: FieldInfo, content: Any) -> type[BaseModel] | None:
    """The section that a key's content is for; of several kinds the one that its tag names."""
    kinds = list(sections_in(field.annotation)) if isinstance(content, dict) else []
    tag = field.discriminator
    if isinstance(tag, str):
        kinds = [kind for kind in kinds if content.get(tag) in tags(kind, field)]
    return kinds[0] if kinds else None
