"""Serves ONNX files in a Triton that has no onnxruntime backend of its own, so that one repository fits both.

Triton runs this file in a process of its own for every instance of a model (a python-based backend). A model's
config.pbtxt says `backend: "onnxruntime"` and means this file here and the C++ backend in NVIDIA's image. What is
read of it is what that backend reads too: `default_model_filename`, `intra_op_thread_count`,
`inter_op_thread_count`, the instances' kind and device.

Tensors cross by DLPack: the conversion of numpy arrays in Triton's Python module is older than numpy 2 and makes
empty tensors.
"""

import ctypes
import faulthandler
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any, Final

# Triton's interpreter ignores PYTHONPATH; the server's launcher says where the libraries are.
sys.path[:0] = filter(None, os.environ.get("ONNXRUNTIME_BACKEND_PATH", "").split(os.pathsep))

import numpy as np  # noqa: E402
import numpy.typing as npt  # noqa: E402
import onnxruntime  # noqa: E402
import triton_python_backend_utils as pb_utils  # noqa: E402

Arrays = dict[str, npt.NDArray[Any]]

_MODEL_FILE: Final = "model.onnx"
_PROVIDERS: Final = {"CPU": "CPUExecutionProvider", "GPU": "CUDAExecutionProvider"}
_WATCH_SECONDS: Final = 2.0
_PATIENCE_SECONDS: Final = 20.0
# The bytes must live as long as any capsule that bears them as its name.
_CONSUMED: Final = ctypes.c_char_p(b"used_dltensor")
_rename_capsule = ctypes.pythonapi.PyCapsule_SetName
_rename_capsule.argtypes = [ctypes.py_object, ctypes.c_char_p]


class TritonPythonModel:
    """One instance of one version of a model; Triton calls its three methods."""

    def initialize(self, args: dict[str, str]) -> None:
        """Opens the ONNX file.

        Args:
            args: Triton's description: `model_config` (JSON), `model_repository` (the model's folder), ...

        Raises:
            TritonModelException: The file and the config do not fit, or the device cannot be used.
        """
        self._unloading = threading.Event()
        threading.Thread(target=_watch, args=(os.getppid(), self._unloading), daemon=True).start()
        config = json.loads(args["model_config"])
        path = Path(args["model_repository"], args["model_version"], config["default_model_filename"] or _MODEL_FILE)
        self._session = _open_session(path, config, args["model_instance_kind"], args["model_instance_device_id"])
        self._inputs = [tensor.name for tensor in self._session.get_inputs()]
        self._outputs = [tensor.name for tensor in self._session.get_outputs()]
        for kind, names in (("input", self._inputs), ("output", self._outputs)):
            configured = [tensor["name"] for tensor in config[kind]]
            if sorted(configured) != sorted(names):
                raise pb_utils.TritonModelException(
                    f"{path} has the {kind}s {sorted(names)}, its config.pbtxt {sorted(configured)}"
                )

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answers requests that Triton has gathered: all in one run, one after the other where that fails."""
        batch = [
            {name: np.from_dlpack(pb_utils.get_input_tensor_by_name(request, name)) for name in self._inputs}
            for request in requests
        ]
        try:
            results: list[Arrays | Exception] = list(self._run_together(batch))
        except Exception as error:  # onnxruntime's errors have no base of their own
            # One request may have spoilt it for all.
            results = [error] if len(batch) == 1 else [self._run_alone(inputs) for inputs in batch]
        return [_respond(request, result) for request, result in zip(requests, results, strict=True)]

    def finalize(self) -> None:
        """Frees the session before the interpreter ends."""
        self._unloading.set()
        faulthandler.cancel_dump_traceback_later()
        del self._session

    def _run_together(self, batch: list[Arrays]) -> list[Arrays]:
        if len(batch) == 1:
            return [self._run(batch[0])]
        counts = [len(inputs[self._inputs[0]]) for inputs in batch]
        outputs = self._run({name: np.concatenate([inputs[name] for inputs in batch]) for name in self._inputs})
        ends = np.cumsum(counts)[:-1]
        parts = {name: np.split(output, ends) for name, output in outputs.items()}
        return [{name: parts[name][place] for name in self._outputs} for place in range(len(batch))]

    def _run_alone(self, inputs: Arrays) -> "Arrays | Exception":
        try:
            return self._run(inputs)
        except Exception as error:  # see execute
            return error

    def _run(self, inputs: Arrays) -> Arrays:
        return dict(zip(self._outputs, self._session.run(self._outputs, inputs), strict=True))


def _watch(server: int, unloading: threading.Event) -> None:
    """Ends this process some seconds after it has lost its server or hangs.

    A server that is killed while it takes an answer leaves its helper waiting for ever with the interpreter locked,
    so that no line of Python can end it. The timer needs no interpreter; only setting it anew does.
    """
    while os.getppid() == server and not unloading.wait(_WATCH_SECONDS):
        faulthandler.dump_traceback_later(_PATIENCE_SECONDS, exit=True)


def _open_session(path: Path, config: dict[str, Any], kind: str, device: str) -> onnxruntime.InferenceSession:
    provider = _PROVIDERS.get(kind)
    if provider not in onnxruntime.get_available_providers():
        raise pb_utils.TritonModelException(
            f"{path} is to run on {kind}, and the onnxruntime installed here offers"
            f" {', '.join(onnxruntime.get_available_providers())}; publish it with export.device=cpu, or install"
            " onnxruntime-gpu in place of onnxruntime"
        )
    parameters = {name: value["string_value"] for name, value in config.get("parameters", {}).items()}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(parameters.get("intra_op_thread_count", 0))
    options.inter_op_num_threads = int(parameters.get("inter_op_thread_count", 0))
    # Threads that spin while they wait take the cores from the other models of this machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # every error reaches the client, or Triton's log, by its exception
    choice = (provider, {"device_id": device}) if kind == "GPU" else provider
    return onnxruntime.InferenceSession(str(path), options, providers=[choice])


def _respond(request: Any, result: Arrays | Exception) -> Any:
    if isinstance(result, Exception):
        refused = type(result).__name__ == "InvalidArgument"
        code = pb_utils.TritonError.INVALID_ARG if refused else pb_utils.TritonError.INTERNAL
        return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(result), code))
    wanted = request.requested_output_names()
    return pb_utils.InferenceResponse([_to_tensor(name, array) for name, array in result.items() if name in wanted])


def _to_tensor(name: str, array: npt.NDArray[Any]) -> Any:
    capsule = np.ascontiguousarray(array).__dlpack__()
    tensor = pb_utils.Tensor.from_dlpack(name, capsule)
    # Triton's module marks the capsule as consumed with a word of its own; numpy would take it for an error.
    _rename_capsule(capsule, _CONSUMED)
    return tensor
