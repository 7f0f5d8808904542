"""The text model of `text=lsa`: fitted on the train part's texts, before the graph is built."""

import logging
from typing import TYPE_CHECKING, Final

import polars as pl

from rec_sys.contracts import ProductColumn
from rec_sys.settings import Settings, TextSettings
from rec_sys.text.lsa import LEAST_TEXTS, LSA_VERSION, fit_lsa
from rec_sys.text.model_folder import learned_folder

if TYPE_CHECKING:
    from rec_sys.data.dataset import PreparedDataset

_LOG: Final = logging.getLogger(__name__)

_UNRELATED: Final = {"ks", "refit", "query_batch"}


def fit_text(settings: Settings, dataset: "PreparedDataset") -> TextSettings:
    """The text settings as graph, bundle and serving read them; those of `text=lsa` name the fitted folder.

    Texts of the validation and test parts are not read; product texts are, which stand in a catalogue from the start.
    Where there is next to no text, none is read.
    """
    text = settings.text
    if text.source != "encoder" or text.encoder != "lsa":
        return text
    from rec_sys.train.distil_text import train_texts

    products = dataset.products()[ProductColumn.TEXT].drop_nulls()
    texts = pl.concat([train_texts(settings, dataset).rename("text"), products.rename("text")]).unique().sort()
    if len(texts) < LEAST_TEXTS:
        _LOG.info(f"text: {len(texts)} texts are too few to learn from, and the model reads none")
        return text.model_copy(update={"source": "none"})
    part = settings.evaluation.model_dump_json(exclude=_UNRELATED), settings.graph.tie_break, settings.seed
    name = f"{dataset.summary.name}-lsa-{text.static_dim}"
    identity = dataset.summary.fingerprint, LSA_VERSION, *part
    folder = learned_folder(settings.output_dir, name, *identity)
    if not folder.is_dir():
        fit_lsa(texts.to_list(), text.static_dim, settings.seed, folder)
    return text.model_copy(update={"encoder": "static", "model": str(folder)})
