"""Any model of sentence-transformers as an encoder; pooling, normalisation, prompts and length are the model's own."""

import hashlib
import json
import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from rec_sys.contracts import InputError
from rec_sys.files import atomic_file
from rec_sys.locks import hold_lock
from rec_sys.settings import TextSettings
from rec_sys.text.encoder import NotExportableError, Positions, TextEncoder, usable_cores
from rec_sys.text.model_folder import ModelFacts, hash_model, load_model, locate_model
from rec_sys.text.tokens import CHARACTERS_A_TOKEN, TextTokenizer, make_readable

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_LOG: Final = logging.getLogger(__name__)

_READING_VERSION: Final = 1  # raised whenever the reading of a text gives other vectors
_TOKEN_BUDGET: Final = {"cpu": 1_024, "cuda": 16_384}


def identify_sentence_transformer(settings: TextSettings) -> str:
    """The name of the vectors that these settings lead to.

    Raises:
        InputError: There is no such model.
    """
    return _name_encoder(locate_model(settings.model or ""), settings)


def _name_encoder(folder: Path, settings: TextSettings) -> str:
    parts = (_READING_VERSION, hash_model(folder), settings.precision, settings.max_tokens, settings.prompt)
    digest = hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()
    # What the files hold, and not where they are: a model that is moved embeds nothing anew.
    return f"sentence_transformer-{settings.precision}-{digest[:16]}"


