"""What is learned, from what, and how it is measured."""

from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Field,
    model_validator,
)

from rec_sys.settings.base import Address, Section
from rec_sys.settings.terms import (
    CascadeSettings,
    MemorySettings,
    NewcomerSettings,
    PopularitySettings,
    PredictedRatingSettings,
    RankerSettings,
    RepeatSettings,
    ShortHistorySettings,
)


class GraphSettings(Section):
    """How far the sampler looks back, and how ties in time are broken."""

    user_reviews: int = Field(50, ge=1, le=512, description="L: the newest reviews a user vector attends over.")
    product_reviews: int = Field(16, ge=0, le=512, description="M: the newest reviews a product vector attends over.")
    product_transitions: int = Field(
        64, ge=1, le=4096, description="The newest transitions to and from other products that a product vector reads."
    )
    tie_break: Literal["hash", "file"] = Field("hash", description="Order of reviews with equal time.")


class ModelSettings(Section):
    """The towers, the memory, the ranker, and the two objectives."""

    memory: Literal["co_review", "none"] = Field("co_review", description="none: the towers rank alone.")
    co_review: MemorySettings = Field(MemorySettings(), description="The co-review memory.")
    ranker: Literal["none", "lightgbm", "xgboost", "catboost"] = Field(
        "none", description="What orders the best products anew, where an earlier stage and validation show a gain."
    )
    second_stage: RankerSettings = Field(RankerSettings(), description="How it does.")
    popularity: PopularitySettings = Field(PopularitySettings(), description="Popularity beside the memory.")
    repeats: RepeatSettings = Field(RepeatSettings(), description="Repeats beside the memory.")
    short_histories: ShortHistorySettings = Field(ShortHistorySettings(), description="Users of a review or two.")

    newcomers: NewcomerSettings = Field(NewcomerSettings(), description="Products that the memory does not know.")

    tower: Literal["attention", "auto", "none"] = Field(
        "attention",
        description="none: the memory ranks alone; auto: validation decides, after trainer.trial_reviews.",
    )
    convolution: Literal["transformer_conv", "gat"] = Field(
        "transformer_conv", description="What attends over a product's reviews."
    )
    dim: int = Field(128, ge=8, le=1024, description="Width of the user and product vectors.")
    num_heads: int = Field(2, ge=1, le=16, description="Heads of the attention.")
    dropout: float = Field(0.3, ge=0, lt=1, description="Share of the numbers set to zero in a step.")
    product_ids: bool = Field(True, description="Learned vectors a product, beside its text and reviews.")
    id_dropout: float = Field(
        0.1, ge=0, lt=1, description="Share of products whose learned vector is hidden in a step."
    )
    product_hop: bool = Field(True, description="A product vector reads the products that followed or preceded it.")
    reversal: float = Field(
        0.33, ge=0, lt=1, description="Share of batches read backwards, where reviews are only an order of products."
    )
    mask_history: bool = Field(True, description="The products of a history do not compete in its softmax.")
    temperature: float = Field(0.07, ge=0.01, le=1, description="Divides the cosine in the softmax.")
    fit_temperature: bool = Field(False, description="Learn it, beginning there.")
    ranking_weight: float = Field(1.0, ge=0, description="Of the ranking loss.")
    predicted_rating: PredictedRatingSettings = Field(
        PredictedRatingSettings(), description="The stars that answers predict."
    )
    rating_weight: float = Field(0.1, ge=0, description="Of the error of predicted stars.")
    rating_error: Literal["absolute", "squared"] = Field("squared", description="Which error that is.")
    rating_offsets: bool = Field(True, description="Global, user and product offsets inside the predicted rating.")
    offset_pseudo_counts: float = Field(5.0, ge=0, description="Shrinkage of the offsets.")

    @model_validator(mode="after")
    def _heads_divide_dim(self) -> "ModelSettings":
        if self.dim % self.num_heads:
            raise ValueError(f"model.dim={self.dim} must be a multiple of model.num_heads={self.num_heads}")
        if self.ranking_weight == 0 and self.rating_weight == 0:
            raise ValueError("model.ranking_weight and model.rating_weight are both 0: nothing to learn")
        if self.tower == "none" and self.memory == "none":
            raise ValueError("model.tower and model.memory are both none: nothing is left to rank by")
        if self.tower == "auto" and self.memory == "none":
            raise ValueError("model.tower=auto asks whether towers add to the memory, and model.memory=none has none")
        return self


