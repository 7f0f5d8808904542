"""The health of the components that answers need, and the models that take part in them."""

from typing import Any, Literal

from pydantic import Field

from rec_sys.inference.contract import Closed, Component


class ComponentHealth(Closed):
    """Whether a component can be used now."""

    part: Component | Literal["answers"] = Field(description="answers: a question that was asked to see.")
    ready: bool
    needed: bool = Field(description="Whether answers need it.")
    detail: str = Field(description="Its version where it is ready, else what is wrong.")


class Health(Closed):
    """Whether answers can be given."""

    ready: bool
    parts: tuple[ComponentHealth, ...]


class ModelCard(Closed):
    """A model that takes part in answers."""

    name: str = Field(description="user_tower, text_encoder, memory or product_index.")
    version: str = Field(description="The version that answers now.")
    identity: str = Field(description="The bundle or the encoder that it comes from.")
    runtime: str = Field(description="in_process, triton, edge or server.")
    details: dict[str, Any] = Field(description="Sizes and settings worth knowing.")
