"""Texts as weighted means of their tokens' vectors: no attention, no torch, a hundred times a transformer's speed.

The vectors are distilled from an encoder at the first use (`distillation`) and kept as a model folder of
sentence-transformers, which that library reads too; or they come in such a folder.
"""

import hashlib
import json
import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from rec_sys.checksums import check_folder
from rec_sys.contracts import InputError
from rec_sys.locks import hold_lock
from rec_sys.settings import TextSettings
from rec_sys.text.encoder import NotExportableError, Positions, TextEncoder, refuse_without
from rec_sys.text.minilm import identify_minilm
from rec_sys.text.model_folder import hash_model, locate_model
from rec_sys.text.sentence_transformer import identify_sentence_transformer
from rec_sys.text.tokens import TextTokenizer
from rec_sys.text.weights import locate_weights

_LOG: Final = logging.getLogger(__name__)

DISTILLATION_VERSION: Final = 1  # raised whenever the distilled vectors, or the reading of a text, change
_TOKEN_BUDGET: Final = 65_536
_CHARACTERS_A_TOKEN: Final = 4  # of English; only batches are cut by it
_MATRIX: Final = "embedding.weight"


def identify_static(settings: TextSettings) -> str:
    """The name of the vectors: by the encoder that they are distilled from, and their width.

    Raises:
        InputError: That encoder cannot be found.
    """
    if (folder := _static_folder(settings)) is not None:
        given = hashlib.sha256(f"{DISTILLATION_VERSION} {hash_model(folder)} {settings.max_tokens}".encode())
        return f"static-{given.hexdigest()[:16]}"
    teacher = identify_minilm(settings) if settings.model is None else identify_sentence_transformer(settings)
    parts = DISTILLATION_VERSION, teacher, settings.static_dim, settings.max_tokens
    digest = hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()
    return f"static-{settings.static_dim}-{digest[:16]}"


def teacher_folder(settings: TextSettings) -> Path:
    """The model folder of the encoder that is distilled.

    Raises:
        InputError: It cannot be found.
    """
    return locate_weights(settings).model.parent if settings.model is None else locate_model(settings.model)


def _static_folder(settings: TextSettings) -> Path | None:
    """The model given, where it is static already."""
    if settings.model is None:
        return None
    folder = locate_model(settings.model)
    modules = folder / "modules.json"
    kinds = json.loads(modules.read_text(encoding="utf-8")) if modules.is_file() else []
    return folder if kinds and kinds[0]["type"].endswith(".StaticEmbedding") else None


class StaticEncoder(TextEncoder):
    """Mean of the vectors of a text's tokens, of unit length.

    Args:
        settings: The text settings.
        cache_dir: The distilled model is kept in `models` below it.

    Raises:
        InputError: The encoder to distil from cannot be found.
    """

    def __init__(self, settings: TextSettings, cache_dir: Path) -> None:
        self._settings = settings
        self._opening = threading.Lock()
        self._opened: tuple[TextTokenizer, npt.NDArray[np.float32]] | None = None
        self.encoder_id = identify_static(settings)
        given = _static_folder(settings)
        self.folder = given or cache_dir / "models" / self.encoder_id
        self.dim = settings.static_dim if given is None else _width(_weights_of(given))
        self.max_tokens = settings.max_tokens
        self.token_budget, self.num_workers = settings.token_budget or _TOKEN_BUDGET, 1
        self.tokenizer = None

    def count(self, texts: Sequence[str]) -> npt.NDArray[np.int32]:
        """See `TextEncoder`; guessed, since to read them is nearly all the work."""
        return np.array([len(text) // _CHARACTERS_A_TOKEN + 1 for text in texts], dtype=np.int32)

    def encode_batches(
        self, texts: Sequence[str], batches: Iterable[Positions]
    ) -> Iterator[tuple[Positions, npt.NDArray[np.float32]]]:
        """See `TextEncoder`."""
        tokenizer, matrix = self._open()
        for positions in batches:
            rows = tokenizer.read([texts[position] for position in positions.tolist()])
            yield positions, _mean_rows(matrix, rows)

    def export(self) -> Path:
        """See `TextEncoder`."""
        raise NotExportableError("a static encoder takes less time here than a request to Triton")

    def prepare(self) -> None:
        """See `TextEncoder`.

        Raises:
            InputError: It must be distilled and what is needed for that is not installed, or the disk is full.
        """
        if self.folder.is_dir():
            return
        with hold_lock(self.folder.with_name(f".{self.encoder_id}.lock"), waiting="text: waiting for a distillation"):
            if self.folder.is_dir():
                return
            refuse_without(("torch", "sentence_transformers"), "the static encoder is not distilled yet", self.folder)
            from rec_sys.text.distillation import distil

            _LOG.info("text: distilling token vectors, once for this encoder and width")
            distil(teacher_folder(self._settings), self.dim, self.folder)

    def details(self) -> dict[str, Any]:
        """See `TextEncoder`."""
        return {"encoder": "static", "model": self._settings.model, "precision": "fp32", **super().details()}

    def _open(self) -> tuple[TextTokenizer, npt.NDArray[np.float32]]:
        with self._opening:
            if self._opened is None:
                from safetensors.numpy import load_file

                self.prepare()
                remedy = "remove the folder, and rec_sys.train.train distils it again; or copy it again"
                check_folder(self.folder, "the static text encoder", remedy)
                weights = _weights_of(self.folder)
                tokenizer = TextTokenizer(weights.with_name("tokenizer.json"), self.max_tokens, framed=False)
                self._opened = tokenizer, load_file(weights)[_MATRIX].astype(np.float32)
            return self._opened


def _weights_of(folder: Path) -> Path:
    found = sorted(folder.rglob("model.safetensors"))
    if len(found) != 1 or not found[0].with_name("tokenizer.json").is_file():
        raise InputError(
            "this static model is none of one matrix and one tokenizer",
            where=str(folder),
            remedy="read it with text=sentence_transformer",
        )
    return found[0]


def _width(weights: Path) -> int:
    from safetensors import safe_open

    with safe_open(weights, framework="numpy") as tensors:
        if _MATRIX not in tensors.keys():  # noqa: SIM118 # it is no dictionary
            raise InputError(
                f"this static model has no tensor {_MATRIX}",
                where=str(weights),
                remedy="read it with text=sentence_transformer",
            )
        return int(tensors.get_slice(_MATRIX).get_shape()[1])


def _mean_rows(matrix: npt.NDArray[np.float32], rows: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]:
    """Directions of the mean of each row's vectors, float32 [len(rows), dim]; zero for a row without tokens."""
    sums = np.zeros((len(rows), matrix.shape[1]), dtype=np.float32)
    for place, row in enumerate(rows):
        if row:
            matrix[row].sum(axis=0, out=sums[place])
    length = np.linalg.norm(sums, axis=1, keepdims=True)
    means: npt.NDArray[np.float32] = np.divide(sums, length, out=np.zeros_like(sums), where=length > 0)
    return means
