"""From a prepared data set to its review graph on disk: text vectors looked up, edges ordered, columns written."""

import logging
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from rec_sys.contracts import InputError, ProductColumn
from rec_sys.data.dataset import PreparedDataset, embedded_review_text
from rec_sys.data.interactions import Interactions, SmallIntArray, build_interactions
from rec_sys.graph.given_text import identify_given, with_given_text
from rec_sys.graph.review_graph import ReviewGraph, assemble_graph, load_graph, name_graph, save_graph
from rec_sys.settings import EngineSettings, GraphSettings, TextSettings

_LOG: Final = logging.getLogger(__name__)


def build_graph(
    dataset: PreparedDataset,
    settings: GraphSettings,
    text: TextSettings,
    seed: int,
    output_dir: Path,
    engine: EngineSettings | None = None,
) -> tuple[ReviewGraph, str]:
    """The graph of a data set, built once and opened from disk afterwards; texts are embedded by the engine.

    Returns:
        The graph and the id of the text encoder behind its vectors.

    Raises:
        InputError: Given vectors do not fit the data.
    """
    encoder = identify_vectors(text)
    seed = seed if settings.tie_break == "hash" else 0
    folder = dataset.folder / name_graph(text=encoder, tie_break=settings.tie_break, seed=seed)
    graph = _load_whole(folder) if folder.exists() else None
    if graph is None:
        interactions = build_interactions(dataset, settings.tie_break, seed)
        save_graph(_with_text(interactions, dataset, text, output_dir / "text", engine), folder)
        graph = load_graph(folder)
    elif text.source == "encoder":
        count = len(graph.text_vectors)
        _LOG.info(f"text: embedded 0 of {count:,} texts ({count:,} stand in the graph)")
    return graph, encoder


def _load_whole(folder: Path) -> ReviewGraph | None:
    try:
        return load_graph(folder)
    except InputError as error:
        _LOG.warning(f"{error.what}: {error.where}: {error.remedy}")
        return None


def identify_vectors(text: TextSettings) -> str:
    """Names the text vectors that the settings lead to; equal names, equal vectors.

    Raises:
        InputError: The encoder's model, or the file of vectors, cannot be used.
    """
    if text.source == "encoder":
        from rec_sys.text.opening import identify_encoder

        return identify_encoder(text)
    return identify_given(text) if text.source == "given" else "none"


def _with_text(
    interactions: Interactions,
    dataset: PreparedDataset,
    text: TextSettings,
    store: Path,
    engine: EngineSettings | None,
) -> ReviewGraph:
    if text.source == "none":
        return assemble_graph(interactions)
    if text.source == "given":
        return with_given_text(interactions, dataset, text)
    from rec_sys.text.embedding import embed_texts

    review_text = dataset.reviews().select(text=embedded_review_text())["text"]
    product_text = dataset.products()[ProductColumn.TEXT]
    texts = list_texts(dataset)
    embedded = embed_texts(texts, text, store, engine=engine)
    total = embedded.num_embedded + embedded.num_reused
    _LOG.info(f"text: embedded {embedded.num_embedded:,} of {total:,} texts ({embedded.num_reused:,} reused)")
    review_row = _rows_of(review_text, texts)[interactions.review_row]
    product_row = _rows_of(product_text, texts)
    product_vectors = np.zeros((len(product_text), embedded.vectors.shape[1]), dtype=np.float16)
    product_vectors[product_row >= 0] = embedded.vectors[product_row[product_row >= 0]]
    return assemble_graph(interactions, embedded.vectors, review_row, product_vectors)


def list_texts(dataset: PreparedDataset) -> pl.Series:
    """Every text that the graph of a data set has a vector of, once, in the order of the alphabet."""
    review_text = dataset.reviews().select(text=embedded_review_text())["text"]
    product_text = dataset.products()[ProductColumn.TEXT]
    return pl.concat([review_text.rename("text"), product_text.rename("text")]).drop_nulls().unique().sort()


def _rows_of(wanted: pl.Series, texts: pl.Series) -> SmallIntArray:
    """int32 [len(wanted)]: the place of each text in `texts`, -1 for null."""
    places = pl.DataFrame({"text": texts, "place": np.arange(len(texts), dtype=np.int32)})
    joined = pl.DataFrame({"text": wanted}).join(places, on="text", how="left", maintain_order="left")
    return joined["place"].fill_null(-1).to_numpy()
