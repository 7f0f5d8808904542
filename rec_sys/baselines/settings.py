"""The settings of every baseline, apart from what they set, so that they are checked before anything is imported."""

from typing import Literal

from pydantic import Field, model_validator

from rec_sys.baselines.search_space import between
from rec_sys.settings import Section

BaselineName = Literal[
    "random",
    "popular",
    "popular_recent",
    "item_knn",
    "item_knn_tfidf",
    "item_knn_recent",
    "user_knn",
    "ease",
    "ease_recent",
    "pure_svd",
    "als",
    "bpr",
    "lightfm",
    "autoencoder",
    "light_gcn",
    "dssm",
    "gru4rec",
    "sasrec",
    "esasrec",
    "hstu",
    "bert4rec",
    "content",
    "rating_mean",
    "rating_product_mean",
    "rating_offsets",
]


class NoSettings(Section):
    """A baseline without any setting."""


class PopularRecentSettings(Section):
    """Popularity that fades."""

    half_life_days: float = Field(
        180.0,
        gt=0,
        json_schema_extra=between(7, 2000, log=True),
        description="A review of this age counts half as much as one of the newest day.",
    )


class ItemKnnSettings(Section):
    """Item-to-item nearest neighbours."""

    weighting: Literal["bm25", "tfidf", "cosine"] = Field("bm25", description="How reviews are weighted beforehand.")
    num_neighbours: int = Field(
        1000, ge=1, json_schema_extra=between(20, 2000, log=True), description="Nearest ones that count."
    )
    saturation: float = Field(1.2, gt=0, json_schema_extra=between(0.1, 10, log=True), description="BM25's K1.")
    length_norm: float = Field(0.1, ge=0, le=1, json_schema_extra=between(0, 1), description="BM25's B.")
    recency: float = Field(1.0, gt=0, le=1, description="Weight of a review against the next newer one.")


class TfidfItemKnnSettings(ItemKnnSettings):
    """The same, weighted by TF-IDF."""

    weighting: Literal["bm25", "tfidf", "cosine"] = Field("tfidf", description="How reviews are weighted beforehand.")


class RecentItemKnnSettings(ItemKnnSettings):
    """The same, with newer reviews weighing more."""

    num_neighbours: int = Field(
        500, ge=1, json_schema_extra=between(20, 2000, log=True), description="Nearest ones that count."
    )
    length_norm: float = Field(0.25, ge=0, le=1, json_schema_extra=between(0, 1), description="BM25's B.")
    recency: float = Field(
        0.85,
        gt=0,
        le=1,
        json_schema_extra=between(0.5, 1),
        description="Weight of a review against the next newer one.",
    )


class EaseSettings(Section):
    """EASE."""

    regularization: float = Field(100.0, gt=0, json_schema_extra=between(5, 2000, log=True), description="Lambda.")
    recency: float = Field(1.0, gt=0, le=1, description="Weight of a review against the next newer one.")


class RecentEaseSettings(EaseSettings):
    """The same, with newer reviews weighing more."""

    recency: float = Field(
        0.9,
        gt=0,
        le=1,
        json_schema_extra=between(0.5, 1),
        description="Weight of a review against the next newer one.",
    )


class UserKnnSettings(Section):
    """User-to-user nearest neighbours."""

    weighting: Literal["bm25", "tfidf"] = Field("tfidf", description="How much a shared product says of two users.")
    num_neighbours: int = Field(
        200, ge=1, json_schema_extra=between(10, 1000, log=True), description="Nearest ones that count."
    )
    saturation: float = Field(1.2, gt=0, description="BM25's K1.")
    length_norm: float = Field(0.5, ge=0, le=1, description="BM25's B.")
    recency: float = Field(1.0, gt=0, le=1, json_schema_extra=between(0.5, 1), description="As for item_knn.")


