"""Signatures are read from the file, and files that the servers cannot read are refused."""

from pathlib import Path

import pytest
from onnx import helper, save_model

from rec_sys.contracts import InputError
from tests.served_models import FLOAT, write_lookup, write_sums
from triton_utils.onnx_signature import TensorSignature, read_signature


def test_tensors_are_described_without_their_batch_axis(tmp_path: Path) -> None:
    found = read_signature(write_sums(tmp_path / "sums.onnx"))
    assert found.inputs == (
        TensorSignature("entries", "FP32", (-1, 4)),
        TensorSignature("mask", "FP32", (-1,)),
        TensorSignature("flag", "FP32", ()),
    )
    assert found.outputs == (TensorSignature("total", "FP32", (4,)), TensorSignature("shares", "FP32", (-1,)))


def test_integers_are_told_from_floats_and_constants_from_inputs(tmp_path: Path) -> None:
    assert read_signature(write_lookup(tmp_path / "lookup.onnx")).inputs == (TensorSignature("ids", "INT64", (-1,)),)


@pytest.mark.parametrize(
    ("change", "named"), [({"opset": 22}, "opset 22 of ai.onnx"), ({"ir_version": 11}, "IR version 11")]
)
def test_a_file_that_is_too_new_for_the_servers_is_refused(tmp_path: Path, change: dict[str, int], named: str) -> None:
    with pytest.raises(InputError, match=f"does not read {named}") as caught:
        read_signature(write_sums(tmp_path / "new.onnx", **change))
    assert caught.value.where == str(tmp_path / "new.onnx")


def test_an_operator_set_that_only_others_know_is_refused(tmp_path: Path) -> None:
    tensor = helper.make_tensor_value_info("x", FLOAT, ["batch"])
    graph = helper.make_graph([helper.make_node("Odd", ["x"], ["x2"], domain="odd.operators")], "g", [tensor], [tensor])
    imports = [helper.make_opsetid("", 20), helper.make_opsetid("odd.operators", 1)]
    save_model(helper.make_model(graph, opset_imports=imports, ir_version=10), tmp_path / "odd.onnx")
    with pytest.raises(InputError, match=r"opset 1 of odd\.operators"):
        read_signature(tmp_path / "odd.onnx")


@pytest.mark.parametrize("shape", [[3, 4], []])
def test_a_tensor_without_a_free_first_axis_is_refused(tmp_path: Path, shape: list[int]) -> None:
    tensor = helper.make_tensor_value_info("x", FLOAT, shape)
    other = helper.make_tensor_value_info("y", FLOAT, shape)
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [tensor], [other])
    save_model(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), tmp_path / "x.onnx"
    )
    with pytest.raises(InputError, match=r"the tensor x of shape .* cannot be served in batches"):
        read_signature(tmp_path / "x.onnx")


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model at all")
    with pytest.raises(InputError, match="this is no ONNX model"):
        read_signature(tmp_path / "broken.onnx")
