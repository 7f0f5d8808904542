"""What a model takes, and requests that fit it: refused where they cannot, padded and cut where they can."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from rec_sys.contracts import InputError, ServedParameter
from triton_utils.model_config import identities_of

Arrays = dict[str, npt.NDArray[Any]]

_DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "TYPE_FP32": np.dtype(np.float32),
    "TYPE_FP16": np.dtype(np.float16),
    "TYPE_INT64": np.dtype(np.int64),
    "TYPE_INT32": np.dtype(np.int32),
    "TYPE_BOOL": np.dtype(np.bool_),
}


@dataclass(frozen=True)
class TensorDescription:
    """An input or output; `dims` has no batch axis and -1 for an axis that is free."""

    dtype: np.dtype[Any]
    dims: tuple[int, ...]

    @property
    def has_length(self) -> bool:
        """Whether the axis behind the batch is free: a row has as many entries as it has reviews or tokens."""
        return bool(self.dims) and self.dims[0] == -1


@dataclass(frozen=True)
class ModelDescription:
    """A served model.

    Attributes:
        max_batch_size: Most rows of one request.
        lengths: What rows are padded to; empty where that is not known.
        reads: How far along a row it reads; None where that is not known.
        identities: What each version was made from, by its number.
        on_gpu: Whether its copies work on a GPU.
        takes_missing: Whether its inputs may be NaN, for what is missing.
    """

    name: str
    inputs: dict[str, TensorDescription]
    outputs: dict[str, TensorDescription]
    max_batch_size: int
    lengths: tuple[int, ...]
    reads: int | None
    identities: dict[int, str]
    on_gpu: bool
    takes_missing: bool = False


def describe(config: Any) -> ModelDescription:
    """Reads a `ModelConfig` message."""
    parameters = {name: value.string_value for name, value in config.parameters.items()}
    return ModelDescription(
        name=config.name,
        inputs={tensor.name: _describe(tensor) for tensor in config.input},
        outputs={tensor.name: _describe(tensor) for tensor in config.output},
        max_batch_size=config.max_batch_size,
        lengths=tuple(int(part) for part in parameters.get(ServedParameter.LENGTHS, "").split(",") if part),
        reads=int(parameters[ServedParameter.READS]) if ServedParameter.READS in parameters else None,
        identities=identities_of(config),
        on_gpu=any(group.kind == group.KIND_GPU for group in config.instance_group),
        takes_missing=parameters.get(ServedParameter.TAKES_MISSING) == "true",
    )


def _describe(tensor: Any) -> TensorDescription:
    # The type's name is the message's own; an added axis, as of a tensor with a batch axis alone, stays.
    name = tensor.DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_number[tensor.data_type].name
    return TensorDescription(_DTYPES[name], tuple(tensor.dims))


def check_inputs(model: ModelDescription, inputs: Mapping[str, npt.NDArray[Any]]) -> Arrays:
    """The inputs as the model takes them, in its order.

    An array with a batch axis alone gets the axis that Triton asks for: `[batch]` becomes `[batch, 1]`.

    Raises:
        InputError: Naming the input: missing, unknown, of another type or shape, or not finite.
    """
    _check_names(model, inputs)
    checked = {name: _check(model, name, tensor, inputs[name]) for name, tensor in model.inputs.items()}
    rows = {name: len(array) for name, array in checked.items()}
    if len(set(rows.values())) > 1:
        raise InputError(
            "the inputs have different numbers of rows: " + ", ".join(f"{name} {n}" for name, n in rows.items()),
            where=f"inputs of {model.name}",
            remedy="give one row of each for every user, product or text",
        )
    lengths = {name: checked[name].shape[1] for name, tensor in model.inputs.items() if tensor.has_length}
    if len(set(lengths.values())) > 1:
        raise InputError(
            "the inputs have different lengths: " + ", ".join(f"{name} {n}" for name, n in lengths.items()),
            where=f"inputs of {model.name}",
            remedy="give one entry of each for every review or token, and pad with zeros",
        )
    return checked


def _check_names(model: ModelDescription, inputs: Mapping[str, Any]) -> None:
    missing, unknown = sorted(model.inputs.keys() - inputs.keys()), sorted(inputs.keys() - model.inputs.keys())
    if missing or unknown:
        faults = [f"{name} is missing" for name in missing] + [f"{name} is not known" for name in unknown]
        raise InputError(
            ", ".join(faults), where=f"inputs of {model.name}", remedy=f"give exactly {', '.join(model.inputs)}"
        )


def _check(model: ModelDescription, name: str, tensor: TensorDescription, given: object) -> npt.NDArray[Any]:
    where = f"input {name} of {model.name}"
    if not isinstance(given, np.ndarray) or given.dtype != tensor.dtype:
        found = f"an array of {given.dtype}" if isinstance(given, np.ndarray) else f"a {type(given).__name__}"
        raise InputError(
            f"this is {found}, the model takes {tensor.dtype}", where=where, remedy=f"give an array of {tensor.dtype}"
        )
    array: npt.NDArray[Any] = given[:, np.newaxis] if tensor.dims == (1,) and given.ndim == 1 else given
    wanted = (-1, *tensor.dims)
    shape = array.shape
    if len(shape) != len(wanted) or any(axis not in (-1, size) for size, axis in zip(shape, wanted, strict=True)):
        raise InputError(
            f"the shape is {list(shape)}, the model takes {list(wanted)}",
            where=where,
            remedy="give that shape; -1 stands for any size",
        )
    if 0 in shape:
        raise InputError(
            f"the shape {list(shape)} has nothing in it",
            where=where,
            remedy="give at least one row of at least one entry; one that is masked out is fine",
        )
    if array.dtype.kind == "f" and (wrong := np.isinf(array) if model.takes_missing else ~np.isfinite(array)).any():
        place = np.argwhere(wrong)[0].tolist()
        raise InputError(
            f"there is {array[tuple(place)]} at {place}",
            where=where,
            remedy="give finite numbers; 0 where one is missing",
        )
    return array


def length_of(model: ModelDescription, inputs: Arrays) -> int | None:
    """Entries a row of checked inputs; None for a model without such an axis."""
    return next((inputs[name].shape[1] for name, tensor in model.inputs.items() if tensor.has_length), None)


def fit_length(model: ModelDescription, inputs: Arrays) -> Arrays:
    """Checked inputs, cut to what the model reads and padded with zeros to one of its lengths.

    Requests of one length can share a batch; the answers are those of the inputs as they were.
    """
    length = length_of(model, inputs)
    if length is None:
        return inputs
    used = length if model.reads is None else min(length, max(1, model.reads))
    target = next((bucket for bucket in model.lengths if bucket >= used), used)
    return {
        name: _resize(array[:, :used], target) if model.inputs[name].has_length else array
        for name, array in inputs.items()
    }


def restore_length(model: ModelDescription, outputs: Arrays, length: int | None) -> Arrays:
    """The answers to fitted inputs, with as many entries a row as there were before."""
    if length is None:
        return outputs
    return {
        name: _resize(array, length) if model.outputs[name].has_length else array for name, array in outputs.items()
    }


def cut_rows(model: ModelDescription, inputs: Arrays) -> Iterator[Arrays]:
    """Parts of no more rows than the model takes at once."""
    rows = len(next(iter(inputs.values())))
    step = max(1, model.max_batch_size)
    for start in range(0, rows, step):
        yield {name: array[start : start + step] for name, array in inputs.items()}


def _resize(array: npt.NDArray[Any], length: int) -> npt.NDArray[Any]:
    """Cuts or pads with zeros along the axis behind the batch."""
    missing = length - array.shape[1]
    if missing <= 0:
        return array[:, :length]
    return np.pad(array, [(0, 0), (0, missing), *[(0, 0)] * (array.ndim - 2)])
