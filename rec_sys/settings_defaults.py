"""The defaults that stand in the code, handed to Hydra, so that a file in config/ only says what differs from them."""

from collections.abc import Iterator
from typing import Any, get_args

from hydra.core.config_store import ConfigStore
from pydantic import BaseModel
from pydantic_core import to_jsonable_python


def store_defaults(settings_type: type[BaseModel]) -> None:
    """Registers what the files of a command start from, each under the name of its type.

    The command's own type is a node at the top level of config/. A group whose section has several kinds, such as
    `data`, has a node for each kind beside its files.
    """
    store = ConfigStore.instance()
    for base in settings_type.__mro__:  # a command that builds on another one's file starts from its node too
        if issubclass(base, BaseModel) and base.model_fields:
            store.store(name=base.__name__, node=default_tree(base))
    for group, field in settings_type.model_fields.items():
        kinds = list(sections_in(field.annotation))
        for kind in kinds if len(kinds) > 1 else ():
            store.store(group=group, name=kind.__name__, node=default_tree(kind))


def default_tree(section: type[BaseModel]) -> dict[str, Any]:
    """The defaults of a section and of those below it, as YAML has them; what must be given is left out."""
    tree: dict[str, Any] = {}
    for name, field in section.model_fields.items():
        kinds = list(sections_in(field.annotation))
        if not field.is_required():
            tree[name] = to_jsonable_python(field.get_default(call_default_factory=True))
        elif len(kinds) == 1 and field.annotation is kinds[0]:
            tree[name] = default_tree(kinds[0])
    return tree


def sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The sections that a field's type names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from sections_in(argument)