class TrainerSettings(Section):
    """The loop; most of it is handed to Lightning."""

    max_epochs: int = Field(40, ge=1, description="Epochs at most.")
    patience: int = Field(6, ge=1, description="Epochs without a better validation before it stops.")
    trial_reviews: int = Field(
        60_000, ge=1, description="model.tower=auto: predicted reviews after which towers must add to the memory."
    )
    batch_size: int = Field(256, ge=1, description="Reviews predicted a step. Several processes share them.")
    learning_rate: float = Field(2e-3, gt=0, le=1, description="Of AdamW.")
    weight_decay: float = Field(0.01, ge=0, description="Of AdamW.")
    num_candidates: int = Field(0, ge=0, description="Products drawn beside the batch's targets, with logQ; 0 = all.")
    gradient_clip: float = Field(1.0, gt=0, description="Longest gradient of a step.")
    accelerator: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where training runs.")
    devices: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto", description="How many of them; under torchrun, as many as it has started."
    )
    # YAML and the command line read a bare 32 as a number.
    precision: Annotated[Literal["auto", "32", "bf16"], BeforeValidator(str)] = Field(
        "auto", description="auto: fp32, which is faster than bf16 on a GPU too."
    )
    num_threads: int = Field(0, ge=0, description="0 = every core.")
    progress: bool = Field(True, description="Show a progress bar.")


class EvaluationSettings(Section):
    """The split and what is measured on it."""

    protocol: Literal["leave_last_out", "random_split", "user_share", "global_time", "time_folds", "next_days"] = Field(
        "leave_last_out", description="Which reviews are for test; the choice of evaluation says it."
    )
    validation_fraction: float = Field(
        0.1, gt=0, lt=0.5, description="Users (random_split, user_share) or time (global_time) for validation."
    )
    test_fraction: float = Field(0.1, gt=0, lt=0.5, description="The same for test.")
    window_days: int = Field(
        60, ge=1, description="time_folds, next_days: length of a window; the one before validates."
    )
    num_folds: int = Field(4, ge=1, le=50, description="time_folds: windows, one after the other up to the newest day.")
    fold: int = Field(0, ge=0, description="time_folds: which window is for test, counted from the oldest.")
    asked_share: float = Field(
        0.5, gt=0, lt=1, description="user_share: how many of a user's reviews, the last ones, are asked for."
    )
    fewest_reviews: int = Field(10, ge=2, description="user_share: users with fewer are trained on and not asked.")
    ks: tuple[int, ...] = Field((5, 10, 20), min_length=1, description="Lengths of the lists that are measured.")
    target_events: tuple[str, ...] = Field(
        (), description="Kinds of events that are predicted, in training too (data.events.column); empty: all."
    )
    mask_history: bool = Field(
        True, description="Masked rankings leave the history out; false: repurchases count, so nothing is left out."
    )
    cascade: CascadeSettings = Field(
        CascadeSettings(), description="Candidates, filter and ranker, measured stage by stage."
    )
    refit: bool = Field(False, description="Train once more on train + validation, for as many epochs as were best.")
    query_batch: int = Field(256, ge=1, description="Users scored at once.")

    @model_validator(mode="after")
    def _fold_exists(self) -> "EvaluationSettings":
        if self.fold >= self.num_folds:
            raise ValueError(f"evaluation.fold={self.fold} must be below evaluation.num_folds={self.num_folds}")
        return self

    @model_validator(mode="after")
    def _ten_is_measured(self) -> "EvaluationSettings":
        if 10 not in self.ks or min(self.ks) < 1:
            raise ValueError("evaluation.ks needs 10 (training watches NDCG@10) and no number below 1")
        return self


class TrackingSettings(Section):
    """MLflow."""

    enabled: bool = Field(True, description="Record runs.")
    experiment: str = Field("rec_sys", description="The experiment's name in MLflow.")
    uri: Address | None = Field(None, description="MLflow's server; empty: a SQLite file in output_dir.")
    page_uri: Address | None = Field(None, description="Its address as browsers find it, for the page; empty: uri.")
    system_metrics: bool = Field(True, description="Record CPU, memory and GPU too.")
