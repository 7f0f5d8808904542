"""The settings of the comparison of text encoders."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from rec_sys.settings import Section, Settings


class EncoderRow(Section):
    """One line of the table."""

    name: str = Field(min_length=1, description="What the table calls it.")
    changes: tuple[str, ...] = Field((), description="As on the command line.")
    learn: Literal["finetune", "distil_text"] | None = Field(
        None, description="The command that learns the encoder from the train part first, anew for every seed."
    )


class TextMeasurement(Section):
    """What is measured."""

    num_texts: int = Field(300, ge=10, le=100_000, description="Reviews that each encoder reads for its speed.")
    rounds: int = Field(3, ge=1, le=100, description="Times that it reads them, in turn with the others.")
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (0, 1, 2), description="Every row is trained with each; none: speed alone."
    )
    models: tuple[str, ...] = Field((), description="Further models of sentence-transformers, a row each.")
    rows: tuple[EncoderRow, ...] = Field(min_length=1, description="The first is what the others are compared with.")

    @field_validator("rows")
    @classmethod
    def _each_row_once(cls, rows: tuple[EncoderRow, ...]) -> tuple[EncoderRow, ...]:
        if len({row.name for row in rows}) < len(rows):
            raise ValueError("two rows have one name")
        return rows


class TextBenchmarkSettings(Settings):
    """Everything config/text_benchmark.yaml composes."""

    measurement: TextMeasurement
