"""Learns an encoder further by sentence-transformers: its losses, its trainer, its folder."""

import logging
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import polars as pl
import torch
from datasets import Dataset, disable_progress_bars
from safetensors.numpy import load_file
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.losses import (
    MatryoshkaLoss,
    MultipleNegativesRankingLoss,
    TripletDistanceMetric,
    TripletLoss,
)
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, StaticEmbedding
from sentence_transformers.sentence_transformer.training_args import BatchSamplers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import nn
from transformers.trainer_callback import PrinterCallback
from transformers.utils.logging import disable_progress_bar

from rec_sys.contracts import InputError
from rec_sys.files import atomic_folder
from rec_sys.settings import TextSettings
from rec_sys.text.embedding import embed_texts
from rec_sys.text.finetune.settings import FinetuneRun, FinetuneSettings
from rec_sys.text.model_folder import load_model, locate_model
from rec_sys.text.opening import open_encoder
from rec_sys.text.store import VectorStore, make_keys
from rec_sys.text.weights import DEFAULT_MAX_TOKENS, locate_weights

_LOG: Final = logging.getLogger(__name__)

_LEARNING_RATE: Final = {"projection": 1e-3, "all": 2e-5}
_BATCH_SIZE: Final = {"projection": 256, "all": 32}
_SCALE: Final = 20.0  # of the cosine in the softmax, the library's own


def finetune(settings: FinetuneRun, pairs: pl.DataFrame, folder: Path) -> None:
    """Learns from pairs and writes the model's folder, which appears whole or not at all."""
    disable_progress_bar()  # type: ignore[no-untyped-call] # of files that are read and written
    torch.manual_seed(settings.seed)
    tuned = _load_base(settings)
    if settings.finetune.layers == "all":
        _train(tuned, settings, pairs)
    else:
        tuned = _extend(tuned, *_learn_projection(settings, pairs))
    with atomic_folder(folder) as building:
        tuned.save(str(building), create_model_card=False)
    _LOG.info(f"finetune: wrote {folder}")


def project_stored(texts: pl.Series, before: TextSettings, tuned: TextSettings, store_dir: Path) -> None:
    """Stores the tuned vectors of texts whose vectors are there, so that nothing is read anew.

    They equal the tuned model's own up to the rounding of what is stored, a cosine of .999999.
    """
    encoder = open_encoder(tuned, store_dir)
    matrix = load_file(next(Path(tuned.model or "").glob("*_Dense/model.safetensors")))["linear.weight"]
    projected = embed_texts(texts, before, store_dir).vectors.astype(np.float32) @ matrix.T
    projected /= np.maximum(np.linalg.norm(projected, axis=1, keepdims=True), 1e-12)
    store, keys = VectorStore(store_dir / "vectors", encoder.encoder_id, encoder.dim), make_keys(texts)
    with store.writing():
        missing = ~store.lookup(keys).found
        store.append(keys[missing], projected[missing])


def _learn_projection(settings: FinetuneRun, pairs: pl.DataFrame) -> list[nn.Module]:
    """What comes behind the encoder: a matrix, begun as the identity, and unit length again."""
    texts = pl.concat([pairs[name].rename("text") for name in pairs.columns]).unique().sort()
    vectors = embed_texts(texts, settings.text, settings.output_dir / "text", engine=settings.engine).vectors.astype(
        np.float32
    )
    dim = vectors.shape[1]
    # To the library each stored text is one word, whose vector stays as it is.
    words = Tokenizer(WordLevel({str(row): row for row in range(len(texts))}, unk_token="0"))
    stored = StaticEmbedding(words, embedding_weights=torch.from_numpy(vectors))
    stored.requires_grad_(False)
    projection = Dense(dim, dim, bias=False, activation_function=torch.nn.Identity(), init_weight=torch.eye(dim))
    rows = {text: str(row) for row, text in enumerate(texts)}
    named = pairs.with_columns(pl.all().replace_strict(rows, return_dtype=pl.String))
    _train(SentenceTransformer(modules=[stored, projection, Normalize()]), settings, named)
    return [projection.cpu(), Normalize()]


def _load_base(settings: FinetuneRun) -> SentenceTransformer:
    """The encoder as the library runs it; MiniLM's own files leave its last step, the unit length, unsaid."""
    text = settings.text
    if text.encoder == "sentence_transformer":
        model = load_model(locate_model(text.model or ""))
    else:
        model = _extend(load_model(locate_weights(text).model.parent), Normalize())
        model.max_seq_length = DEFAULT_MAX_TOKENS
    if text.max_tokens is not None:
        model.max_seq_length = text.max_tokens
    if text.prompt is not None:
        model.default_prompt_name = text.prompt
    return model


def _extend(model: SentenceTransformer, *modules: nn.Module) -> SentenceTransformer:
    """The model with something behind it; what it has before each text stays."""
    return SentenceTransformer(
        modules=[*model.children(), *modules],
        device=str(model.device),
        prompts={name: text for name, text in model.prompts.items() if text is not None},
        default_prompt_name=model.default_prompt_name,
    )


def _train(learner: SentenceTransformer, settings: FinetuneRun, pairs: pl.DataFrame) -> None:
    disable_progress_bars()
    learner.model_card_data.widget = [{"text": ""}]  # or the library would look for examples
    wanted = settings.finetune
    names = ["anchor", "positive"] + (["negative"] if wanted.loss == "triplet" else [])
    with TemporaryDirectory() as scratch:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=scratch,
            num_train_epochs=wanted.epochs,
            per_device_train_batch_size=wanted.batch_size or _BATCH_SIZE[wanted.layers],
            learning_rate=wanted.learning_rate or _LEARNING_RATE[wanted.layers],
            warmup_steps=0.1,
            # Equal texts in one batch would be each other's negatives.
            batch_sampler=BatchSamplers.NO_DUPLICATES,
            prompts=learner.prompts.get(learner.default_prompt_name or ""),
            seed=settings.seed,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=not (settings.trainer.progress and sys.stderr.isatty()),
            dataloader_pin_memory=False,
        )
        table = Dataset.from_dict(pairs.select(names).to_dict(as_series=False))
        trainer = SentenceTransformerTrainer(
            model=learner, args=arguments, train_dataset=table, loss=_make_loss(learner, wanted)
        )
        trainer.remove_callback(PrinterCallback)
        found = trainer.train()
    _LOG.info(f"finetune: {found.global_step:,} steps, mean loss {found.training_loss:.3f}")


def _make_loss(learner: SentenceTransformer, wanted: FinetuneSettings) -> nn.Module:
    loss: nn.Module = (
        TripletLoss(learner, TripletDistanceMetric.COSINE, wanted.margin)
        if wanted.loss == "triplet"
        else MultipleNegativesRankingLoss(learner, scale=_SCALE)
    )
    if not wanted.matryoshka:
        return loss
    dim = int(learner.get_embedding_dimension() or 0)
    if max(wanted.matryoshka) >= dim:
        raise InputError(
            f"the vectors have {dim} numbers", where="setting finetune.matryoshka", remedy="give smaller widths"
        )
    return MatryoshkaLoss(learner, loss, [dim, *wanted.matryoshka])
