"""What a module depends on, read from the source: the modules it imports or starts, and the libraries behind them.

Imports inside functions count. So does a module that is started by its name, as `python -m` takes it.
"""

import ast
import re
import sys
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Final

PACKAGES: Final = ("rec_sys", "triton_utils")
_STARTED: Final = re.compile(r"(?:(?:\S*python\S*|uv run)\s(?:.*\s)?)?(?:-m\s*)?([\w.]+)")
_IMPORTING: Final = ("import_module", "__import__")


@dataclass(frozen=True)
class Arrow:
    """One dependency of a module, and the line that says so.

    Attributes:
        target: The module of this project that it needs, or what it imports of a library.
        lazy: Only once a function is called.
        typing: Only for type checkers.
        starts: Not an import: a process with that module.
    """

    source: str
    target: str
    line: int
    lazy: bool = False
    typing: bool = False
    starts: bool = False

    def __str__(self) -> str:
        return f"{self.source}:{self.line} {'starts' if self.starts else 'imports'} {self.target}"


class SourceTree:
    """The modules of this project below the folder that holds the packages, and the arrows between them.

    Attributes:
        files: The source file of each module.
        installed: The version of each distribution that was asked for; to read one takes milliseconds.
    """

    def __init__(self, root: Path) -> None:
        self.files = {
            module_name(path.relative_to(root)): path for package in PACKAGES for path in (root / package).rglob("*.py")
        }
        self.installed: dict[str, str] = {}
        self._read: dict[str, list[Arrow]] = {}

    def arrows(self, module: str) -> list[Arrow]:
        """What one module needs."""
        if module not in self._read:
            self._read[module] = sorted(self._arrows(module), key=str)
        return self._read[module]

    def all_arrows(self) -> Iterator[Arrow]:
        """What every module needs."""
        for module in self.files:
            yield from self.arrows(module)

    def closure(self, starts: Iterable[str], without: Collection[str] = ()) -> set[str]:
        """The modules that `starts` run: themselves, all they need but `without`, and the packages around each."""
        reached: set[str] = set()
        waiting = list(starts)
        while waiting:
            module = waiting.pop()
            if module in reached or module in without or module not in self.files:
                continue
            reached.add(module)
            names = module.split(".")
            waiting += [".".join(names[:depth]) for depth in range(1, len(names))]  # their `__init__` runs
            waiting += [arrow.target for arrow in self.arrows(module) if not arrow.typing]
        return reached

    def versions(self, modules: Iterable[str]) -> dict[str, str]:
        """The installed version of each distribution that modules import; libraries that are absent are left out."""
        arrows = (arrow for module in modules for arrow in self.arrows(module) if not arrow.typing)
        libraries = {arrow.target.partition(".")[0] for arrow in arrows} - sys.stdlib_module_names - {*PACKAGES}
        names = {name for library in libraries for name in self._distributions.get(library, ())}
        self.installed |= {name: metadata.version(name) for name in names - self.installed.keys()}
        return {name: self.installed[name] for name in sorted(names)}

    @cached_property
    def _distributions(self) -> dict[str, list[str]]:
        return {module: list(names) for module, names in metadata.packages_distributions().items()}

    def _arrows(self, module: str) -> set[Arrow]:
        path = self.files[module]
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        found: set[Arrow] = set()
        for node, lazy, typing in _statements(tree):
            for target in _imported_names(node, package):
                # `from package import name` means the module of that name where there is one, else its package.
                own = target.partition(".")[0] in PACKAGES
                while own and target not in self.files and "." in target:
                    target = target.rpartition(".")[0]
                found.add(Arrow(module, target, node.lineno, lazy, typing))
        imported = {(arrow.target, arrow.line) for arrow in found}  # by a name in a text, as importlib takes it
        started = {place for place in started_modules(tree) if place[0] in self.files} - imported
        return found | {Arrow(module, name, line, starts=True) for name, line in started}


def module_name(path: Path) -> str:
    """The dotted name of a source file, given below the folder of its package."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def started_modules(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Every text of a source that is a module's name as a command takes it, with its line; docstrings are none.

    Texts that are put together from constants are read as a whole.
    """
    constants: dict[str, str] = {}
    texts: list[ast.expr] = []
    prose: set[ast.expr] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp):
            texts.append(node)
        elif isinstance(node, ast.Expr):
            prose.add(node.value)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            value = _text(node.value, constants)
            constants |= {target.id: value for target in targets if isinstance(target, ast.Name) and value is not None}
    for node in texts:
        value = None if node in prose else _text(node, constants)
        started = _STARTED.fullmatch(value) if value and "." in value else None
        if started and "." in started[1]:
            yield started[1], node.lineno


def _text(node: ast.AST | None, constants: dict[str, str]) -> str | None:
    """The text that an expression of constants is; None where it is anything else."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.Name):
        return constants.get(node.id)
    if isinstance(node, ast.FormattedValue):
        return _text(node.value, constants)
    if isinstance(node, ast.JoinedStr | ast.BinOp):
        parts = node.values if isinstance(node, ast.JoinedStr) else [node.left, node.right]
        texts = [_text(part, constants) for part in parts]
        return None if None in texts else "".join(text for text in texts if text)
    return None


def _statements(
    node: ast.AST, lazy: bool = False, typing: bool = False
) -> Iterator[tuple[ast.stmt | ast.expr, bool, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom | ast.Call):
            yield child, lazy, typing
        deeper = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        checking = isinstance(child, ast.If) and _name_of(child.test) == "TYPE_CHECKING"
        yield from _statements(child, lazy or deeper, typing or checking)


def _name_of(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _imported_names(node: ast.stmt | ast.expr, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        base = ".".join([*above, *([node.module] if node.module else [])])
        yield from (f"{base}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Call) and _name_of(node.func) in _IMPORTING:
        first = node.args[0] if node.args else None
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            yield first.value
