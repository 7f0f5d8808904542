"""The settings of every baseline, apart from what they set, so that they are checked before anything is imported."""

from typing import Annotated, Literal

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
    "rating_known_mean",
    "rating_text_triplet",
]

# What several baselines have: its range and its meaning.
Neighbours = Annotated[int, Field(ge=1, description="Nearest ones that count.")]
Recency = Annotated[float, Field(gt=0, le=1, description="Weight of a review against the next newer one.")]
Penalty = Annotated[float, Field(ge=0, description="Strength of the L2 penalty.")]
Dropout = Annotated[float, Field(ge=0, lt=1, description="Share of the numbers set to zero in a step.")]
StepSize = Annotated[float, Field(gt=0, description="Step size.")]
Epochs = Annotated[int, Field(ge=1, description="Passes over the reviews.")]
BatchSize = Annotated[int, Field(ge=1, description="Histories a step.")]


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
    num_neighbours: Neighbours = Field(1000, json_schema_extra=between(20, 2000, log=True))
    saturation: float = Field(1.2, gt=0, json_schema_extra=between(0.1, 10, log=True), description="BM25's K1.")
    length_norm: float = Field(0.1, ge=0, le=1, json_schema_extra=between(0, 1), description="BM25's B.")
    recency: Recency = 1.0


class TfidfItemKnnSettings(ItemKnnSettings):
    """The same, weighted by TF-IDF."""

    weighting: Literal["bm25", "tfidf", "cosine"] = Field("tfidf", description="How reviews are weighted beforehand.")


class RecentItemKnnSettings(ItemKnnSettings):
    """The same, with newer reviews weighing more."""

    num_neighbours: Neighbours = Field(500, json_schema_extra=between(20, 2000, log=True))
    length_norm: float = Field(0.25, ge=0, le=1, json_schema_extra=between(0, 1), description="BM25's B.")
    recency: Recency = Field(0.85, json_schema_extra=between(0.5, 1))


class EaseSettings(Section):
    """EASE."""

    regularization: float = Field(100.0, gt=0, json_schema_extra=between(5, 2000, log=True), description="Lambda.")
    recency: Recency = 1.0


class RecentEaseSettings(EaseSettings):
    """The same, with newer reviews weighing more."""

    recency: Recency = Field(0.9, json_schema_extra=between(0.5, 1))


class UserKnnSettings(Section):
    """User-to-user nearest neighbours."""

    weighting: Literal["bm25", "tfidf"] = Field("tfidf", description="How much a shared product says of two users.")
    num_neighbours: Neighbours = Field(200, json_schema_extra=between(10, 1000, log=True))
    saturation: float = Field(1.2, gt=0, description="BM25's K1.")
    length_norm: float = Field(0.5, ge=0, le=1, description="BM25's B.")
    recency: Recency = Field(1.0, json_schema_extra=between(0.5, 1), description="As for item_knn.")


class AlsSettings(Section):
    """Alternating least squares."""

    dim: int = Field(256, ge=1, json_schema_extra=between(16, 512, log=True), description="Factors.")
    regularization: Penalty = Field(50.0, json_schema_extra=between(0.1, 200, log=True))
    confidence: float = Field(40.0, gt=0, json_schema_extra=between(1, 200, log=True), description="Alpha.")
    iterations: Epochs = 15
    recency: Recency = Field(1.0, description="As for item_knn.")


class BprSettings(Section):
    """Bayesian personalised ranking."""

    dim: int = Field(128, ge=1, json_schema_extra=between(16, 256, log=True), description="Factors.")
    learning_rate: StepSize = Field(0.05, json_schema_extra=between(0.005, 0.3, log=True))
    regularization: Penalty = Field(0.01, json_schema_extra=between(1e-4, 0.1, log=True))
    iterations: Epochs = Field(100, json_schema_extra=between(20, 400, log=True))


