"""Imports and started processes point one way, and no import goes in a circle; both are read from the source."""

import subprocess
import sys
from pathlib import Path

import pytest

from rec_sys.experiments.benchmark.import_closure import PACKAGES, SourceTree

REPOSITORY = Path(__file__).resolve().parents[2]

# An entry that ranks above its room: the demo walks the whole road, training first, so it is nobody's to import. It
# stays where it is, because what it shows is the service, and the serving side's own rules hold for it too.
DEMO = "rec_sys.serving.demo"
# Of the room of texts what learns from prepared data, splits and graphs; no other room needs it.
FINETUNE = "rec_sys.text.finetune"
# From the ground up. A room may import rooms of lower levels, or start their modules as processes, never one of its
# own level or above.
LEVELS: tuple[tuple[str, ...], ...] = (
    ("shown_text", "panics", "ragged", "value_words", "stopping"),
    ("contracts", "score_terms"),
    ("settings", "files", "console", "scoring", "predicted_rating", "unit_vectors", "processes", "bound_process"),
    ("progress", "frame_ids", "locks", "ready_command", "checksums", "product_kinds"),
    (
        "settings_request",
        "offered_file",
        "refresh_history",
        "raw_files",
        "bundle_manifest",
        "tracking_address",
        "newcomers",
    ),
    ("settings_errors", "frames"),
    ("settings_help",),
    ("entry", "bundle", "tracking", "store"),
    ("ray_cluster",),
    ("data", "ranker", "registry", "text", "triton_utils"),
    ("graph", "vector_database"),
    ("live_bundles",),
    ("modules", "inference"),
    ("evaluation", "serving", "call_arguments", "python_settings"),
    ("baselines", "publish"),
    ("train", FINETUNE),
    ("estimator", "refresh"),
    ("experiments", DEMO),
    ("__main__",),
)
RANKS = {room: rank for rank, rooms in enumerate(LEVELS) for room in rooms}
TRAINING_ROOMS = {"data", "graph", "modules", "evaluation", "baselines", "train", "experiments"}
# Free of torch and of the training side: what serves a recommendation, and the ground that it stands on.
SERVING_ROOMS = {"contracts", "ragged", "settings", "scoring", "bundle", "bundle_manifest", "vector_database", "store"}
SERVING_ROOMS |= {"inference", "serving", "triton_utils", "progress", "raw_files", "ready_command", "value_words"}
SERVING_ROOMS |= {"checksums", "panics", "ranker", "newcomers", "product_kinds", "score_terms", "predicted_rating"}
SERVING_ROOMS |= {"unit_vectors", "offered_file", "refresh_history", "live_bundles"}
HEAVY = {"torch", "torch_geometric", "pytorch_lightning", "lightning"}
TRACKING = "rec_sys.tracking"


def room_of(module: str) -> str:
    """The room of a module, or an entry with a rank of its own; empty for the bare package, which holds nothing."""
    if module == DEMO:
        return DEMO
    if module.startswith(FINETUNE):
        return FINETUNE
    package, *below = module.split(".")
    return package if package != "rec_sys" else below[0] if below else ""


def rooms_without_a_rank(tree: SourceTree) -> list[str]:
    return sorted({room_of(module) for module in tree.files} - {""} - RANKS.keys())


def climbing_arrows(tree: SourceTree) -> list[str]:
    found = []
    for arrow in tree.all_arrows():
        source, target = room_of(arrow.source), room_of(arrow.target)
        # The bare package imports nothing before it is asked for a name.
        if arrow.target.split(".")[0] not in PACKAGES or source == target or not target or not source:
            continue
        if RANKS.get(target, len(LEVELS)) >= RANKS.get(source, -1):
            found.append(str(arrow))
    return found


def serving_faults(tree: SourceTree) -> list[str]:
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
        for arrow in tree.arrows(module):
            if arrow.starts:
                continue
            if (arrow.lazy and room_of(module) == "text") or not room_of(module):
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


def circles(tree: SourceTree) -> list[str]:
    """Modules that import each other, by whatever road; imports for type checkers and inside functions count."""
    needs = {module: {arrow.target for arrow in tree.arrows(module) if not arrow.starts} for module in tree.files}

    def reached(module: str) -> set[str]:
        found: set[str] = set()
        waiting = [module]
        while waiting:
            new = needs.get(waiting.pop(), set()) - found
            found |= new
            waiting += new
        return found

    all_reached = {module: reached(module) for module in tree.files}
    return sorted(
        {
            " <-> ".join(sorted({module} | {other for other in others if module in all_reached.get(other, ())}))
            for module, others in all_reached.items()
            if module in others
        }
    )


def stray_mlflow_imports(tree: SourceTree) -> list[str]:
    return [
        str(arrow) for arrow in tree.all_arrows() if arrow.target.split(".")[0] == "mlflow" and arrow.source != TRACKING
    ]


# ---- the house itself ----


@pytest.fixture(scope="module")
def house() -> SourceTree:
    return SourceTree(REPOSITORY)


def test_every_room_has_a_rank(house: SourceTree) -> None:
    assert rooms_without_a_rank(house) == []


def test_imports_only_point_down(house: SourceTree) -> None:
    assert len(house.files) > 10
    assert climbing_arrows(house) == []


