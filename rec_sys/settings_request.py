"""What a command line asks of config/, so that a wrong setting can be answered with the right name and file."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, get_args

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

_stored: dict[tuple[str | None, str], type[BaseModel]] = {}  # by group and name; to store a section's defaults is slow


@dataclass(frozen=True)
class Request:
    """A command line of `key=value` arguments, read against the configuration that it chooses.

    The command starts from the file `config_name`, given without its ending; its settings must fit `settings_type`.
    """

    settings_type: type[BaseModel]
    config_dir: Path
    config_name: str
    overrides: tuple[str, ...]

    def compose(self, overrides: Iterable[str], *, with_hydra: bool = False) -> DictConfig:
        """What Hydra makes of arguments."""
        store_defaults(self.settings_type)
        # Hydra composes once at a time, and it may be Hydra that has called us.
        running = GlobalHydra.instance().hydra
        GlobalHydra.instance().clear()
        try:
            with initialize_config_dir(str(self.config_dir), version_base=None):
                return compose(self.config_name, overrides=list(overrides), return_hydra_config=with_hydra)
        finally:
            GlobalHydra.instance().hydra = running

    def options(self, group: str) -> list[str]:
        """The files that a group can be set to; empty where there is no such group."""
        return sorted(path.stem for path in (self.config_dir / group).glob("*.yaml"))

    @cached_property
    def composed(self) -> dict[str, Any]:
        """The configuration under the files chosen on the command line, before any value is given."""
        pairs = ((text, *text.lstrip("+").partition("=")[::2]) for text in self.overrides)
        chosen = tuple(text.lstrip("+") for text, group, choice in pairs if choice in self.options(group))
        return _compose_choices(replace(self, overrides=chosen))

    @cached_property
    def choices(self) -> dict[str, str]:
        """The file chosen in each group: by default, or on the command line."""
        chosen = self.composed["hydra"]["runtime"]["choices"]
        return {group: choice for group, choice in reversed(chosen.items()) if not group.startswith("hydra/")}

    @cached_property
    def top_level(self) -> list[str]:
        """The names that may stand before the first dot."""
        return sorted({*self.settings_type.model_fields, *self.choices})

    def option(self, group: str, name: str) -> dict[str, Any]:
        """What one file of a section's group gives, with what it starts from, read without Hydra, which takes long."""
        written = self.file(f"{group}/{name}")
        kind_name = written.pop("defaults", [None])[0]
        kinds = sections_in(self.settings_type.model_fields[group].annotation)
        base = next((default_tree(kind) for kind in kinds if kind.__name__ == kind_name), {})
        return _plain(OmegaConf.merge(base, written))

    def owners(self, group: str, key: str) -> list[str]:
        """The files of a group with several kinds of section that have a key, given without the group's name."""
        field = self.settings_type.model_fields.get(group)
        kinds = list(sections_in(field.annotation)) if field else []
        if len(kinds) < 2 or not any(key.partition(".")[0] in kind.model_fields for kind in kinds):
            return []
        return [option for option in self.options(group) if key in by_dotted_key(self.option(group, option))]

    def file(self, name: str) -> dict[str, Any]:
        """What is written in one file of config/, given without its ending, and nothing that it starts from."""
        return _plain(OmegaConf.load(self.config_dir / f"{name}.yaml"))

    def remark(self, group: str, name: str) -> str:
        """What the first line of an option's file says of it; empty where that is no comment."""
        lines = (self.config_dir / group / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
        first = next((line for line in lines if not line.startswith("# @package")), "")
        return first.removeprefix("# ") if first.startswith("# ") else ""

    @cached_property
    def tree(self) -> dict[str, Any]:
        """What stands at every dotted key under the chosen files: a section's content, or a bare value."""
        return by_dotted_key({name: self.composed.get(name, {}) for name in self.top_level})

    def parent(self, key: str) -> str:
        """The nearest existing key above a key that does not exist; empty at the top level."""
        while key and key not in self.tree:
            key = key.rpartition(".")[0]
        return key

    @cached_property
    def keys(self) -> list[str]:
        """Every dotted key below the top level: those of the chosen files first, then those of other choices."""
        chosen = [key for key in self.tree if "." in key]
        kinds = {name: list(sections_in(field.annotation)) for name, field in self.settings_type.model_fields.items()}
        others = [(name, kind) for name, found in kinds.items() if len(found) > 1 for kind in found]
        return chosen + [key for name, kind in others for key in by_dotted_key(default_tree(kind), f"{name}.")]

    def typed(self, key: str) -> bool:
        """Whether the command line names this key or one below it."""
        names = (text.lstrip("+~").partition("=")[0] for text in self.overrides)
        return any(name == key or name.startswith(f"{key}.") for name in names)

    def experiment(self, key: str) -> str | None:
        """The choice, such as `experiment=quick`, whose file writes this key into another section."""
        guests = (item for item in self.choices.items() if item[0] not in self.settings_type.model_fields)
        return next(("=".join(item) for item in guests if key in by_dotted_key(self.file("/".join(item)))), None)

    def home(self, key: str) -> str:
        """The path of the file that gives a key its value, or in which it would stand."""
        group = key.partition(".")[0]
        if experiment := self.experiment(key):
            file = experiment.replace("=", "/")
        elif group in self.choices and group in self.settings_type.model_fields:
            file = f"{group}/{self.choices[group]}"
        else:
            file = next((name for name in self._primaries(self.config_name) if group in self.file(name)), "")
        return f"{self.config_dir.name}/{file or self.config_name}.yaml"

    def place(self, key: str) -> str:
        """Where to look for a key: on the command line or in its file, where a default of the code is not written."""
        bare = key.partition("[")[0]
        home = self.home(bare)
        written = by_dotted_key(self.file(home.partition("/")[2].removesuffix(".yaml")))
        verb = "its file is" if {bare, bare.partition(".")[2]} & written.keys() else "it would stand in"
        return f"setting {key} ({f'command line; {verb} ' if self.typed(bare) else ''}{home})"

    def _primaries(self, name: str) -> Iterator[str]:
        """The command's own file, then those it builds on."""
        yield name
        for entry in self.file(name).get("defaults", []):
            if isinstance(entry, str) and (self.config_dir / f"{entry}.yaml").is_file():
                yield from self._primaries(entry)


@cache
def _compose_choices(request: Request) -> dict[str, Any]:
    """What the choices of a command come to; for reading alone, since every request with the same ones is given it."""
    return _plain(request.compose(request.overrides, with_hydra=True))


def _plain(config: Any) -> dict[str, Any]:
    content = OmegaConf.to_container(config)
    return {str(key): value for key, value in content.items()} if isinstance(content, dict) else {}


def by_dotted_key(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested mapping by dotted keys: each section, followed by what stands in it."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found[f"{prefix}{name}"] = value
        if isinstance(value, dict):
            found |= by_dotted_key(value, f"{prefix}{name}.")
    return found


def store_defaults(settings_type: type[BaseModel]) -> None:
    """Registers what the files of a command start from, each under the name of its type.

    The command's own type is a node at the top level of config/. A group whose section has several kinds, such as
    `data`, has a node for each kind beside its files.
    """
    for base in settings_type.__mro__:  # a command that builds on another one's file starts from its node too
        if issubclass(base, BaseModel) and base.model_fields:
            _store(None, base)
    for group, field in settings_type.model_fields.items():
        kinds = list(sections_in(field.annotation))
        for kind in kinds if len(kinds) > 1 else ():
            _store(group, kind)


def _store(group: str | None, section: type[BaseModel]) -> None:
    place = (group, section.__name__)
    if _stored.get(place) is not section:
        ConfigStore.instance().store(group=group, name=section.__name__, node=default_tree(section))
        _stored[place] = section


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
