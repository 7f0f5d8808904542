"""The settings of the scaling measurement."""

from typing import Annotated

from pydantic import Field

from rec_sys.settings import CommandSettings, EvaluationSettings, GraphSettings, ModelSettings, Section, TrainerSettings


class SizeSettings(Section):
    """What is measured."""

    sizes: tuple[Annotated[int, Field(ge=1_000)], ...] = Field(
        (100_000, 1_000_000), min_length=1, description="Reviews; the first size is what the others are held against."
    )
    reviews_a_product: int = Field(50, ge=1, description="On average.")
    train_reviews: int | None = Field(
        None, ge=1, description="Of an epoch no more are trained on, and its time is counted up; empty: all."
    )
    text: bool = Field(True, description="Reviews have texts and stars; false: only who, what and when.")


class ScalingSettings(CommandSettings):
    """Everything config/scaling.yaml composes."""

    seed: int = Field(0, ge=0, lt=2**31, description="Of every draw.")
    graph: GraphSettings
    model: ModelSettings
    trainer: TrainerSettings
    evaluation: EvaluationSettings
    scaling: SizeSettings
