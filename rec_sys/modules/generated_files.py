"""The Python files that torch_geometric writes for its convolutions."""

import sys
from pathlib import Path
from typing import Final

_GENERATED: Final = ("_propagate", "_edge_updater")


def remove_generated_files() -> None:
    """Removes what torch_geometric has left in the temporary folder; called when a convolution has been made.

    It writes the code of a class there when the first of it is made, imports that, and would leave a file a process.
    """
    for name, module in list(sys.modules.items()):
        if name.startswith("torch_geometric.nn.") and name.endswith(_GENERATED):
            for path in (getattr(module, "__file__", None), getattr(module, "__cached__", None)):
                if path is not None:
                    Path(path).unlink(missing_ok=True)