def test_no_import_goes_in_a_circle(house: SourceTree) -> None:
    assert circles(house) == []


def test_processes_that_the_house_starts_are_seen(house: SourceTree) -> None:
    started = {(arrow.source, arrow.target) for arrow in house.all_arrows() if arrow.starts}
    assert started >= {
        (DEMO, "rec_sys.train.train"),
        ("rec_sys.experiments.training_command", "rec_sys.train.train"),
        ("rec_sys.experiments.benchmark.row_store", "rec_sys.experiments.benchmark.row"),
    }


def test_the_serving_side_needs_neither_torch_nor_the_training_side(house: SourceTree) -> None:
    assert serving_faults(house) == []


def test_only_tracking_imports_mlflow(house: SourceTree) -> None:
    assert stray_mlflow_imports(house) == []


def test_importing_the_serving_side_loads_no_torch(house: SourceTree) -> None:
    # A backend of Triton's imports what only Triton's own process has, so of triton_utils only the package counts.
    serving = sorted(module for module in house.files if room_of(module) in SERVING_ROOMS)
    modules = [module for module in serving if not module.startswith("triton_utils.")]
    script = f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n" + "\n".join(f"import {name}" for name in modules)
    script += f"\nprint(sorted({HEAVY!r} & sys.modules.keys()))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=600)
    assert (result.returncode, result.stdout) == (0, "[]\n"), result.stderr


# ---- the checks can fail ----


def tree_of(root: Path, **files: str) -> SourceTree:
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
    return SourceTree(root)


def test_a_sound_house_has_no_faults(tmp_path: Path) -> None:
    tree = tree_of(tmp_path)
    assert rooms_without_a_rank(tree) == climbing_arrows(tree) == serving_faults(tree) == circles(tree) == []
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


@pytest.mark.parametrize(
    "source",
    [
        "import subprocess\nsubprocess.run(['python', '-m', 'rec_sys.train.train'])",
        "_COMMAND: str = 'rec_sys.train.train'",
        "ROOM = 'rec_sys.train'\ndef start(run):\n    run(f'{ROOM}.train', [])",
        "ROOM = 'rec_sys'\nclass Runner:\n    command = ROOM + '.train' + '.train'",
        "def start(run):\n    run('-mrec_sys.train.train')",
        "import shlex\ncommand = shlex.split('python3 -u -m rec_sys.train.train')",
        "command = 'uv run --group baselines -m rec_sys.train.train'.split()",
    ],
)
def test_a_process_of_a_higher_room_is_found_however_it_is_named(tmp_path: Path, source: str) -> None:
    faults = climbing_arrows(tree_of(tmp_path, data__prepare=source, train__train=""))
    assert len(set(faults)) == 1
    assert faults[0].startswith("rec_sys.data.prepare:")
    assert faults[0].endswith(" starts rec_sys.train.train")


@pytest.mark.parametrize(
    "source",
    [
        '"""Started by `-m rec_sys.train.train`."""',
        "remedy = 'run `uv run -m rec_sys.train.train` first'",
        "import subprocess\nsubprocess.run(['python', '-m', 'rec_sys.contracts'])",
    ],
)
def test_a_process_that_is_only_spoken_of_or_lies_below_is_no_fault(tmp_path: Path, source: str) -> None:
    assert climbing_arrows(tree_of(tmp_path, data__prepare=source, train__train="")) == []


def test_the_demo_may_start_training_and_nobody_may_need_the_demo(tmp_path: Path) -> None:
    start = "command = 'rec_sys.train.train'"
    assert climbing_arrows(tree_of(tmp_path / "sound", serving__demo=start, train__train="")) == []
    assert climbing_arrows(tree_of(tmp_path / "other", serving__gateway=start, train__train=""))
    assert climbing_arrows(tree_of(tmp_path / "used", serving__gateway="from . import demo", serving__demo=""))


@pytest.mark.parametrize(
    "files",
    [
        {"data__prepare": "from rec_sys.data import splits", "data__splits": "from rec_sys.data import prepare"},
        {"data__prepare": "from . import splits", "data__splits": "def split():\n    from .prepare import prepare"},
        {
            "data__prepare": "from .splits import split",
            "data__splits": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .prepare import Prepared",
        },
        {
            "data__prepare": "from .splits import split",
            "data__splits": "from .table import Table",
            "data__table": "def read():\n    from .prepare import prepare",
        },
    ],
)
def test_a_circle_inside_a_room_is_found_however_it_is_closed(tmp_path: Path, files: dict[str, str]) -> None:
    (found,) = circles(tree_of(tmp_path, **files))
    assert found == " <-> ".join(sorted(f"rec_sys.{name.replace('__', '.')}" for name in files))


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
    assert serving_faults(tree_of(tmp_path)) == []
    (tmp_path / "rec_sys/text/__init__.py").write_text("import torch")
    assert serving_faults(SourceTree(tmp_path)) == ["rec_sys.inference -> rec_sys.text:1 imports torch"]


@pytest.mark.parametrize("source", ["import mlflow", "def log():\n    from mlflow.tracking import MlflowClient"])
def test_mlflow_elsewhere_is_found(tmp_path: Path, source: str) -> None:
    assert len(stray_mlflow_imports(tree_of(tmp_path, train__train=source))) == 1
