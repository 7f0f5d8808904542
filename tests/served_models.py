"""Small ONNX models whose answers can be computed by hand, and a repository of them."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from rec_sys.settings import ExportSettings
from triton_utils.model_config import ServingOptions, tower_options
from triton_utils.repository import Candidate

WIDTH = 4
TABLE_ROWS = 10
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def write_sums(path: Path, *, factor: float = 1.0, width: int = WIDTH, **changes: Any) -> Path:
    """Writes a model like a tower: masked sums of entries, plus a flag, and every entry's share of the mask.

    Inputs `entries` [batch, length, width], `mask` [batch, length], `flag` [batch]; outputs `total` [batch, width] =
    factor * sum(entries * mask) + flag and `shares` [batch, length] = mask / max(sum(mask), 1).

    Args:
        path: The file to write.
        factor: Tells versions apart.
        width: Entries' width.
        changes: `opset` or `ir_version` of the file.
    """
    constants = [
        helper.make_tensor("factor", FLOAT, [], [factor]),
        helper.make_tensor("one", FLOAT, [], [1.0]),
        helper.make_tensor("axis_1", INT64, [1], [1]),
        helper.make_tensor("axis_2", INT64, [1], [2]),
    ]
    nodes = [
        helper.make_node("Unsqueeze", ["mask", "axis_2"], ["wide_mask"]),
        helper.make_node("Mul", ["entries", "wide_mask"], ["masked"]),
        helper.make_node("ReduceSum", ["masked", "axis_1"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "factor"], ["scaled"]),
        helper.make_node("Unsqueeze", ["flag", "axis_1"], ["wide_flag"]),
        helper.make_node("Add", ["scaled", "wide_flag"], ["total"]),
        helper.make_node("ReduceSum", ["mask", "axis_1"], ["count"], keepdims=1),
        helper.make_node("Max", ["count", "one"], ["at_least_one"]),
        helper.make_node("Div", ["mask", "at_least_one"], ["shares"]),
    ]
    inputs = [
        helper.make_tensor_value_info("entries", FLOAT, ["batch", "length", width]),
        helper.make_tensor_value_info("mask", FLOAT, ["batch", "length"]),
        helper.make_tensor_value_info("flag", FLOAT, ["batch"]),
    ]
    outputs = [
        helper.make_tensor_value_info("total", FLOAT, ["batch", width]),
        helper.make_tensor_value_info("shares", FLOAT, ["batch", "length"]),
    ]
    return _write(path, nodes, inputs, outputs, constants, **changes)


def write_lookup(path: Path) -> Path:
    """Writes a model that fails for some inputs: `ids` [batch, length] -> `rows` [batch, length], row i of 0..9 is i.

    An id outside the table is an error.
    """
    table = helper.make_tensor("table", FLOAT, [TABLE_ROWS], np.arange(TABLE_ROWS, dtype=np.float32))
    nodes = [helper.make_node("Gather", ["table", "ids"], ["rows"])]
    inputs = [helper.make_tensor_value_info("ids", INT64, ["batch", "length"])]
    outputs = [helper.make_tensor_value_info("rows", FLOAT, ["batch", "length"])]
    return _write(path, nodes, inputs, outputs, [table])


def _write(
    path: Path, nodes: Any, inputs: Any, outputs: Any, constants: Any, *, opset: int = 20, ir_version: int = 10
) -> Path:
    graph = helper.make_graph(nodes, "graph", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save_model(model, path)
    return path


def options(reads: int = 50, **changes: Any) -> ServingOptions:
    """Serving options with the usual lengths."""
    return tower_options(ExportSettings.model_validate(changes), reads)


def candidate(path: Path, name: str = "sums", identity: str = "first", **changes: Any) -> Candidate:
    """A model to publish; `changes` are those of the export settings, and `reads`."""
    return Candidate(name, path, identity, options(**changes))


def some_entries(rows: int, length: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Inputs of the model of sums."""
    random = np.random.default_rng(seed)
    count = random.integers(0, length + 1, rows)
    return {
        "entries": random.normal(size=(rows, length, WIDTH)).astype(np.float32),
        "mask": (np.arange(length) < count[:, None]).astype(np.float32),
        "flag": random.integers(0, 2, rows).astype(np.float32),
    }


def expected_sums(inputs: dict[str, np.ndarray], factor: float = 1.0) -> dict[str, np.ndarray]:
    """What the model of sums answers."""
    mask = inputs["mask"]
    return {
        "total": factor * (inputs["entries"] * mask[..., None]).sum(axis=1) + inputs["flag"][:, None],
        "shares": mask / np.maximum(mask.sum(axis=1, keepdims=True), 1),
    }
