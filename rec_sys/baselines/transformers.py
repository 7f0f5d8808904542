"""RecTools' transformers behind the baselines' contract: SASRec, eSASRec, BERT4Rec and HSTU."""

import warnings
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from rec_sys import ragged
from rec_sys.baselines.contract import NetworkBaseline
from rec_sys.baselines.reviews import Histories, TrainingReviews
from rec_sys.baselines.settings import Bert4RecSettings, EsasrecSettings, HstuSettings, TransformerSettings
from rec_sys.data.interactions import BoolArray, FloatArray

if TYPE_CHECKING:
    import pandas as pd
    import torch


class TransformerBaseline(NetworkBaseline):
    """Fits one of RecTools' models and ranks by its own user and product vectors.

    The library would list each user's best k; here every product gets its score, so ties and ranks are exact.
    """

    settings: TransformerSettings

    def can_answer(self, histories: Histories) -> BoolArray:
        """Whether the network knows a product of the history: one in a sequence that it was trained on."""
        return ragged.count_in_rows(histories.offsets, self._in_network[histories.products]) > 0

    @abstractmethod
    def _make_model(self, arguments: dict[str, Any]) -> Any:
        """The library's model, given the arguments that all of them share."""

    def _fit(self, reviews: TrainingReviews) -> None:
        from rectools.dataset import Dataset

        from rec_sys.baselines.nets import seed_everything
        from rec_sys.baselines.rectools_training import RealTargets, quiet_trainer

        settings = self.settings
        seed_everything(self.seed, self.num_threads)
        arguments: dict[str, Any] = {
            "n_blocks": settings.num_layers,
            "n_heads": settings.num_heads,
            "n_factors": settings.dim,
            "dropout_rate": settings.dropout,
            "session_max_len": settings.length,
            "lr": settings.learning_rate,
            "batch_size": settings.batch_size,
            "lightning_module_type": RealTargets,
            "get_trainer_func": quiet_trainer,
            "get_trainer_func_kwargs": {"epochs": settings.epochs},
        }
        table = _interactions(reviews.user_index, reviews.product_index, np.arange(len(reviews)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pandas, Lightning and the library, of each other
            self._model = self._make_model(arguments)
            self._model.fit(Dataset.construct(table))
        self._net = self._model.torch_model
        known = np.asarray(self._model.data_preparator.get_known_item_ids(), dtype=np.int64)
        self._known_products = known
        self._in_network = np.zeros(reviews.num_products, dtype=np.bool_)
        self._in_network[known] = True

    def _score(self, histories: Histories) -> FloatArray:
        import torch

        users, products = self._vectors(histories)
        if str(self._model.torch_model.similarity_module.distance).endswith("COSINE"):
            users, products = (torch.nn.functional.normalize(vectors) for vectors in (users, products))
        scores = np.full((len(histories), self.reviews.num_products), -np.inf, dtype=np.float32)
        scores[:, self._known_products] = (users @ products.T).numpy()
        return scores

    def _vectors(self, histories: Histories) -> "tuple[torch.Tensor, torch.Tensor]":
        """Float `[num_histories, dim]` and `[num_known_products, dim]`."""
        from rectools.dataset import Dataset

        preparator = self._model.data_preparator
        rows = histories.rows()
        inside = self._in_network[histories.products]
        table = _interactions(rows[inside], histories.products[inside], np.arange(len(rows))[inside])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = preparator.transform_dataset_u2i(Dataset.construct(table), np.arange(len(histories)))
        loader = preparator.get_dataloader_recommend(dataset, batch_size=256)
        users, products = self._model.lightning_model._get_user_item_embeddings(loader, "cpu")
        order = np.argsort(np.asarray(dataset.user_id_map.external_ids))
        return users[order], products[preparator.n_item_extra_tokens :]


def _interactions(users: Any, products: Any, moments: Any) -> "pd.DataFrame":
    """RecTools' table; its times are places in our own order, so that it sorts as we do."""
    import pandas as pd
    from rectools import Columns

    return pd.DataFrame(
        {
            Columns.User: np.asarray(users, dtype=np.int64),
            Columns.Item: np.asarray(products, dtype=np.int64),
            Columns.Weight: 1.0,
            Columns.Datetime: pd.to_datetime(np.asarray(moments, dtype=np.int64), unit="s"),
        }
    )


class SasrecBaseline(TransformerBaseline):
    """SASRec (Kang, McAuley 2018, arXiv 1808.09781) with a softmax over all products."""

    def _make_model(self, arguments: dict[str, Any]) -> Any:
        from rectools.models.nn.transformers.sasrec import SASRecModel

        return SASRecModel(**arguments)


class EsasrecBaseline(TransformerBaseline):
    """eSASRec (Tikhonovich et al. 2025, arXiv 2508.06450): LiGR layers and a sampled softmax."""

    settings: EsasrecSettings

    def _make_model(self, arguments: dict[str, Any]) -> Any:
        from rectools.models.nn.transformers.ligr import LiGRLayers
        from rectools.models.nn.transformers.sasrec import SASRecModel

        negatives = self.settings.num_negatives
        return SASRecModel(
            **arguments, transformer_layers_type=LiGRLayers, loss="sampled_softmax", n_negatives=negatives
        )


class Bert4RecBaseline(TransformerBaseline):
    """BERT4Rec (Sun et al. 2019, arXiv 1904.06690): predicts masked products from both sides."""

    settings: Bert4RecSettings

    def _make_model(self, arguments: dict[str, Any]) -> Any:
        from rectools.models.nn.transformers.bert4rec import BERT4RecModel

        return BERT4RecModel(**arguments, mask_prob=self.settings.mask_share)


class HstuBaseline(TransformerBaseline):
    """HSTU (Zhai et al. 2024, arXiv 2402.17152) without its attention over times, which sequences do not have."""

    settings: HstuSettings

    def _make_model(self, arguments: dict[str, Any]) -> Any:
        from rectools.models.nn.transformers.hstu import HSTUModel

        return HSTUModel(
            **arguments, relative_time_attention=False, lightning_module_kwargs={"logits_t": self.settings.temperature}
        )
