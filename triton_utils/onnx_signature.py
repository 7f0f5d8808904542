"""What an ONNX file takes and gives, and whether the servers it is meant for can read it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import onnx

from rec_sys.contracts import InputError

# What onnxruntime 1.20 reads, by its table of compatible versions. Later ones read it too, such as the 1.27 in
# Triton's image of July 2026.
MAX_OPSETS: Final = {"": 21, "ai.onnx": 21, "ai.onnx.ml": 4, "com.microsoft": 1}
MAX_IR_VERSION: Final = 10

# ONNX's element types by Triton's names for them.
_DATA_TYPES: Final = {
    onnx.TensorProto.FLOAT: "FP32",
    onnx.TensorProto.FLOAT16: "FP16",
    onnx.TensorProto.INT64: "INT64",
    onnx.TensorProto.INT32: "INT32",
    onnx.TensorProto.BOOL: "BOOL",
}


@dataclass(frozen=True)
class TensorSignature:
    """A tensor of a model; `dims` has no batch axis and -1 for an axis that is free."""

    name: str
    data_type: str
    dims: tuple[int, ...]


@dataclass(frozen=True)
class OnnxSignature:
    """A model's tensors, in the order of its file."""

    inputs: tuple[TensorSignature, ...]
    outputs: tuple[TensorSignature, ...]


def read_signature(path: Path) -> OnnxSignature:
    """Reads a model's signature.

    Raises:
        InputError: The file is no ONNX model, too new for the servers, or a tensor has no free first axis.
    """
    try:
        model = onnx.load_model(path, load_external_data=False)
    except Exception as error:  # protobuf's errors have no base of their own
        raise InputError(
            f"this is no ONNX model: {error}", where=str(path), remedy="export it again from its weights"
        ) from error
    _check_versions(model, path)
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [tensor for tensor in model.graph.input if tensor.name not in constants]
    return OnnxSignature(
        tuple(_read_tensor(tensor, path) for tensor in inputs),
        tuple(_read_tensor(tensor, path) for tensor in model.graph.output),
    )


def _check_versions(model: onnx.ModelProto, path: Path) -> None:
    found = {f"IR version {model.ir_version}": model.ir_version <= MAX_IR_VERSION}
    for opset in model.opset_import:
        name = f"opset {opset.version} of {opset.domain or 'ai.onnx'}"
        found[name] = opset.version <= MAX_OPSETS.get(opset.domain, 0)
    unreadable = [name for name, readable in found.items() if not readable]
    if unreadable:
        known = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in MAX_OPSETS.items())
        raise InputError(
            f"Triton's onnxruntime does not read {' and '.join(unreadable)}",
            where=str(path),
            remedy=f"export it with an IR version up to {MAX_IR_VERSION} and opsets up to {known}",
        )


def _read_tensor(tensor: Any, path: Path) -> TensorSignature:
    kind = tensor.type.tensor_type
    # An axis of fixed length has a value, a free one a name or nothing.
    dims = tuple(axis.dim_value if axis.HasField("dim_value") else -1 for axis in kind.shape.dim)
    if kind.elem_type not in _DATA_TYPES or not dims or dims[0] != -1:
        raise InputError(
            f"the tensor {tensor.name} of shape {list(dims)} cannot be served in batches",
            where=str(path),
            remedy=f"export it with a free first axis and one of the types {', '.join(_DATA_TYPES.values())}",
        )
    return TensorSignature(tensor.name, _DATA_TYPES[kind.elem_type], dims[1:])
