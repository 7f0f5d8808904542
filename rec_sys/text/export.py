"""Writes the text encoder as one ONNX file: BERT, mean over the real tokens, unit length.

The only module of the room that needs torch; it runs once for a set of weights and a precision.
"""

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt

from rec_sys.contracts import InputError, TextEncoderTensor
from rec_sys.files import atomic_file
from rec_sys.text.weights import WeightFiles

if TYPE_CHECKING:
    import onnx
    from torch import nn
    from transformers import BertConfig

Batch = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]  # token ids and attention mask, [batch, tokens]
Precision = Literal["fp32", "int8"]

EXPORT_VERSION: Final = 1  # raised whenever the graph, or the reading of a text, gives other vectors
_OPSET: Final = 17
# Cosine to torch's own answer. int8 loses some: its mean over real reviews is 0.993, its minimum 0.978.
_LEAST_COSINE: Final[dict[Precision, float]] = {"fp32": 0.9999, "int8": 0.9}


def export_encoder(files: WeightFiles, precision: Precision, path: Path) -> None:
    """Exports, fuses, quantises where asked, compares with torch, and only then publishes the file.

    Inputs and output are those of `contracts.TextEncoderTensor`.

    Raises:
        InputError: The weights do not fit their config, or the disk is full.
        RuntimeError: The exported graph disagrees with torch or could not be fused.
    """
    encoder, config = _load_encoder(files)
    batch = _example_batch(config.vocab_size)
    with atomic_file(path, bytes_needed=files.model.stat().st_size) as unfinished:
        # Every step passes its graph on through the same file.
        graph = _fuse(_trace(encoder, batch, unfinished), config, unfinished)
        if precision == "int8":
            graph = _quantise(graph, unfinished)
        graph.producer_name, graph.doc_string = "rec_sys", f"text encoder, {precision}, sha256 {files.model_sha256}"
        _compare_with_torch(graph, encoder, batch, precision)
        unfinished.write_bytes(graph.SerializeToString(deterministic=True))


