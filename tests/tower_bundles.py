"""A bundle whose towers nobody trained: everything that publishing reads, made in seconds."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from rec_sys.bundle import Bundle, BundleContents, write_bundle
from rec_sys.contracts import ProductColumn, ProductVector
from rec_sys.modules.review_graph_model import ReviewGraphModel
from rec_sys.scoring import ScoreFormula
from rec_sys.settings import TextSettings
from tests.review_graphs import small_graph_settings, small_model_settings
from tests.text_width import TEXT_DIM

NUM_PRODUCTS, USER_REVIEWS, PRODUCT_REVIEWS = 11, 10, 3


def make_model(**changes: Any) -> ReviewGraphModel:
    """A model of random weights, none of them zero, so that no part of it is silent."""
    torch.manual_seed(3)
    graph = small_graph_settings(user_reviews=USER_REVIEWS, product_reviews=PRODUCT_REVIEWS)
    model = ReviewGraphModel(NUM_PRODUCTS, TEXT_DIM, small_model_settings(**changes), graph).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    return model


def write_tower_bundle(folder: Path, text: TextSettings, text_encoder: str, towers: dict[str, bytes]) -> Bundle:
    """Writes the bundle of such a model.

    Args:
        folder: The bundle.
        text: The text settings that it was trained with.
        text_encoder: The encoder's id, or none.
        towers: The exported ones, by their file names.
    """
    model = make_model()
    vectors = np.zeros((NUM_PRODUCTS, model.settings.dim), dtype=np.float32)
    settings = {
        "model": model.settings.model_dump(mode="json"),
        "graph": small_graph_settings(user_reviews=USER_REVIEWS, product_reviews=PRODUCT_REVIEWS).model_dump(),
        "text": text.model_dump(mode="json"),
    }
    contents = BundleContents(
        data_name="invented",
        data_fingerprint="invented",
        text_encoder=text_encoder,
        weights={name: value.numpy() for name, value in model.state_dict().items()},
        settings=settings,
        products=pl.DataFrame({ProductColumn.ASIN: [f"p{number}" for number in range(NUM_PRODUCTS)]}),
        product_vectors={ProductVector.OUTPUT: vectors, ProductVector.INPUT: vectors},
        metrics={},
        histories=pl.DataFrame(),
        history_text=np.zeros((0, TEXT_DIM), dtype=np.float16),
        score=ScoreFormula(temperature=0.07),
        user_reviews=USER_REVIEWS,
        product_reviews=PRODUCT_REVIEWS,
        has_time=True,
        towers=towers,
    )
    write_bundle(folder, contents)
    return Bundle(folder)
