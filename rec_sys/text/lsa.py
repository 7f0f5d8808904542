r"""Latent semantic analysis (Deerwester et al. 1990): word vectors out of the texts at hand, in seconds.

TF-IDF counts X of the texts are factorised, :math:`X \approx U S V^T`, and a text is :math:`x V` of unit length. With
term frequencies as they stand that is the direction of a sum over its words of :math:`idf_w V_w`, so the model is a
folder of static vectors with words for tokens: `static` reads it, in training and in serving alike, and so does
sentence-transformers.
"""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from rec_sys.checksums import write_checksums
from rec_sys.files import atomic_folder

_LOG: Final = logging.getLogger(__name__)

LSA_VERSION: Final = 1  # raised whenever the fitted vectors change
LEAST_TEXTS: Final = 20
_WORD: Final = r"\w\w+"
_LEAST_DOCUMENTS: Final = 2  # that a word stands in: one that stands in a single text relates to no other
_MOST_WORDS: Final = 50_000
_UNKNOWN: Final = "[UNK]"
_TYPE: Final = "sentence_transformers.sentence_transformer.modules"


def fit_lsa(texts: Sequence[str], dim: int, seed: int, folder: Path) -> None:
    """Writes a model folder with a vector for each word of the texts.

    Args:
        texts: What is learned from, at least `LEAST_TEXTS`.
        dim: Width of the vectors; columns beyond the rank are zero.
        seed: Seeds the factorisation.
        folder: Appears whole or not at all.
    """
    from safetensors.numpy import save_file
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.utils.extmath import randomized_svd
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    reader = TfidfVectorizer(token_pattern=_WORD, min_df=_LEAST_DOCUMENTS, max_features=_MOST_WORDS, dtype=np.float32)
    counts = reader.fit_transform(texts)
    words = reader.get_feature_names_out().tolist()
    _, _, directions = randomized_svd(counts, min(dim, *counts.shape), random_state=seed)
    vectors = np.zeros((len(words) + 1, dim), dtype=np.float32)  # the first is that of unknown words
    vectors[1:, : len(directions)] = reader.idf_[:, None] * directions.T
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate([_UNKNOWN, *words])}, _UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    with atomic_folder(folder, bytes_needed=vectors.nbytes) as building:
        for name in ("0_StaticEmbedding", "1_Normalize"):
            (building / name).mkdir()
        save_file({"embedding.weight": vectors}, building / "0_StaticEmbedding" / "model.safetensors")
        tokenizer.save(str(building / "0_StaticEmbedding" / "tokenizer.json"))
        modules = [
            {"idx": place, "name": str(place), "path": f"{place}_{kind}", "type": f"{_TYPE}.{kind}"}
            for place, kind in enumerate(("StaticEmbedding", "Normalize"))
        ]
        (building / "modules.json").write_text(json.dumps(modules, indent=2))
        write_checksums(building)
    _LOG.info(f"text: {len(words):,} words of {len(texts):,} texts have vectors of {dim} numbers")
