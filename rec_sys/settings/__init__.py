"""Every setting with its default, range and reason; config/ composes them."""

from pathlib import Path

from pydantic import Field

from rec_sys.settings.base import (
    Address,
    CommandSettings,
    Section,
)
from rec_sys.settings.data import (
    AUTO,
    MISSING_VALUES,
    AmazonData,
    DataCommon,
    DataSettings,
    EventSettings,
    FileData,
    ProductColumnMap,
    RawFile,
    ReviewColumnMap,
    SampleData,
    SequencesData,
    TableData,
    UserColumnMap,
)
from rec_sys.settings.engine import EngineSettings
from rec_sys.settings.learning import (
    EvaluationSettings,
    GraphSettings,
    ModelSettings,
    TrackingSettings,
    TrainerSettings,
)
from rec_sys.settings.serving import (
    AccessScope,
    AccessToken,
    EdgeIndex,
    ExportSettings,
    IndexCommon,
    IndexSettings,
    InferenceSettings,
    ServerIndex,
    ServingSettings,
    StoreSettings,
    TritonSettings,
)
from rec_sys.settings.terms import (
    CascadeSettings,
    MemorySettings,
    NewcomerSettings,
    PredictedRatingSettings,
    RankerSettings,
    ShortHistorySettings,
)
from rec_sys.settings.text import TextSettings

__all__ = [
    "AUTO",
    "MISSING_VALUES",
    "AccessScope",
    "AccessToken",
    "Address",
    "AmazonData",
    "CascadeSettings",
    "CommandSettings",
    "DataCommon",
    "DataSettings",
    "EdgeIndex",
    "EngineSettings",
    "EvaluationSettings",
    "EventSettings",
    "ExportSettings",
    "FileData",
    "GraphSettings",
    "IndexCommon",
    "IndexSettings",
    "InferenceSettings",
    "MemorySettings",
    "ModelSettings",
    "NewcomerSettings",
    "PredictedRatingSettings",
    "ProductColumnMap",
    "RankerSettings",
    "RawFile",
    "ReviewColumnMap",
    "SampleData",
    "Section",
    "SequencesData",
    "ServerIndex",
    "ServingSettings",
    "Settings",
    "ShortHistorySettings",
    "StoreSettings",
    "TableData",
    "TextSettings",
    "TrackingSettings",
    "TrainerSettings",
    "TritonSettings",
    "UserColumnMap",
]


class Settings(CommandSettings):
    """Everything config/config.yaml composes."""

    seed: int = Field(0, ge=0, lt=2**31, description="Of every draw: weights, batches, the split.")
    run_dir: Path | None = Field(
        None,
        description="Folder of this run and its bundle; empty: one under output_dir, named by settings, and the bundle"
        " goes to output_dir/bundles, where publishing looks for the newest.",
    )
    data: DataSettings
    text: TextSettings
    graph: GraphSettings
    model: ModelSettings
    trainer: TrainerSettings
    evaluation: EvaluationSettings
    tracking: TrackingSettings
    engine: EngineSettings = Field(EngineSettings(), description="What long work runs on.")
