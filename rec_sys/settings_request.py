"""What a command line asks of the files in config/, so that a wrong setting can be answered with the right file."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from pydantic import BaseModel


@dataclass(frozen=True)
class Request:
    """A command line, read against the files in config/.

    Args:
        settings_type: The pydantic type that the composed settings must fit.
        config_dir: The folder of the YAML files.
        config_name: The file in it that the command starts from, without its ending.
        overrides: The command line's `key=value` arguments.
    """

    settings_type: type[BaseModel]
    config_dir: Path
    config_name: str
    overrides: tuple[str, ...]

    def options(self, group: str) -> list[str]:
        """The files that a group can be set to; empty where there is no such group."""
        return sorted(path.stem for path in (self.config_dir / group).glob("*.yaml"))

    @cached_property
    def primaries(self) -> list[str]:
        """The command's own file, then those it builds on."""

        def walk(name: str) -> Iterator[str]:
            yield name
            for entry in self._defaults(name):
                if isinstance(entry, str) and entry != "_self_":
                    yield from walk(entry)

        return list(walk(self.config_name))

    @cached_property
    def choices(self) -> dict[str, str]:
        """The file chosen in each group: by default, or on the command line."""
        chosen: dict[str, str] = {}
        for name in reversed(self.primaries):
            for entry in self._defaults(name):
                if isinstance(entry, dict):
                    # A key of two words, such as `override hydra/job_logging`, speaks to Hydra.
                    chosen |= {group: choice for group, choice in entry.items() if " " not in group}
        for text in self.overrides:
            group, _, choice = text.lstrip("+").partition("=")
            if choice in self.options(group):
                chosen[group] = choice
        return chosen

    @cached_property
    def top_level(self) -> list[str]:
        """The names that may stand before the first dot."""
        return sorted({*self.settings_type.model_fields, *self.choices})

    def file(self, name: str) -> dict[str, Any]:
        """The content of a file in config/, given without its ending, as it is written there."""
        content = OmegaConf.to_container(OmegaConf.load(self.config_dir / f"{name}.yaml"))
        return {str(key): value for key, value in content.items()} if isinstance(content, dict) else {}

    def content(self, key: str) -> Any:
        """What stands at a dotted key under the chosen files: a section's keys, or a bare value.

        Raises:
            KeyError: Nothing stands there.
        """
        name, *below = key.split(".")
        if name in self.choices:
            found: Any = self.file(f"{name}/{self.choices[name]}")
        else:
            found = next((self.file(primary)[name] for primary in self.primaries if name in self.file(primary)), None)
            if found is None and name not in self.top_level:
                raise KeyError(key)
        for part in below:
            if not isinstance(found, dict):
                raise KeyError(key)
            found = found[part]
        return found

    def exists(self, key: str) -> bool:
        """Whether a dotted key is one of the settings under the chosen files."""
        try:
            self.content(key)
        except KeyError:
            return False
        return True

    def parent(self, key: str) -> str:
        """The nearest existing key above a key that does not exist; empty at the top level."""
        while key and not self.exists(key):
            key = key.rpartition(".")[0]
        return key

    @cached_property
    def keys(self) -> list[str]:
        """Every dotted key below the top level: those of the chosen files first, then those of other choices."""
        chosen = [key for name in self.top_level for key in dotted_keys(self.content(name), name)]
        others = [(name, option) for name in self.choices if name in self._sections for option in self.options(name)]
        return chosen + [key for name, file in others for key in dotted_keys(self.file(f"{name}/{file}"), name)]

    def typed(self, key: str) -> bool:
        """Whether the command line names this key or one below it."""
        names = (text.lstrip("+~").partition("=")[0] for text in self.overrides)
        return any(name == key or name.startswith(f"{key}.") for name in names)

    def experiment(self, key: str) -> str | None:
        """The choice, such as `experiment=quick`, whose file writes this key into another section."""
        guests = [(group, choice) for group, choice in self.choices.items() if group not in self._sections]
        writers = [f"{group}={choice}" for group, choice in guests if has_key(self.file(f"{group}/{choice}"), key)]
        return writers[-1] if writers and "." in key else None

    def home(self, key: str) -> str:
        """The path of the file that gives a key its value, or in which it would stand."""
        group = key.partition(".")[0]
        if experiment := self.experiment(key):
            file = experiment.replace("=", "/")
        elif group in self.choices and group in self._sections:
            file = f"{group}/{self.choices[group]}"
        else:
            file = next((name for name in self.primaries if group in self.file(name)), self.config_name)
        return f"{self.config_dir.name}/{file}.yaml"

    def place(self, key: str) -> str:
        """Where to look for a key: on the command line or in its file."""
        bare = key.partition("[")[0]
        return f"setting {key} ({'command line; its file is ' if self.typed(bare) else ''}{self.home(bare)})"

    @property
    def _sections(self) -> set[str]:
        return set(self.settings_type.model_fields)

    def _defaults(self, name: str) -> list[Any]:
        return list(self.file(name).get("defaults", []))


def has_key(tree: Any, key: str) -> bool:
    """Whether a dotted key stands in a YAML file's content."""
    for part in key.split("."):
        if not isinstance(tree, dict) or part not in tree:
            return False
        tree = tree[part]
    return True


def dotted_keys(tree: Any, prefix: str) -> Iterator[str]:
    """Every dotted key below a YAML file's content, each beginning with `prefix` and a dot."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            yield f"{prefix}.{name}"
            yield from dotted_keys(value, f"{prefix}.{name}")