class PureSvdSettings(Section):
    """PureSVD."""

    dim: int = Field(128, ge=1, json_schema_extra=between(8, 512, log=True), description="Factors.")
    recency: Recency = Field(1.0, description="As for item_knn.")


class LightFmSettings(Section):
    """LightFM."""

    dim: int = Field(64, ge=1, json_schema_extra=between(16, 128, log=True), description="Factors.")
    learning_rate: StepSize = Field(0.05, json_schema_extra=between(0.005, 0.2, log=True))
    epochs: Epochs = Field(30, json_schema_extra=between(5, 100, log=True))


class AutoencoderSettings(Section):
    """Mult-VAE."""

    dim: int = Field(128, ge=1, json_schema_extra=between(16, 256, log=True), description="Width of the code.")
    hidden_dim: int = Field(512, ge=1, description="Width of the hidden layers.")
    dropout: Dropout = Field(0.5, json_schema_extra=between(0.1, 0.8))
    divergence_weight: float = Field(0.2, ge=0, json_schema_extra=between(0, 1), description="Beta, once it has grown.")
    learning_rate: StepSize = Field(1e-3, json_schema_extra=between(2e-4, 5e-3, log=True))
    epochs: Epochs = Field(40, json_schema_extra=between(10, 100, log=True))
    batch_size: BatchSize = 256


class Gru4RecSettings(Section):
    """GRU4Rec."""

    dim: int = Field(128, ge=1, json_schema_extra=between(32, 256, log=True), description="Width of the vectors.")
    dropout: Dropout = Field(0.3, json_schema_extra=between(0, 0.6))
    learning_rate: StepSize = Field(2e-3, json_schema_extra=between(2e-4, 1e-2, log=True))
    epochs: Epochs = Field(12, json_schema_extra=between(5, 60, log=True))
    batch_size: BatchSize = 128
    length: int = Field(50, ge=2, description="Newest products read.")


class LightGcnSettings(Section):
    """LightGCN."""

    dim: int = Field(64, ge=1, json_schema_extra=between(32, 128, log=True), description="Width of the vectors.")
    num_layers: int = Field(3, ge=1, le=8, json_schema_extra=between(1, 4), description="Layers.")
    learning_rate: StepSize = Field(5e-3, json_schema_extra=between(5e-4, 2e-2, log=True))
    regularization: Penalty = Field(1e-4, json_schema_extra=between(1e-6, 1e-2, log=True))
    epochs: Epochs = Field(60, json_schema_extra=between(20, 200, log=True))
    batch_size: int = Field(4096, ge=1, description="Reviews a step.")


class DssmSettings(Section):
    """DSSM."""

    dim: int = Field(128, ge=1, json_schema_extra=between(32, 256, log=True), description="Width of the vectors.")
    learning_rate: StepSize = Field(2e-3, json_schema_extra=between(2e-4, 1e-2, log=True))
    margin: float = Field(0.4, gt=0, json_schema_extra=between(0.1, 1), description="Of the triplet loss.")
    epochs: Epochs = Field(30, json_schema_extra=between(10, 100, log=True))
    batch_size: BatchSize = 128


class TransformerSettings(Section):
    """What all of them have."""

    dim: int = Field(128, ge=2, json_schema_extra=between(64, 192), description="Width of the vectors.")
    num_layers: int = Field(2, ge=1, le=12, json_schema_extra=between(1, 3), description="Layers.")
    num_heads: int = Field(2, ge=1, le=16, description="Heads of the attention.")
    dropout: Dropout = Field(0.3, json_schema_extra=between(0.05, 0.6))
    learning_rate: StepSize = Field(1e-3, json_schema_extra=between(2e-4, 5e-3, log=True))
    epochs: Epochs = Field(12, json_schema_extra=between(8, 60, log=True))
    batch_size: BatchSize = 128
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

    epochs: Epochs = Field(40, json_schema_extra=between(20, 120, log=True))
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
