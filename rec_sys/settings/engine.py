"""What long work runs on: this process, or a cluster."""

from typing import Literal

from pydantic import Field, model_validator

from rec_sys.settings.base import Section


class EngineSettings(Section):
    """Where Parquet files are read, texts embedded and many users answered."""

    kind: Literal["local", "ray"] = Field("local", description="ray: by actors of a Ray cluster (group ray).")
    address: str = Field("auto", description="Of Ray's head, HOST:PORT; auto: the cluster of this machine.")
    actors: int | None = Field(
        None, ge=1, description="Processes at work; empty: one a GPU with text.device=cuda, else all CPUs but one."
    )

    @model_validator(mode="after")
    def _a_cluster_is_asked_for(self) -> "EngineSettings":
        if self.kind == "local" and (self.actors is not None or self.address != "auto"):
            raise ValueError("engine.actors and engine.address are those of engine=ray, and the engine is this process")
        return self
