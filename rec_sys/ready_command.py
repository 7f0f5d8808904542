"""Commands for a person to copy: quoted for a shell and for Hydra, and started as the folder at hand allows."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rec_sys.processes import quote

_PLAIN: Final = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./-]+)*|[1-9][0-9]{0,17}")
_VALUES: Final = ("null", "true", "false", "nan", "inf")  # of Hydra, and no texts unless they are quoted
_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_ -]*[A-Za-z0-9_-]|[A-Za-z0-9_]")
_ROOT: Final = Path(__file__).resolve().parents[1]
_IS_CHECKOUT: Final = (_ROOT / "pyproject.toml").is_file()


def argument(setting: str, value: object) -> str:
    """A setting as it is typed: read back by a shell and Hydra it is this text, path, number, list or mapping.

    >>> argument("data.columns.asin", "Produkt-Nr"), argument("data.columns.asin", "Größe")
    ('data.columns.asin=Produkt-Nr', '\\'data.columns.asin="Größe"\\'')
    """
    return shlex.quote(f"{setting}={_value(value)}")


def is_sayable(value: object) -> bool:
    """Whether a command line can say a value: Hydra has no quotes for the keys of its mappings."""
    if not isinstance(value, Mapping):
        return True
    keys = all(_KEY.fullmatch(key) and key.lower() not in _VALUES for key in value)
    return keys and all(map(is_sayable, value.values()))


def command_to_copy(line: str) -> str:
    """The command line that runs one of this project's modules in the folder that this process was started in.

    Args:
        line: The module, and its arguments as `argument` gives them.
    """
    if not _IS_CHECKOUT:
        module, *arguments = line.split(" ", 1)
        return " ".join(["rec-sys", module.rpartition(".")[2], *arguments])
    if Path.cwd().is_relative_to(_ROOT):
        return f"uv run -m {line}"
    return f"uv run --project {shlex.quote(str(_ROOT))} -m {line}"


def path_to_copy(path: Path) -> Path:
    """A path that stays right where a command is copied to another folder; short in the checkout's own."""
    return path if Path.cwd() == _ROOT else path.absolute()


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{name}:{_value(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_value, value)) + "]"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    is_plain = isinstance(value, str | Path) and _PLAIN.fullmatch(str(value)) and str(value).lower() not in _VALUES
    is_number = str(value)[:1].isdigit()  # which a name may be, but no path
    return str(value) if is_plain and not (is_number and isinstance(value, Path)) else quote(value)
