"""Imports point one way. The arrows are read from the source, those inside functions included."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("rec_sys", "triton_utils")

# From the ground up. A room may import the rooms of lower levels, never one of its own level or above.
LEVELS: tuple[tuple[str, ...], ...] = (
    ("contracts", "ragged"),
    ("settings", "files", "scoring", "processes", "bound_process", "progress"),
    ("settings_defaults",),
    ("settings_request",),
    ("settings_errors",),
    ("settings_help",),
    ("entry", "bundle", "tracking"),
    ("data", "text", "triton_utils"),
    ("graph", "vector_database"),
    ("modules", "inference"),
    ("evaluation", "serving"),
    ("baselines",),
    ("train",),
    ("experiments",),
)
RANKS = {room: rank for rank, rooms in enumerate(LEVELS) for room in rooms}
TRAINING_ROOMS = {"data", "graph", "modules", "evaluation", "baselines", "train", "experiments"}
# Free of torch and of the training side: what serves a recommendation, and the ground that it stands on.
SERVING_ROOMS = {"contracts", "ragged", "settings", "scoring", "bundle", "vector_database"}
SERVING_ROOMS |= {"inference", "serving", "triton_utils", "progress"}
HEAVY = {"torch", "torch_geometric", "pytorch_lightning", "lightning"}
TRACKING = "rec_sys.tracking"


@dataclass(frozen=True)
class Arrow:
    """One import: who, of whom, in which line, and whether only once a function is called."""

    source: str
    target: str
    line: int
    lazy: bool

    def __str__(self) -> str:
        return f"{self.source}:{self.line} imports {self.target}"


class Tree:
    """The modules below a folder and the arrows between them."""

    def __init__(self, root: Path) -> None:
        self.files = {
            module_name(path.relative_to(root)): path for package in PACKAGES for path in (root / package).rglob("*.py")
        }
        self.arrows = {name: sorted(self._read(name, path), key=str) for name, path in self.files.items()}

    def _read(self, name: str, path: Path) -> set[Arrow]:
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        found = set()
        for node, lazy in statements(ast.parse(path.read_text(encoding="utf-8"), str(path))):
            for target in imported_names(node, package):
                # `from package import name` means the module of that name where there is one, else its package.
                own = target.split(".")[0] in PACKAGES
                while own and target not in self.files and "." in target:
                    target = target.rpartition(".")[0]
                found.add(Arrow(name, target, node.lineno, lazy))
        return found


def module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def statements(node: ast.AST, lazy: bool = False) -> Iterator[tuple[ast.stmt | ast.expr, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom | ast.Call):
            yield child, lazy
        yield from statements(child, lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))


def imported_names(node: ast.stmt | ast.expr, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        base = ".".join([*above, *([node.module] if node.module else [])])
        yield from (f"{base}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if function in ("import_module", "__import__") and isinstance(node.args[0].value, str):
            yield node.args[0].value


def room_of(module: str) -> str:
    """The room of a module; empty for the bare package, which holds nothing."""
    package, *below = module.split(".")
    return package if package != "rec_sys" else below[0] if below else ""


def rooms_without_a_rank(tree: Tree) -> list[str]:
    return sorted({room_of(module) for module in tree.files} - {""} - RANKS.keys())


def climbing_arrows(tree: Tree) -> list[str]:
    found = []
    for arrow in (arrow for arrows in tree.arrows.values() for arrow in arrows):
        source, target = room_of(arrow.source), room_of(arrow.target)
        if arrow.target.split(".")[0] not in PACKAGES or source == target or not target:
            continue
        if RANKS.get(target, len(LEVELS)) >= RANKS.get(source, -1):
            found.append(str(arrow))
    return found


def serving_faults(tree: Tree) -> list[str]:
    """Roads from the serving side to torch or to a training room, each with all its steps.

    The text encoder may be reached. What it imports only when it must export its model first does not count: the
    serving side is handed an exported one.
    """
    faults = []
    waiting: list[tuple[str, tuple[str, ...]]] = [
        (module, (module,)) for module in sorted(tree.files) if room_of(module) in SERVING_ROOMS
    ]
    seen = {module for module, _ in waiting}
    while waiting:
        module, road = waiting.pop()
        for arrow in tree.arrows[module]:
            if arrow.lazy and room_of(module) == "text":
                continue
            if arrow.target.split(".")[0] in HEAVY or room_of(arrow.target) in TRAINING_ROOMS:
                faults.append(" -> ".join([*road[:-1], str(arrow)]))
            # Importing a module runs the `__init__` of every package above it.
            names = arrow.target.split(".")
            for reached in (".".join(names[: depth + 1]) for depth in range(len(names))):
                if reached in tree.files and reached not in seen and room_of(reached) not in TRAINING_ROOMS:
                    seen.add(reached)
                    waiting.append((reached, (*road, reached)))
    return faults


def stray_mlflow_imports(tree: Tree) -> list[str]:
    arrows = (arrow for arrows in tree.arrows.values() for arrow in arrows)
    return [str(arrow) for arrow in arrows if arrow.target.split(".")[0] == "mlflow" and arrow.source != TRACKING]


# ---- the house itself ----


@pytest.fixture(scope="module")
def house() -> Tree:
    return Tree(REPOSITORY)


def test_every_room_has_a_rank(house: Tree) -> None:
    assert rooms_without_a_rank(house) == []


def test_imports_only_point_down(house: Tree) -> None:
    assert len(house.files) > 10
    assert climbing_arrows(house) == []


def test_the_serving_side_needs_neither_torch_nor_the_training_side(house: Tree) -> None:
    assert serving_faults(house) == []


def test_only_tracking_imports_mlflow(house: Tree) -> None:
    assert stray_mlflow_imports(house) == []


def test_importing_the_serving_side_loads_no_torch(house: Tree) -> None:
    # A backend of Triton's imports what only Triton's own process has, so of triton_utils only the package counts.
    serving = sorted(module for module in house.files if room_of(module) in SERVING_ROOMS)
    modules = [module for module in serving if not module.startswith("triton_utils.")]
    script = f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n" + "\n".join(f"import {name}" for name in modules)
    script += f"\nprint(sorted({HEAVY!r} & sys.modules.keys()))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stdout) == (0, "[]\n"), result.stderr


# ---- the checks can fail ----


def tree_of(root: Path, **files: str) -> Tree:
    """A small house, sound but for the files given (`data__prepare` stands for rec_sys/data/prepare.py)."""
    sound = {
        "rec_sys/__init__": "",
        "rec_sys/contracts": "",
        "rec_sys/bundle": "from rec_sys import contracts",
        "rec_sys/data/__init__": "from rec_sys.contracts import InputError",
        "rec_sys/text/__init__": "",
        "rec_sys/text/encoder": "def export():\n    import torch",
        "rec_sys/graph/__init__": "from ..data import prepare\nimport torch",
        "rec_sys/tracking": "import mlflow",
        "rec_sys/inference/__init__": "from rec_sys.bundle import read\nfrom rec_sys.text.encoder import Encoder",
        "triton_utils/__init__": "from rec_sys.bundle import read",
    }
    for name, source in (sound | {f"rec_sys/{key.replace('__', '/')}": text for key, text in files.items()}).items():
        path = root / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return Tree(root)


def test_a_sound_house_has_no_faults(tmp_path: Path) -> None:
    tree = tree_of(tmp_path)
    assert rooms_without_a_rank(tree) == climbing_arrows(tree) == serving_faults(tree) == []
    assert stray_mlflow_imports(tree) == []


@pytest.mark.parametrize(
    "source",
    [
        "import rec_sys.graph",
        "from rec_sys import graph",
        "from rec_sys.graph import sampler",
        "from ..graph import sampler",
        "from .. import graph",
        "def prepare():\n    from rec_sys.graph import sampler",
        "async def prepare():\n    if True:\n        import rec_sys.graph as g",
        "class Reader:\n    def read(self):\n        from ..graph import sampler",
        "import importlib\nlater = lambda: importlib.import_module('rec_sys.graph.sampler')",
        "if False:\n    import rec_sys.graph",
    ],
)
def test_an_arrow_that_climbs_is_found_however_it_is_written(tmp_path: Path, source: str) -> None:
    faults = climbing_arrows(tree_of(tmp_path, data__prepare=source))
    assert len(faults) == 1
    assert faults[0].startswith("rec_sys.data.prepare:")
    assert "rec_sys.graph" in faults[0]


def test_an_arrow_between_neighbours_is_found(tmp_path: Path) -> None:
    assert climbing_arrows(tree_of(tmp_path, data__prepare="from rec_sys.text import encoder")) == [
        "rec_sys.data.prepare:1 imports rec_sys.text.encoder"
    ]


def test_a_room_that_nobody_ranked_is_found(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, attic__boxes="", lonely="")
    assert rooms_without_a_rank(tree) == ["attic", "lonely"]


@pytest.mark.parametrize(
    ("files", "road"),
    [
        ({"bundle": "import torch"}, "rec_sys.bundle:1 imports torch"),
        ({"bundle": "def write():\n    from torch import nn"}, "rec_sys.bundle:2 imports torch.nn"),
        ({"serving__app": "from rec_sys.data import prepare"}, "rec_sys.serving.app:1 imports rec_sys.data"),
        ({"text__encoder": "import torch"}, "rec_sys.inference -> rec_sys.text.encoder:1 imports torch"),
        ({"text__encoder": "from . import net", "text__net": "import torch"}, "rec_sys.text.net:1 imports torch"),
        ({"text__encoder": "from rec_sys.data import prepare"}, "rec_sys.text.encoder:1 imports rec_sys.data"),
        ({"text__encoder": "import torch_geometric.nn"}, "rec_sys.text.encoder:1 imports torch_geometric.nn"),
    ],
)
def test_a_road_from_serving_to_torch_or_training_is_found(tmp_path: Path, files: dict[str, str], road: str) -> None:
    faults = serving_faults(tree_of(tmp_path, **files))
    assert faults
    assert all(road in fault for fault in faults)


def test_the_package_above_an_imported_module_counts(tmp_path: Path) -> None:
    (tmp_path / "rec_sys/text").mkdir(parents=True)
    tree = tree_of(tmp_path)
    (tmp_path / "rec_sys/text/__init__.py").write_text("import torch")
    assert serving_faults(tree) == []
    assert serving_faults(Tree(tmp_path)) == ["rec_sys.inference -> rec_sys.text:1 imports torch"]


@pytest.mark.parametrize("source", ["import mlflow", "def log():\n    from mlflow.tracking import MlflowClient"])
def test_mlflow_elsewhere_is_found(tmp_path: Path, source: str) -> None:
    assert len(stray_mlflow_imports(tree_of(tmp_path, train__train=source))) == 1
