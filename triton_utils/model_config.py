"""A model's config.pbtxt: made from the signature of its ONNX file, written and read back."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from rec_sys.contracts import InputError, ServedParameter
from rec_sys.settings import ExportSettings
from triton_utils.onnx_signature import OnnxSignature, TensorSignature

CONFIG_FILE: Final = "config.pbtxt"
MODEL_FILE: Final = "model.onnx"
_BACKEND: Final = "onnxruntime"
_CANDIDATES: Final = 4096  # rows of one request to the ranker: those of some dozens of users


@dataclass(frozen=True)
class ServingOptions:
    """How one model is served; `common` is what all models share.

    Attributes:
        lengths: What requests are padded to along their free axis.
        reads: How far along that axis the model reads; what lies beyond changes nothing.
        instances: Copies that work at once.
        threads: Threads of one copy on a CPU; 0 = every core.
        takes_missing: Whether NaN, for what is missing, is among what it reads.
    """

    lengths: tuple[int, ...]
    reads: int
    instances: int
    threads: int
    common: ExportSettings
    takes_missing: bool = False


def tower_options(settings: ExportSettings, reads: int) -> ServingOptions:
    """A tower's options; `reads` is how many reviews it looks at."""
    lengths = _until(reads, settings.lengths)
    return ServingOptions(lengths, reads, settings.tower_instances, settings.tower_threads, settings)


def text_options(settings: ExportSettings, reads: int) -> ServingOptions:
    """The text encoder's options; `reads` is how many tokens it looks at."""
    # Not beyond what it reads: a model may have no place for more.
    lengths = (*(length for length in settings.token_lengths if length < reads), reads)
    return ServingOptions(lengths, reads, settings.text_instances, settings.text_threads, settings)


def ranker_options(settings: ExportSettings) -> ServingOptions:
    """The ranker's options: a row is a candidate, of which there are many at once, and its features may be missing."""
    common = settings.model_copy(update={"max_batch_size": max(settings.max_batch_size, _CANDIDATES), "device": "cpu"})
    return ServingOptions((1,), 1, settings.tower_instances, settings.tower_threads, common, takes_missing=True)


def _until(reads: int, lengths: tuple[int, ...]) -> tuple[int, ...]:
    """Lengths up to one that holds `reads` entries."""
    while lengths[-1] < reads:
        lengths = (*lengths, 2 * lengths[-1])
    return lengths


def make_config(name: str, signature: OnnxSignature, options: ServingOptions, identities: Mapping[int, str]) -> Any:
    """A model's configuration, as a `ModelConfig` message; `identities` says what each version was made from."""
    parameters = {
        ServedParameter.LENGTHS: ",".join(map(str, options.lengths)),
        ServedParameter.READS: str(options.reads),
        **({ServedParameter.TAKES_MISSING: "true"} if options.takes_missing else {}),
        "intra_op_thread_count": str(options.threads),
        "inter_op_thread_count": "1",
        **{f"{ServedParameter.IDENTITY}{version}": identity for version, identity in sorted(identities.items())},
    }
    return model_config_pb2.ModelConfig(
        name=name,
        backend=_BACKEND,
        default_model_filename=MODEL_FILE,
        max_batch_size=options.common.max_batch_size,
        input=[_describe(tensor) for tensor in signature.inputs],
        output=[_describe(tensor) for tensor in signature.outputs],
        instance_group=[{"count": options.instances, "kind": f"KIND_{options.common.device.upper()}"}],
        version_policy={"latest": {"num_versions": options.common.kept_versions}},
        # No queue policy: with one, of whatever content, Triton 2.51 lets one request in some thousands lie for half a
        # second. A request whose sender has given up is dropped without it.
        dynamic_batching={"max_queue_delay_microseconds": options.common.queue_delay_microseconds},
        parameters={key: {"string_value": value} for key, value in parameters.items()},
        model_warmup=[_warm_up(signature, length) for length in options.lengths],
    )


def write_config(config: Any, path: Path) -> None:
    """Writes a `ModelConfig` message as a config.pbtxt."""
    path.write_text(text_format.MessageToString(config), encoding="utf-8")


def read_config(path: Path) -> Any:
    """A config.pbtxt as a `ModelConfig` message.

    Raises:
        InputError: It cannot be read.
    """
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), model_config_pb2.ModelConfig())
    except (text_format.ParseError, OSError) as error:
        raise InputError(
            f"this is no configuration of a model: {error}",
            where=str(path),
            remedy="remove the model's folder and run rec_sys.modules.model_export again",
        ) from error


def identities_of(config: Any) -> dict[int, str]:
    """What each version was made from, as a `ModelConfig` message says."""
    return {
        int(key.removeprefix(ServedParameter.IDENTITY)): parameter.string_value
        for key, parameter in config.parameters.items()
        if key.startswith(ServedParameter.IDENTITY)
    }


def same_tensors(config: Any, other: Any) -> bool:
    """Whether two `ModelConfig` messages take and give the same tensors, so that one can stand for both versions."""
    return list(config.input) == list(other.input) and list(config.output) == list(other.output)


def _describe(tensor: TensorSignature) -> dict[str, Any]:
    described = {"name": tensor.name, "data_type": f"TYPE_{tensor.data_type}", "dims": tensor.dims or (1,)}
    # Triton knows no tensor of a batch axis alone; it drops the added axis before the model sees it.
    return described if tensor.dims else described | {"reshape": {"shape": []}}


def _warm_up(signature: OnnxSignature, length: int) -> dict[str, Any]:
    # Zeros: nothing is masked in, which every model must answer, and no token id lies outside the vocabulary.
    inputs = {
        tensor.name: {
            "data_type": f"TYPE_{tensor.data_type}",
            "dims": [length if axis == -1 else axis for axis in tensor.dims or (1,)],
            "zero_data": True,
        }
        for tensor in signature.inputs
    }
    return {"name": f"length_{length}", "batch_size": 1, "inputs": inputs}
