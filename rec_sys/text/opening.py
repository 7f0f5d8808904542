"""The text encoder that the settings choose."""

from collections.abc import Callable
from pathlib import Path

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
    identify = {
        "minilm": identify_minilm,
        "sentence_transformer": identify_sentence_transformer,
        "static": identify_static,
    }
    return identify[settings.encoder](settings)