class AlsSettings(Section):
    """Alternating least squares."""

    dim: int = Field(256, ge=1, json_schema_extra=between(16, 512, log=True), description="Factors.")
    regularization: float = Field(
        50.0, ge=0, json_schema_extra=between(0.1, 200, log=True), description="Strength of the L2 penalty."
    )
    confidence: float = Field(40.0, gt=0, json_schema_extra=between(1, 200, log=True), description="Alpha.")
    iterations: int = Field(15, ge=1, description="Passes over the reviews.")
    recency: float = Field(1.0, gt=0, le=1, description="As for item_knn.")


class BprSettings(Section):
    """Bayesian personalised ranking."""

    dim: int = Field(128, ge=1, json_schema_extra=between(16, 256, log=True), description="Factors.")
    learning_rate: float = Field(0.05, gt=0, json_schema_extra=between(0.005, 0.3, log=True), description="Step size.")
    regularization: float = Field(
        0.01, ge=0, json_schema_extra=between(1e-4, 0.1, log=True), description="Strength of the L2 penalty."
    )
    iterations: int = Field(
        100, ge=1, json_schema_extra=between(20, 400, log=True), description="Passes over the reviews."
    )


class PureSvdSettings(Section):
    """PureSVD."""

    dim: int = Field(128, ge=1, json_schema_extra=between(8, 512, log=True), description="Factors.")
    recency: float = Field(1.0, gt=0, le=1, description="As for item_knn.")


class LightFmSettings(Section):
    """LightFM."""

    dim: int = Field(64, ge=1, json_schema_extra=between(16, 128, log=True), description="Factors.")
    learning_rate: float = Field(0.05, gt=0, json_schema_extra=between(0.005, 0.2, log=True), description="Step size.")
    epochs: int = Field(30, ge=1, json_schema_extra=between(5, 100, log=True), description="Passes over the reviews.")


class AutoencoderSettings(Section):
    """Mult-VAE."""

    dim: int = Field(128, ge=1, json_schema_extra=between(16, 256, log=True), description="Width of the code.")
    hidden_dim: int = Field(512, ge=1, description="Width of the hidden layers.")
    dropout: float = Field(
        0.5, ge=0, lt=1, json_schema_extra=between(0.1, 0.8), description="Share of the numbers set to zero in a step."
    )
    divergence_weight: float = Field(0.2, ge=0, json_schema_extra=between(0, 1), description="Beta, once it has grown.")
    learning_rate: float = Field(1e-3, gt=0, json_schema_extra=between(2e-4, 5e-3, log=True), description="Step size.")
    epochs: int = Field(40, ge=1, json_schema_extra=between(10, 100, log=True), description="Passes over the reviews.")
    batch_size: int = Field(256, ge=1, description="Histories a step.")


class Gru4RecSettings(Section):
    """GRU4Rec."""

    dim: int = Field(128, ge=1, json_schema_extra=between(32, 256, log=True), description="Width of the vectors.")
    dropout: float = Field(
        0.3, ge=0, lt=1, json_schema_extra=between(0, 0.6), description="Share of the numbers set to zero in a step."
    )
    learning_rate: float = Field(2e-3, gt=0, json_schema_extra=between(2e-4, 1e-2, log=True), description="Step size.")
    epochs: int = Field(12, ge=1, json_schema_extra=between(5, 60, log=True), description="Passes over the reviews.")
    batch_size: int = Field(128, ge=1, description="Histories a step.")
    length: int = Field(50, ge=2, description="Newest products read.")


class LightGcnSettings(Section):
    """LightGCN."""

    dim: int = Field(64, ge=1, json_schema_extra=between(32, 128, log=True), description="Width of the vectors.")
    num_layers: int = Field(3, ge=1, le=8, json_schema_extra=between(1, 4), description="Layers.")
    learning_rate: float = Field(5e-3, gt=0, json_schema_extra=between(5e-4, 2e-2, log=True), description="Step size.")
    regularization: float = Field(
        1e-4, ge=0, json_schema_extra=between(1e-6, 1e-2, log=True), description="Strength of the L2 penalty."
    )
    epochs: int = Field(60, ge=1, json_schema_extra=between(20, 200, log=True), description="Passes over the reviews.")
    batch_size: int = Field(4096, ge=1, description="Reviews a step.")


