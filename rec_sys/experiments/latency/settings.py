"""The settings of the latency measurement."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from rec_sys.settings import CommandSettings, IndexSettings, InferenceSettings, Section, TritonSettings


class LatencyMeasurement(Section):
    """What is measured."""

    runtimes: tuple[Literal["in_process", "triton"], ...] = Field(
        ("in_process", "triton"), min_length=1, description="Where the towers run."
    )
    texts: tuple[Literal["embedded", "new"], ...] = Field(
        ("embedded", "new"), min_length=1, description="embedded: users of the bundle; new: reviews never read before."
    )
    concurrent: tuple[Annotated[int, Field(ge=1, le=1024)], ...] = Field(
        (1, 8, 32), min_length=1, description="Users who ask, each as soon as the answer before is there."
    )
    seconds: float = Field(5.0, gt=0, le=600, description="For each row of the table.")
    new_reviews: int = Field(3, ge=1, le=50, description="Sent with a request, each with a text of its own.")
    start_triton: bool = Field(True, description="False: ask the one at inference.triton_url.")
    gateway_url: str | None = Field(None, pattern=r"^https?://", description="Also ask this service over HTTP.")
    gateway_token: str | None = Field(None, repr=False, description="The bearer token for it.")
    seed: int = Field(0, ge=0, description="Of the requests drawn.")


class LatencySettings(CommandSettings):
    """Everything config/latency.yaml composes."""

    bundle: Path | None = Field(None, description="Empty: the one that the index was made from.")
    index: IndexSettings
    inference: InferenceSettings
    triton: TritonSettings
    measurement: LatencyMeasurement
