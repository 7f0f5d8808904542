r"""Token vectors out of a sentence encoder, as model2vec makes them (Tulkens and van Dongen 2024).

Every token of the vocabulary is encoded alone, between the special tokens that frame a text. The vectors' principal
components are kept, and each is weighted by how rare its token is: with the vocabulary in the order of frequency, the
token of rank r has the probability :math:`p_r \propto 1 / (r + 2)` (Zipf) and the weight :math:`a / (a + p_r)` (smooth
inverse frequency, Arora et al. 2017, eq. 2).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from rec_sys.checksums import write_checksums
from rec_sys.contracts import InputError
from rec_sys.files import atomic_folder
from rec_sys.progress import WorkProgress
from rec_sys.text.model_folder import load_model
from rec_sys.text.token_regression import fit_tokens, principal_directions

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_SMOOTHING: Final = 1e-4  # a, model2vec's default
_TOKENS_AT_ONCE: Final = 1_024


@dataclass(frozen=True)
class Examples:
    """Texts and what the encoder says of them: float32 `[num_texts, teacher_dim]`."""

    texts: Sequence[str]
    vectors: npt.NDArray[np.float32]


def distil(teacher: Path, dim: int, folder: Path, examples: Examples | None = None) -> None:
    """Writes a model folder with one vector for each token of an encoder's vocabulary.

    Args:
        teacher: A model folder.
        dim: Width of the vectors, at most the teacher's.
        folder: Appears whole or not at all.
        examples: Fits the vectors to these too (`token_regression`).

    Raises:
        InputError: The teacher cannot be loaded, has no tokenizer of the tokenizers library, or is too narrow.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding

    model = _load(teacher)
    vectors = _encode_tokens(model)
    if vectors.shape[1] < dim:
        raise InputError(
            f"the encoder's vectors have {vectors.shape[1]} numbers, {dim} are asked for",
            where="setting text.static_dim",
            remedy=f"set text.static_dim={vectors.shape[1]} or less",
        )
    weights = _rarity(len(vectors))[:, None]
    if examples is None:
        vectors = _keep_components(vectors, dim) * weights
    else:
        rust = model.tokenizer.backend_tokenizer
        rust.no_truncation()
        read = [row.ids for row in rust.encode_batch(list(examples.texts), add_special_tokens=False)]
        filled = [place for place, row in enumerate(read) if row]
        start = (vectors - vectors.mean(axis=0)) * weights
        vectors = fit_tokens(start, [read[place] for place in filled], examples.vectors[filled], dim)
    static = StaticEmbedding(model.tokenizer, embedding_weights=torch.from_numpy(vectors))
    with atomic_folder(folder, bytes_needed=vectors.nbytes) as building:
        SentenceTransformer(modules=[static, Normalize()], device="cpu").save(str(building), create_model_card=False)
        write_checksums(building)


def _load(folder: Path) -> "SentenceTransformer":
    from transformers import PreTrainedTokenizerFast

    model = load_model(folder)
    if not isinstance(getattr(model, "tokenizer", None), PreTrainedTokenizerFast):
        raise InputError(
            "the model has no tokenizer of the tokenizers library, whose tokens could be given vectors",
            where=str(folder),
            remedy="give text.model another model",
        )
    return model.eval()


def _encode_tokens(model: "SentenceTransformer") -> npt.NDArray[np.float32]:
    """float32 [vocabulary, teacher_dim]: each token read alone."""
    import torch

    frame = model.tokenizer("")["input_ids"]
    before, after = frame[: len(frame) // 2], frame[len(frame) // 2 :]
    size = len(model.tokenizer)
    found = []
    with torch.no_grad(), WorkProgress("text: distilling", "tokens", size) as progress:
        for start in range(0, size, _TOKENS_AT_ONCE):
            rows = [[*before, token, *after] for token in range(start, min(start + _TOKENS_AT_ONCE, size))]
            token_ids = torch.tensor(rows, device=model.device)
            features: dict[str, Any] = {"input_ids": token_ids, "attention_mask": torch.ones_like(token_ids)}
            found.append(model(features)["sentence_embedding"].float().cpu().numpy())
            progress.advance(len(rows))
    return np.concatenate(found)


def _keep_components(vectors: npt.NDArray[np.float32], dim: int) -> npt.NDArray[np.float32]:
    """float32 [n, dim]: the principal components of most variance, about the mean."""
    centred = vectors - vectors.mean(axis=0)
    kept: npt.NDArray[np.float32] = (centred @ principal_directions(centred, dim)).astype(np.float32)
    return kept


def _rarity(size: int) -> npt.NDArray[np.float32]:
    """float32 [size]: the weight of each token by its place in the vocabulary."""
    probability = 1 / np.arange(2, size + 2)
    probability /= probability.sum()
    return (_SMOOTHING / (_SMOOTHING + probability)).astype(np.float32)
