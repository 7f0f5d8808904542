"""The settings of the comparison of text encoders."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from rec_sys.experiments.training_rows import Seeds, TrainingRow, each_name_once
from rec_sys.settings import Section, Settings


class EncoderRow(TrainingRow):
    """One line of the table."""

    learn: Literal["finetune", "distil_text"] | None = Field(
        None, description="The command that learns the encoder from the train part first, anew for every seed."
    )


class TextMeasurement(Section):
    """What is measured."""

    num_texts: int = Field(300, ge=10, le=100_000, description="Reviews that each encoder reads for its speed.")
    rounds: int = Field(3, ge=1, le=100, description="Times that it reads them, in turn with the others.")
    seeds: Seeds = Field((0, 1, 2), description="Every row is trained with each; none: speed alone.")
    models: tuple[str, ...] = Field((), description="Further models of sentence-transformers, a row each.")
    rows: Annotated[tuple[EncoderRow, ...], AfterValidator(each_name_once)] = Field(
        min_length=1, description="The first is what the others are compared with."
    )


class TextBenchmarkSettings(Settings):
    """Everything config/text_benchmark.yaml composes."""

    measurement: TextMeasurement