def _load_encoder(files: WeightFiles) -> "tuple[nn.Module, BertConfig]":
    """The torch encoder in evaluation mode."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    from torch import nn
    from transformers import BertConfig, BertModel

    class SentenceEncoder(nn.Module):
        def __init__(self, bert: nn.Module) -> None:
            super().__init__()
            self.bert = bert

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            hidden: torch.Tensor = self.bert(input_ids=input_ids, attention_mask=attention_mask, return_dict=False)[0]
            weight = attention_mask.unsqueeze(-1).to(hidden.dtype)  # [batch, tokens, 1]
            mean = (hidden * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1e-9)  # [batch, dim]
            norm: torch.Tensor = mean.norm(dim=1, keepdim=True)
            return mean / norm.clamp(min=1e-9)

    # Eager attention: the pattern that onnxruntime's fusion knows.
    try:
        config = BertConfig(**json.loads(files.config.read_text(encoding="utf-8")) | {"attn_implementation": "eager"})
        numbers = config.hidden_size * (config.vocab_size + config.num_hidden_layers * config.hidden_size)
        if numbers > files.model.stat().st_size:  # a model so large would be made before its weights are read
            raise _unfitting(files, "the file is smaller than the model that its config.json describes")
        bert = BertModel(config, add_pooling_layer=False)
    except (ValueError, TypeError, ArithmeticError, RuntimeError) as error:  # whatever the library makes of a config
        raise _unfitting(files, str(error).splitlines()[0]) from error
    try:
        state = {name.removeprefix("bert."): tensor for name, tensor in load_file(files.model).items()}
        missing = bert.load_state_dict(state, strict=False).missing_keys
    except (SafetensorError, RuntimeError) as error:
        raise _unfitting(files, str(error).splitlines()[0]) from error
    if missing:
        raise _unfitting(files, f"{missing[0]} and {len(missing) - 1} other tensors are missing")
    return SentenceEncoder(bert).eval(), config


def _unfitting(files: WeightFiles, reason: str) -> InputError:
    return InputError(
        f"the weights do not fit their config.json: {reason}",
        where=str(files.model),
        remedy="give a folder whose model.safetensors and config.json belong together",
    )


def _trace(encoder: "nn.Module", batch: Batch, path: Path) -> "onnx.ModelProto":
    import onnx
    import torch

    names = TextEncoderTensor
    token_ids, mask = batch
    free = {0: "batch", 1: "tokens"}
    with warnings.catch_warnings():
        # Of the two exporters only the older one writes attention in the form that is fused below; it calls itself
        # deprecated, and it warns about branches on shapes that are the same for every batch.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            encoder,
            (torch.from_numpy(token_ids), torch.from_numpy(mask)),
            str(path),
            input_names=[names.INPUT_IDS, names.ATTENTION_MASK],
            output_names=[names.VECTOR],
            dynamic_axes={names.INPUT_IDS: free, names.ATTENTION_MASK: free, names.VECTOR: {0: "batch"}},
            opset_version=_OPSET,
            dynamo=False,
        )
    return onnx.load_model(path)


def _fuse(graph: "onnx.ModelProto", config: "BertConfig", path: Path) -> "onnx.ModelProto":
    """BERT's attention, normalisation and activation as single operators of onnxruntime."""
    import onnx
    from onnxruntime.transformers import optimizer

    # opt_level 0: what onnxruntime can do by itself it does for the machine at hand, when it opens the file.
    heads, dim = config.num_attention_heads, config.hidden_size
    fused = optimizer.optimize_model(graph, model_type="bert", num_heads=heads, hidden_size=dim, opt_level=0)
    attentions = sum(node.op_type == "Attention" for node in fused.nodes())
    if attentions != config.num_hidden_layers:
        raise RuntimeError(f"only {attentions} of {config.num_hidden_layers} attention layers could be fused")
    fused.save_model_to_file(str(path))  # which also names the domain of the fused operators
    return onnx.load_model(path)


def _quantise(graph: "onnx.ModelProto", path: Path) -> "onnx.ModelProto":
    """Weights int8 per channel, activations int8 with a scale for each batch."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.quant_utils import add_pre_process_metadata

    add_pre_process_metadata(graph)  # else it warns through the root logger that the graph is not optimised
    # The fused operators have no inferred types, so the type of their outputs is given.
    output_types = {"DefaultTensorType": onnx.TensorProto.FLOAT}
    quantize_dynamic(graph, path, per_channel=True, weight_type=QuantType.QInt8, extra_options=output_types)
    return onnx.load_model(path)


def _compare_with_torch(graph: "onnx.ModelProto", encoder: "nn.Module", batch: Batch, precision: Precision) -> None:
    import onnxruntime
    import torch

    token_ids, mask = batch
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    names = TextEncoderTensor
    found: npt.NDArray[Any] = session.run([names.VECTOR], {names.INPUT_IDS: token_ids, names.ATTENTION_MASK: mask})[0]
    with torch.no_grad():
        expected = encoder(torch.from_numpy(token_ids), torch.from_numpy(mask)).numpy()
    least = float((found * expected).sum(axis=1).min())
    if not least > _LEAST_COSINE[precision]:
        raise RuntimeError(
            f"the exported text encoder disagrees with torch: cosine {least:.6f}, needed {_LEAST_COSINE[precision]}"
            f" (torch {torch.__version__}, onnxruntime {onnxruntime.__version__})"
        )


def _example_batch(vocabulary: int) -> Batch:
    """Token ids and mask, int64 [4, 24]: texts of 24, 17, 9 and 3 tokens, drawn from a fixed seed."""
    lengths = np.array([24, 17, 9, 3])
    mask = (np.arange(24) < lengths[:, None]).astype(np.int64)
    return np.random.default_rng(0).integers(0, vocabulary, mask.shape) * mask, mask
