"""The settings of a refresh."""

from typing import Literal

from pydantic import Field

from rec_sys.publish import PublicationSettings
from rec_sys.settings import StoreSettings


class RefreshSettings(PublicationSettings):
    """Everything config/refresh.yaml composes."""

    action: Literal["refresh", "rollback"] = Field("refresh", description="rollback: as of rec_sys.publish.")
    questions: int = Field(2_000, ge=50, description="The newest test questions that both bundles are asked, at most.")
    store: StoreSettings
