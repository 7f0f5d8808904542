"""The text encoder that the settings choose."""

from collections.abc import Callable
from pathlib import Path

from rec_sys.contracts import InputError
from rec_sys.settings import TextSettings
from rec_sys.text.encoder import TextEncoder
from rec_sys.text.minilm import MiniLmEncoder, identify_minilm
from rec_sys.text.sentence_transformer import SentenceTransformerEncoder, identify_sentence_transformer
from rec_sys.text.static import StaticEncoder, identify_static


def open_encoder(settings: TextSettings, cache_dir: Path) -> TextEncoder:
    """The encoder; what it makes for itself is kept below `cache_dir`.

    Raises:
        InputError: Its model or its device cannot be used.
    """
    _refuse_unfitted(settings)
    kinds: dict[str, Callable[[TextSettings, Path], TextEncoder]] = {
        "minilm": MiniLmEncoder,
        "sentence_transformer": SentenceTransformerEncoder,
        "static": StaticEncoder,
    }
    return kinds[settings.encoder](settings, cache_dir)


def identify_encoder(settings: TextSettings) -> str:
    """The name of the vectors that these settings lead to: equal names, equal vectors.

    Raises:
        InputError: Its model cannot be found or is not what it should be.
    """
    _refuse_unfitted(settings)
    identify = {
        "minilm": identify_minilm,
        "sentence_transformer": identify_sentence_transformer,
        "static": identify_static,
    }
    return identify[settings.encoder](settings)


def _refuse_unfitted(settings: TextSettings) -> None:
    if settings.encoder == "lsa":
        raise InputError(
            "word vectors are fitted by training, and this command does not train",
            where="setting text.encoder=lsa",
            remedy="train with text=lsa, then give text=static text.model=FOLDER; its bundle's settings.json names it",
        )
