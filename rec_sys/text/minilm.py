"""all-MiniLM-L6-v2 through onnxruntime: texts in, unit vectors out; free of torch once the model is exported."""

import hashlib
import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import onnxruntime

from rec_sys.checksums import NOTE_SUFFIX, check_file, note_file
from rec_sys.contracts import InputError, TextEncoderTensor
from rec_sys.locks import hold_lock
from rec_sys.settings import TextSettings
from rec_sys.text.encoder import Positions, TextEncoder, refuse_without, usable_cores
from rec_sys.text.tokens import TextTokenizer
from rec_sys.text.weights import DEFAULT_MAX_TOKENS, WeightFiles, locate_weights

_LOG: Final = logging.getLogger(__name__)

# Reviews a second on one core of an EPYC with 1 MB of cache each: 33 at 256 to 1,024 tokens a batch, 29 at 2,048,
# 23 at 16,384. A GPU wants large batches.
_TOKEN_BUDGET: Final = {"CPUExecutionProvider": 512, "CUDAExecutionProvider": 16_384}


# Only with torch: a machine that serves needs a copy.
_EXPORTED_AGAIN: Final = "remove it, and rec_sys.train.train exports it again; or copy it again"


def identify_minilm(settings: TextSettings) -> str:
    """The name of the vectors that these settings lead to: equal names, equal vectors.

    Raises:
        InputError: The weights cannot be found or are not what they should be.
    """
    return _name_encoder(locate_weights(settings), settings)


def _name_encoder(files: WeightFiles, settings: TextSettings) -> str:
    from rec_sys.text.export import EXPORT_VERSION  # that module is of the side that has torch, so not at the top

    parts = (files.model_sha256, files.config_sha256, files.tokenizer_sha256, settings.precision, _max_tokens(settings))
    digest = hashlib.sha256(" ".join(map(str, (EXPORT_VERSION, *parts))).encode()).hexdigest()
    return f"{settings.precision}-{_max_tokens(settings)}-{digest[:16]}"


def _max_tokens(settings: TextSettings) -> int:
    return settings.max_tokens or DEFAULT_MAX_TOKENS


class MiniLmEncoder(TextEncoder):
    """Turns texts into vectors.

    Nothing is exported or opened before the first text is encoded. A batch runs on one thread and several batches at
    once: that is faster than sharing a batch among threads, and the vectors do not depend on how many threads there
    are. They do depend on the batch that a text is in: fp32 in the seventh decimal, int8 in the second.

    Args:
        settings: The text settings.
        cache_dir: The exported model is kept in `models` below it.

    Attributes:
        model_path: The exported model, whether it exists yet or not.

    Raises:
        InputError: The weights or the device cannot be used.
    """

    def __init__(self, settings: TextSettings, cache_dir: Path) -> None:
        self._settings = settings
        self._files = locate_weights(settings)
        self._provider = _choose_provider(settings)
        self._opening = threading.Lock()
        self._opened: onnxruntime.InferenceSession | None = None
        self.encoder_id = _name_encoder(self._files, settings)
        self.dim: int = self._files.dim
        self.model_path = cache_dir / "models" / f"{self.encoder_id}.onnx"
        self.max_tokens = _max_tokens(settings)
        self.tokenizer: TextTokenizer = TextTokenizer(self._files.tokenizer, self.max_tokens)
        self.token_budget = settings.token_budget or _TOKEN_BUDGET[self._provider]
        # A GPU runs one batch at a time.
        self.num_workers = usable_cores(settings) if self._provider.startswith("CPU") else 1

    def count(self, texts: Sequence[str]) -> npt.NDArray[np.int32]:
        """See `TextEncoder`."""
        return self.tokenizer.count(texts)

    def encode_batches(
        self, texts: Sequence[str], batches: Iterable[Positions]
    ) -> Iterator[tuple[Positions, npt.NDArray[np.float32]]]:
        """See `TextEncoder`."""
        session = self._open()

        def run(positions: Positions) -> tuple[Positions, npt.NDArray[np.float32]]:
            token_ids, mask = self.tokenizer.pad([texts[position] for position in positions])
            names = TextEncoderTensor
            return positions, session.run([names.VECTOR], {names.INPUT_IDS: token_ids, names.ATTENTION_MASK: mask})[0]

        with ThreadPoolExecutor(self.num_workers) as workers:
            yield from workers.map(run, batches)

    def export(self) -> Path:
        """See `TextEncoder`; weights that do not fit are refused too."""
        if self.model_path.is_file():
            return self._whole()
        waiting = "text: waiting for another process that exports the encoder"
        with hold_lock(self.model_path.parent / f".{self.encoder_id}.lock", waiting=waiting):
            if not self.model_path.is_file():
                _LOG.info("text: exporting the encoder to ONNX, once for these weights and this precision")
                refuse_without(("torch", "transformers"), "the text encoder is not exported yet", self.model_path)
                from rec_sys.text.export import export_encoder

                self.model_path.with_name(f"{self.model_path.name}{NOTE_SUFFIX}").unlink(missing_ok=True)
                export_encoder(self._files, self._precision, self.model_path)
                note_file(self.model_path)
        return self._whole()

    def _whole(self) -> Path:
        check_file(self.model_path, "the exported text encoder", _EXPORTED_AGAIN)
        return self.model_path

    def prepare(self) -> None:
        """See `TextEncoder`."""
        self.export()

    @property
    def _precision(self) -> Literal["fp32", "int8"]:
        return "int8" if self._settings.precision == "int8" else "fp32"

    def details(self) -> dict[str, Any]:
        """See `TextEncoder`."""
        return {"encoder": "minilm", "precision": self._settings.precision, **super().details()}

    def _open(self) -> onnxruntime.InferenceSession:
        with self._opening:
            if self._opened is None:
                self._opened = _open_session(self.export(), self._provider)
            return self._opened


def _choose_provider(settings: TextSettings) -> str:
    has_cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if settings.device == "cuda" and not has_cuda:
        raise InputError(
            "the installed onnxruntime cannot use CUDA",
            where="setting text.device=cuda",
            remedy="install onnxruntime-gpu in place of onnxruntime, or set text.device=cpu",
        )
    # The operators of an int8 graph are made for CPUs.
    wanted = settings.device == "cuda" or (settings.device == "auto" and settings.precision == "fp32")
    return "CUDAExecutionProvider" if wanted and has_cuda else "CPUExecutionProvider"


def _open_session(path: Path, provider: str) -> onnxruntime.InferenceSession:
    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=[provider])
    except Exception as error:  # onnxruntime's errors have no base of their own
        raise InputError(
            f"onnxruntime cannot open the exported text encoder ({error})", where=str(path), remedy=_EXPORTED_AGAIN
        ) from error
    if session.get_providers()[0] != provider:
        raise InputError(
            "onnxruntime could not start CUDA: see its message above",
            where="setting text.device",
            remedy="set text.device=cpu",
        )
    return session
