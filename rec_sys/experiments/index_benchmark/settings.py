"""The settings of the index benchmark."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from rec_sys.settings import CommandSettings, IndexSettings, Section


class MeasurementSettings(Section):
    """What is measured."""

    sizes: tuple[Annotated[int, Field(ge=100)], ...] = Field(
        (), description="Products to invent, for a catalogue each; empty: the bundle's, or 2,000 where there is none."
    )
    dim: int = Field(128, ge=8, le=1024, description="Width of the product vectors.")
    neighbours: int = Field(30, ge=0, le=1000, description="Entries of a product in the memory.")
    text: bool = Field(True, description="Give most invented products the vector of a text, too.")
    questions: int = Field(500, ge=10, description="Asked of each kind.")
    both_searches: bool = Field(
        False, description="Search each catalogue whole and by graph (HNSW), whatever index.exact_below says."
    )
    in_memory: bool = Field(True, description="Ask qdrant-client's in-memory mode too.")
    in_memory_seconds: float = Field(20.0, gt=0, description="Time for each kind of question there.")


class IndexBenchmarkSettings(CommandSettings):
    """Everything config/index_benchmark.yaml composes."""

    seed: int = Field(0, ge=0, lt=2**31, description="Of every draw.")
    bundle: Path | None = Field(
        None, description="A bundle whose products are measured first; empty: the newest, unless sizes are given."
    )
    index: IndexSettings
    measurement: MeasurementSettings
