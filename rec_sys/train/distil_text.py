"""Distils the text encoder into token vectors that fit the train part's texts; `text=static` reads with them.

Static vectors that know the reviews' own words lose far less than those of the vocabulary alone. Texts of the
validation and test parts are not read.
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import Field

from rec_sys.console import say
from rec_sys.contracts import InputError
from rec_sys.entry import run_entry
from rec_sys.ready_command import argument, path_to_copy
from rec_sys.settings import Settings

if TYPE_CHECKING:
    import polars as pl

    from rec_sys.data.dataset import PreparedDataset

_LOG: Final = logging.getLogger(__name__)


class DistilTextSettings(Settings):
    """Everything config/distil_text.yaml composes."""

    num_texts: int = Field(5_000, ge=20, le=50_000, description="Texts that the encoder reads to be learnt from.")
    folder: Path | None = Field(None, description="The model folder to write; empty: one in output_dir/text.")


def run(settings: DistilTextSettings) -> None:
    """Writes the folder and prints the choice that reads with it."""
    import numpy as np

    from rec_sys.data.prepare import prepare
    from rec_sys.text.distillation import Examples, distil
    from rec_sys.text.embedding import embed_texts
    from rec_sys.text.model_folder import learned_folder
    from rec_sys.text.opening import identify_encoder
    from rec_sys.text.static import DISTILLATION_VERSION, teacher_folder

    text = settings.text
    if text.source != "encoder" or text.encoder == "static":
        raise InputError(
            "static vectors are distilled from an encoder that reads whole texts",
            where="setting text",
            remedy="choose text=minilm or text=sentence_transformer",
        )
    dataset = prepare(settings.data, settings.output_dir, engine=settings.engine)
    texts = train_texts(settings, dataset)
    texts = texts[np.random.default_rng(settings.seed).permutation(len(texts))[: settings.num_texts]]
    if len(texts) < 20:
        raise InputError(
            f"the train part has {len(texts)} texts, and at least 20 are needed",
            where=str(dataset.folder),
            remedy="use text=static without a model, which needs no texts",
        )
    encoder = identify_encoder(text)
    learned = dataset.summary.fingerprint, encoder, settings.seed, settings.num_texts, DISTILLATION_VERSION
    part = settings.evaluation.model_dump_json(), settings.graph.model_dump_json()
    name = f"{dataset.summary.name}-static-{text.static_dim}"
    folder = settings.folder or learned_folder(settings.output_dir, name, *learned, *part)
    if settings.folder is not None or not folder.is_dir():
        _LOG.info(f"text: learns from {len(texts):,} texts of the train part")
        vectors = embed_texts(texts, text, settings.output_dir / "text", engine=settings.engine).vectors.astype(
            np.float32
        )
        distil(teacher_folder(text), text.static_dim, folder, Examples(texts.to_list(), vectors))
    say(f"encoder: {encoder}, {text.static_dim} numbers a token, from {len(texts):,} texts")
    say(f"model: text=static {argument('text.model', path_to_copy(folder))}")


def train_texts(settings: Settings, dataset: "PreparedDataset") -> "pl.Series":
    """The distinct texts that training may read, sorted: none that also stands in a later part.

    Raises:
        InputError: The split leaves nothing to learn from or nothing to test.
    """
    from rec_sys.data.dataset import embedded_review_text
    from rec_sys.data.interactions import build_interactions
    from rec_sys.data.splits import split_reviews

    seed = settings.seed if settings.graph.tie_break == "hash" else 0
    interactions = build_interactions(dataset, settings.graph.tie_break, seed)
    split = split_reviews(interactions, settings.evaluation, settings.seed)
    edges = split.train_edges[split.text_visible[split.train_edges]]
    texts = dataset.reviews().select(text=embedded_review_text())["text"]
    return texts.gather(interactions.review_row[edges]).drop_nulls().unique().sort()


if __name__ == "__main__":
    run_entry(run, DistilTextSettings, "distil_text")
