"""A model of sentence-transformers on disk: found, checked before it is loaded, and named by what its files hold."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rec_sys.contracts import InputError
from rec_sys.files import sha256_of

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_SETTING: Final = "setting text.model"
_MODULES: Final = "modules.json"
_CONFIG: Final = "config.json"
_WEIGHTS: Final = (".safetensors", ".bin")
_TOKENIZERS: Final = frozenset(
    (
        *("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model"),
        *("whitespacetokenizer_config.json", "phrasetokenizer_config.json"),
    )
)
# What decides the vectors; pictures, model cards and the other libraries' copies of the weights do not.
_SUFFIXES: Final = frozenset((*_WEIGHTS, ".json", ".txt", ".model", ".py"))
_COPIES: Final = frozenset(("onnx", "openvino"))


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a model without loading it again.

    Attributes:
        dim: Width of its vectors.
        max_tokens: Tokens that it reads of a text; None for all.
        prompt: What it has before every text.
        pad_id: Its token for padding.
        unexportable: Why it cannot be exported; None where it can, or where nobody has tried.
    """

    dim: int
    max_tokens: int | None
    prompt: str = ""
    pad_id: int = 0
    unexportable: str | None = None


def locate_model(model: str) -> Path:
    """The folder of a model that is given as a folder, or as a name in the local cache or on the hub.

    Raises:
        InputError: There is none, or it lacks what it would be loaded from.
    """
    folder = Path(model).expanduser()
    if not folder.is_dir():
        folder = _fetch(model)
    _check(folder)
    return folder


def load_model(folder: Path, **options: Any) -> "SentenceTransformer":
    """The model as the library loads it, which takes seconds; `options` are the library's.

    Raises:
        InputError: The library cannot load it.
    """
    from sentence_transformers import SentenceTransformer

    try:
        return SentenceTransformer(str(folder), local_files_only=True, **options)
    except Exception as error:  # each kind of module raises its own
        raise InputError(
            f"sentence-transformers cannot load this model: {str(error).strip().splitlines()[0]}",
            where=str(folder),
            remedy="check that SentenceTransformer(FOLDER) of Python loads it, and give its path",
        ) from error


def learned_folder(output_dir: Path, name: str, *learned: object) -> Path:
    """Where a model goes that is learned from reviews: what was learned otherwise lies elsewhere.

    Bundles go on reading the folder that they were trained with, so nothing is written over another model.

    Args:
        output_dir: Of the settings.
        name: What people call it.
        learned: All that the model depends on, as text.
    """
    digest = hashlib.sha256(" ".join(map(str, learned)).encode())
    return output_dir.absolute() / "text" / "learned" / f"{name}-{digest.hexdigest()[:12]}"


def hash_model(folder: Path) -> str:
    """The sha256 over the names and contents of the files that decide the vectors."""
    digest = hashlib.sha256()
    for path in _files(folder):
        digest.update(f"{path.relative_to(folder).as_posix()} {sha256_of(path)}\n".encode())
    return digest.hexdigest()


def _files(folder: Path) -> list[Path]:
    found = (path for path in folder.rglob("*") if path.suffix in _SUFFIXES and path.is_file())
    return sorted(path for path in found if not _COPIES & set(path.relative_to(folder).parts[:-1]))


def _check(folder: Path) -> None:
    remedy = "give a folder that SentenceTransformer.save has written, or a model's folder as the hub has it"
    for name in (_MODULES, _CONFIG):
        if (folder / name).is_file():
            try:
                json.loads((folder / name).read_text(encoding="utf-8"))
            except (ValueError, RecursionError) as error:
                raise InputError(f"this is not JSON: {error}", where=str(folder / name), remedy=remedy) from error
            break
    else:
        raise InputError(f"this is no model: it has no {_MODULES} and no {_CONFIG}", where=str(folder), remedy=remedy)
    files = _files(folder)
    if not any(path.suffix in _WEIGHTS for path in files):
        raise InputError("the model has no weights", where=str(folder), remedy=remedy)
    if not _TOKENIZERS & {path.name for path in files}:
        raise InputError(
            "the model has no tokenizer", where=str(folder), remedy="put its tokenizer.json, or its vocabulary, there"
        )


def _fetch(name: str) -> Path:
    import httpx
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        try:
            return Path(snapshot_download(name, local_files_only=True))
        except LocalEntryNotFoundError:
            return Path(snapshot_download(name, ignore_patterns=[f"{copy}/*" for copy in sorted(_COPIES)]))
    except (HfHubHTTPError, HFValidationError, httpx.HTTPError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{name} is no folder, and no model of this name is in the local cache or can be fetched: {reason}",
            where=_SETTING,
            remedy="check the path or the name, or fetch the model where the hub can be reached and give its folder",
        ) from error
