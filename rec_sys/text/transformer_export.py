"""Writes a transformer of sentence-transformers as ONNX, pooling and all, where torch's exporter can.

What comes out must answer as the library does, or it is not written.
"""

import logging
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rec_sys.contracts import TextEncoderTensor
from rec_sys.files import atomic_file
from rec_sys.text.encoder import NotExportableError
from rec_sys.text.model_folder import ModelFacts
from rec_sys.text.tokens import TextTokenizer

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import nn

_OPSET: Final = 20
_TOLERANCE: Final = 1e-4  # as for the towers
_LONGEST_CHECKED: Final = 400  # words
_TEXTS: Final = (
    "Stays in tune.",
    "",
    "Bought it for my daughter's first lessons; the strings were replaced within a week, the case is very good.",
    "Très bien, sehr gut, очень хорошо, とても良い 🎸",
    "a long review of a short cable " * (_LONGEST_CHECKED // 7),
)


def export_transformer(model: "SentenceTransformer", facts: ModelFacts, path: Path, tokenizer_path: Path) -> None:
    """Exports a model on the CPU, with the inputs and output of `contracts.TextEncoderTensor`, and its tokenizer.

    Raises:
        NotExportableError: The model is none of tokens to one vector, or no exporter writes it as it is.
    """
    rust = _tokenizer_of(model)
    if any(getattr(module, "include_prompt", True) is False for module in model) and facts.prompt:
        raise NotExportableError("the pooling leaves the prompt out, which the exported model could not tell")
    if facts.max_tokens is None:
        raise NotExportableError("the model reads texts of any length")
    with TemporaryDirectory(prefix="text-export-") as scratch:
        written = Path(scratch) / "tokenizer.json"
        written.write_text(rust.to_str(), encoding="utf-8")
        tokenizer = TextTokenizer(written, facts.max_tokens, facts.prompt, facts.pad_id)
        batch = tokenizer.pad(list(_TEXTS))
        expected = model.encode(list(_TEXTS), batch_size=len(_TEXTS), show_progress_bar=False, prompt=facts.prompt)
        reasons = []
        for dynamo in (False, True):  # the older exporter takes a thirtieth of the time
            exported = Path(scratch) / f"{dynamo}.onnx"
            try:
                _export(_as_module(model), batch, exported, dynamo)
                _compare(exported, tokenizer, np.asarray(expected, dtype=np.float32))
            except Exception as error:  # exporters and runtimes raise whatever stops them
                reasons.append(str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__)
                continue
            with atomic_file(path, bytes_needed=exported.stat().st_size) as unfinished:
                _copy_with_width(exported, unfinished, expected.shape[1])
            with atomic_file(tokenizer_path) as unfinished:
                unfinished.write_bytes(written.read_bytes())
            return
    raise NotExportableError(f"torch does not export this model: {'; '.join(reasons)}")


def _tokenizer_of(model: "SentenceTransformer") -> Any:
    from sentence_transformers.sentence_transformer.modules import Transformer
    from transformers import PreTrainedTokenizerFast

    tokenizer = getattr(model, "tokenizer", None)
    if not isinstance(model[0], Transformer) or not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise NotExportableError("the model is no transformer with a tokenizer of the tokenizers library")
    if tokenizer.padding_side != "right":
        raise NotExportableError("the model reads texts that are padded on the left")
    return tokenizer.backend_tokenizer


def _as_module(model: "SentenceTransformer") -> "nn.Module":
    import torch
    from torch import nn

    class SentenceEncoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.steps = nn.ModuleList(model)

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            features: dict[str, Any] = {"input_ids": input_ids, "attention_mask": attention_mask}
            for step in self.steps:
                features = step(features)
            vector: torch.Tensor = features["sentence_embedding"]
            return vector

    return SentenceEncoder().eval()


def _export(module: "nn.Module", batch: Any, path: Path, dynamo: bool) -> None:
    import torch

    names = TextEncoderTensor
    free = {0: "batch", 1: "tokens"}
    axes: dict[str, Any] = {
        "dynamic_axes": {names.INPUT_IDS: free, names.ATTENTION_MASK: free, names.VECTOR: {0: "batch"}}
    }
    if dynamo:
        shape = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", min=2)}
        axes = {"dynamic_shapes": (shape, shape), "external_data": False, "verbose": False}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            tuple(map(torch.from_numpy, batch)),
            str(path),
            input_names=[names.INPUT_IDS, names.ATTENTION_MASK],
            output_names=[names.VECTOR],
            opset_version=_OPSET,
            dynamo=dynamo,
            **axes,
        )


def _copy_with_width(exported: Path, path: Path, width: int) -> None:
    """Says how wide the vectors are, which the older exporter does not find out and Triton wants to know."""
    import onnx

    model = onnx.load_model(exported)
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = width
    path.write_bytes(model.SerializeToString())


def _compare(path: Path, tokenizer: TextTokenizer, expected: np.ndarray) -> None:
    """Asks the exported model in several batches, padded beyond what they need too."""
    import onnxruntime

    names = TextEncoderTensor
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    size = max(1.0, float(np.abs(expected).max()))
    for rows in (slice(0, len(_TEXTS)), slice(0, 1), slice(0, 3)):
        token_ids, mask = tokenizer.pad(list(_TEXTS[rows]))
        found = session.run([names.VECTOR], {names.INPUT_IDS: token_ids, names.ATTENTION_MASK: mask})[0]
        difference = float(np.abs(found - expected[rows]).max()) / size
        if not difference <= _TOLERANCE:
            raise ValueError(f"the exported model differs from the library by {difference:.1e}")
