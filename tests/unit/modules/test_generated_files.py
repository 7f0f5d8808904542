"""Nothing of torch_geometric's stays in the temporary folder."""

from pathlib import Path

from tests.warm_processes import run

MAKES = """
import sys, tempfile
tempfile.tempdir = sys.argv[1]
from rec_sys.modules.review_attention import ReviewAttention
for kind in ("transformer_conv", "gat"):
    ReviewAttention(8, 2, kind)
print(sum(name.startswith("torch_geometric.nn.") and name.endswith("_propagate") for name in sys.modules))
"""


def test_a_process_that_makes_convolutions_leaves_no_file(tmp_path: Path) -> None:
    ended = run("-c", MAKES, str(tmp_path), timeout=600)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) >= 2
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
