"""What is learned of texts, and how."""

from typing import Annotated, Literal

from pydantic import Field

from rec_sys.settings import Section, Settings


class FinetuneSettings(Section):
    """What is learned, and how."""

    layers: Literal["projection", "all"] = Field(
        "projection",
        description="projection: one matrix behind the encoder, from stored vectors, in a minute; all: every weight.",
    )
    loss: Literal["multiple_negatives", "triplet"] = Field(
        "multiple_negatives", description="A softmax over the batch's other texts, or a margin to one of them."
    )
    margin: float = Field(0.2, gt=0, lt=2, description="loss=triplet: of the cosine distances.")
    matryoshka: tuple[Annotated[int, Field(ge=8)], ...] = Field(
        (), description="Widths whose first numbers shall do alone, such as [256,128]; empty: only the whole vector."
    )
    epochs: int = Field(2, ge=1, description="Passes over the pairs.")
    batch_size: int = Field(0, ge=0, description="Pairs a step; 0 = 256 for a projection, 32 for all.")
    learning_rate: float = Field(0, ge=0, lt=1, description="0 = 0.001 for a projection, 0.00002 for all.")
    max_pairs: int = Field(100_000, ge=100, description="Pairs drawn at most.")


class FinetuneRun(Settings):
    """Everything config/finetune.yaml composes."""

    finetune: FinetuneSettings = Field(FinetuneSettings(), description="What is learned, and how.")
