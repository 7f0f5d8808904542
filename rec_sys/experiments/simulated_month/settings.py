"""The settings of a simulated month."""

from pydantic import Field

from rec_sys.settings import Section, Settings


class SimulatedMonth(Section):
    """The days that are played through."""

    start_days: int = Field(1_095, ge=1, description="Days, from the first review on, that are trained on.")
    days: int = Field(30, ge=1, description="Days after them that are played through.")
    months: int = Field(
        1, ge=1, description="How often so many days are played, each time from a base trained on all before them."
    )
    refresh_days: int = Field(7, ge=0, description="Days from one refresh to the next; 0: never.")


class SimulatedMonthSettings(Settings):
    """Everything config/simulated_month.yaml composes."""

    simulated_month: SimulatedMonth = Field(SimulatedMonth(), description="How long it lasts.")