class DssmSettings(Section):
    """DSSM."""

    dim: int = Field(128, ge=1, json_schema_extra=between(32, 256, log=True), description="Width of the vectors.")
    learning_rate: float = Field(2e-3, gt=0, json_schema_extra=between(2e-4, 1e-2, log=True), description="Step size.")
    margin: float = Field(0.4, gt=0, json_schema_extra=between(0.1, 1), description="Of the triplet loss.")
    epochs: int = Field(30, ge=1, json_schema_extra=between(10, 100, log=True), description="Passes over the reviews.")
    batch_size: int = Field(128, ge=1, description="Histories a step.")


class TransformerSettings(Section):
    """What all of them have."""

    dim: int = Field(128, ge=2, json_schema_extra=between(64, 192), description="Width of the vectors.")
    num_layers: int = Field(2, ge=1, le=12, json_schema_extra=between(1, 3), description="Layers.")
    num_heads: int = Field(2, ge=1, le=16, description="Heads of the attention.")
    dropout: float = Field(
        0.3, ge=0, lt=1, json_schema_extra=between(0.05, 0.6), description="Share of the numbers set to zero in a step."
    )
    learning_rate: float = Field(1e-3, gt=0, json_schema_extra=between(2e-4, 5e-3, log=True), description="Step size.")
    epochs: int = Field(12, ge=1, json_schema_extra=between(8, 60, log=True), description="Passes over the reviews.")
    batch_size: int = Field(128, ge=1, description="Histories a step.")
    length: int = Field(50, ge=2, description="Newest products read.")

    @model_validator(mode="after")
    def _heads_divide_dim(self) -> "TransformerSettings":
        if self.dim % self.num_heads:
            raise ValueError(f"dim={self.dim} must be a multiple of num_heads={self.num_heads}")
        return self


class EsasrecSettings(TransformerSettings):
    """eSASRec."""

    num_negatives: int = Field(128, ge=1, description="Products drawn for each target's softmax.")


class Bert4RecSettings(TransformerSettings):
    """BERT4Rec."""

    epochs: int = Field(40, ge=1, json_schema_extra=between(20, 120, log=True), description="Passes over the reviews.")
    mask_share: float = Field(
        0.2, gt=0, lt=1, json_schema_extra=between(0.1, 0.5), description="Share of a history that is masked."
    )


class HstuSettings(TransformerSettings):
    """HSTU."""

    temperature: float = Field(0.07, gt=0, json_schema_extra=between(0.03, 0.3, log=True), description="Of the cosine.")


class BaselineSettings(Section):
    """The settings of every baseline that has any; the defaults are those of the 2018 instrument sequences."""

    popular_recent: PopularRecentSettings = PopularRecentSettings()
    item_knn: ItemKnnSettings = ItemKnnSettings()
    item_knn_tfidf: TfidfItemKnnSettings = TfidfItemKnnSettings()
    item_knn_recent: RecentItemKnnSettings = RecentItemKnnSettings()
    user_knn: UserKnnSettings = UserKnnSettings()
    ease: EaseSettings = EaseSettings()
    ease_recent: RecentEaseSettings = RecentEaseSettings()
    pure_svd: PureSvdSettings = PureSvdSettings()
    als: AlsSettings = AlsSettings()
    bpr: BprSettings = BprSettings()
    lightfm: LightFmSettings = LightFmSettings()
    autoencoder: AutoencoderSettings = AutoencoderSettings()
    light_gcn: LightGcnSettings = LightGcnSettings()
    dssm: DssmSettings = DssmSettings()
    gru4rec: Gru4RecSettings = Gru4RecSettings()
    sasrec: TransformerSettings = TransformerSettings()
    esasrec: EsasrecSettings = EsasrecSettings()
    hstu: HstuSettings = HstuSettings()
    bert4rec: Bert4RecSettings = Bert4RecSettings()

    def of(self, name: str) -> Section:
        """One baseline's settings; empty for a baseline without any."""
        section = getattr(self, name, None)
        return section if isinstance(section, Section) else NoSettings()
