"""The settings of the cold-start measurement."""

from typing import Annotated

from pydantic import Field

from rec_sys.experiments.training_rows import Seeds
from rec_sys.settings import Section, Settings


class ColdStartProtocol(Section):
    """Which users and products count as unknown."""

    seeds: Seeds = Field(
        (0,), min_length=1, description="One training of the whole model and one without the withheld products each."
    )
    history_lengths: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (0, 1, 2), min_length=1, description="The first reviews that are known of a user."
    )
    withheld_share: float = Field(0.1, gt=0, lt=1, description="Of the products.")
    first_reviews: int = Field(3, ge=1, description="Reviews that place a withheld product.")
    factors: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        (0.25, 0.5, 0.75, 1.0, 1.5), description="Values of model.newcomers.factor that the curve is drawn through."
    )


class ColdStartSettings(Settings):
    """Everything config/cold_start.yaml composes."""

    cold_start: ColdStartProtocol = ColdStartProtocol()