class SentenceTransformerEncoder(TextEncoder):
    """A model as the library runs it.

    The library and torch take seconds to import, so the model is loaded when the first text is read, and before that
    once in its life, to note its width.

    Args:
        settings: The text settings.
        cache_dir: What is noted and exported is kept in `models` below it.

    Raises:
        InputError: There is no such model, the library cannot load it, or the device cannot be used.
    """

    def __init__(self, settings: TextSettings, cache_dir: Path) -> None:
        self._settings = settings
        self._folder = locate_model(settings.model or "")
        self._loading = threading.Lock()
        self._loaded: SentenceTransformer | None = None
        self.encoder_id = _name_encoder(self._folder, settings)
        self._notes = cache_dir / "models" / f"{self.encoder_id}.json"
        self.model_path = self._notes.with_suffix(".onnx")
        self._facts = self._read_facts()
        self.dim, self.max_tokens = self._facts.dim, self._facts.max_tokens
        self.token_budget = settings.token_budget or _TOKEN_BUDGET["cpu" if settings.device == "cpu" else "cuda"]
        self.num_workers = 1  # torch shares a batch among its threads
        self.tokenizer = self._exported_tokenizer()

    def count(self, texts: Sequence[str]) -> npt.NDArray[np.int32]:
        """See `TextEncoder`; guessed where the model has a tokenizer of its own kind."""
        from transformers import PreTrainedTokenizerBase

        readable = self._cut(texts)
        tokenizer = getattr(self._model(), "tokenizer", None)
        if not isinstance(tokenizer, PreTrainedTokenizerBase) or not readable:
            return np.array([len(text) // 4 + 1 for text in readable], dtype=np.int32)
        limit: dict[str, Any] = {"truncation": True, "max_length": self.max_tokens} if self.max_tokens else {}
        return np.array([len(row) for row in tokenizer(readable, **limit)["input_ids"]], dtype=np.int32)

    def encode_batches(
        self, texts: Sequence[str], batches: Iterable[Positions]
    ) -> Iterator[tuple[Positions, npt.NDArray[np.float32]]]:
        """See `TextEncoder`."""
        model = self._model()
        for positions in batches:
            chosen = self._cut([texts[position] for position in positions.tolist()])
            with _threads(usable_cores(self._settings)):
                found = model.encode(
                    chosen, prompt_name=self._settings.prompt, batch_size=len(chosen), show_progress_bar=False
                )
            yield positions, np.asarray(found, dtype=np.float32)

    def export(self) -> Path:
        """See `TextEncoder`."""
        if self._facts.unexportable:
            raise NotExportableError(self._facts.unexportable)
        if not (self.model_path.is_file() and self._tokenizer_path.is_file()):
            from rec_sys.text.transformer_export import export_transformer

            with hold_lock(self._lock_path, waiting="text: waiting for another process that exports the encoder"):
                _LOG.info("text: exporting the encoder to ONNX, once for this model")
                try:
                    model = self._load("cpu", eager=True)
                    export_transformer(model, self._facts, self.model_path, self._tokenizer_path)
                except NotExportableError as error:
                    self._note(replace(self._facts, unexportable=str(error)))
                    raise
        self.tokenizer = self._exported_tokenizer()
        return self.model_path

    def details(self) -> dict[str, Any]:
        """See `TextEncoder`."""
        settings = self._settings
        own = {"encoder": "sentence_transformer", "model": settings.model, "precision": settings.precision}
        return {**own, **super().details()}

    def prepare(self) -> None:
        """See `TextEncoder`: the model is there, or it would have been refused."""

    @property
    def _tokenizer_path(self) -> Path:
        return self._notes.with_suffix(".tokenizer.json")

    @property
    def _lock_path(self) -> Path:
        return self._notes.with_name(f".{self.encoder_id}.lock")

    def _exported_tokenizer(self) -> TextTokenizer | None:
        if not self._tokenizer_path.is_file():
            return None
        facts = self._facts
        return TextTokenizer(self._tokenizer_path, facts.max_tokens, facts.prompt, facts.pad_id)

    def _cut(self, texts: Sequence[str]) -> list[str]:
        most = None if self.max_tokens is None else CHARACTERS_A_TOKEN * self.max_tokens
        return [make_readable(text[:most]) for text in texts]

    def _read_facts(self) -> ModelFacts:
        if self._notes.is_file():
            return ModelFacts(**json.loads(self._notes.read_text(encoding="utf-8")))
        model = self._model()
        prompts, name = model.prompts or {}, self._settings.prompt or model.default_prompt_name
        if name is not None and name not in prompts:
            raise InputError(
                f"the model has no prompt {name}",
                where="setting text.prompt",
                remedy=f"choose one of {', '.join(prompts)}" if prompts else "leave it out: the model has none",
            )
        longest = model.max_seq_length
        facts = ModelFacts(
            dim=int(model.get_embedding_dimension() or len(model.encode("width"))),
            max_tokens=int(longest) if longest and longest < np.iinfo(np.int32).max else None,
            prompt=(prompts[name] or "") if name is not None else "",
            pad_id=int(getattr(getattr(model, "tokenizer", None), "pad_token_id", None) or 0),
        )
        self._note(facts)
        return facts

    def _note(self, facts: ModelFacts) -> None:
        self._facts = facts
        with atomic_file(self._notes) as unfinished:
            unfinished.write_text(json.dumps(asdict(facts)), encoding="utf-8")

    def _model(self) -> "SentenceTransformer":
        with self._loading:
            if self._loaded is None:
                self._loaded = self._load(self._device())
            return self._loaded

    def _device(self) -> str:
        import torch

        device, precision = self._settings.device, self._settings.precision
        if device == "cuda" and not torch.cuda.is_available():
            raise InputError(
                "torch finds no CUDA device", where="setting text.device=cuda", remedy="set text.device=cpu or auto"
            )
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device == "cpu" and precision != "fp32":
            _LOG.info(f"text: vectors of {precision} are computed in fp32 on a CPU")
        return device

    def _load(self, device: str, eager: bool = False) -> "SentenceTransformer":
        try:
            import torch

            import_module("sentence_transformers")
            from transformers.utils import logging as transformers_logging
        except ImportError as error:
            raise InputError(
                f"the text encoder needs sentence-transformers: {error}",
                where="setting text.encoder=sentence_transformer",
                remedy="install the whole project here, or choose inference=triton with an exported encoder",
            ) from error
        options: dict[str, Any] = {"attn_implementation": "eager"} if eager else {}
        if device != "cpu":
            kinds = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
            options["dtype"] = kinds[self._settings.precision]
        hush: Any = transformers_logging.disable_progress_bar  # of loading the weights; the library gives it no type
        hush()
        model = load_model(self._folder, device=device, model_kwargs=options or None)
        if self._settings.max_tokens is not None:
            model.max_seq_length = self._settings.max_tokens
        return model.eval()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """So many threads of torch, which are the whole process's, for as long as it takes."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
