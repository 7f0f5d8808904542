"""The settings of the benchmark: everything that training takes, and who is measured, how, for how long."""

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator

from rec_sys.baselines.settings import BaselineName, BaselineSettings
from rec_sys.settings import Section, Settings

FitOn = Literal["train", "train+validation"]
OWN_MODEL: Final = "review_graph"
# Other ways to train our own model, by the row's name: what stands on the command line then.
OWN_MODES: Final[dict[str, tuple[str, ...]]] = {
    f"{OWN_MODEL}_auto": ("model.tower=auto",),
    f"{OWN_MODEL}_fast": ("experiment=fast",),
}
# What takes seconds, and needs no library beyond the core install.
QUICK_BASELINES: Final[tuple[BaselineName, ...]] = (
    "random",
    "popular",
    "popular_recent",
    "item_knn",
    "item_knn_recent",
    "user_knn",
    "ease",
    "pure_svd",
    "als",
    "bpr",
    "autoencoder",
    "gru4rec",
    "content",
    "rating_mean",
    "rating_product_mean",
    "rating_offsets",
)


class TuningSettings(Section):
    """The budget of every model's search on the validation split; both 0 = the settings as they stand."""

    trials: int = Field(0, ge=0, description="Settings tried for each model; 0 = no limit by number.")
    minutes: float = Field(0.0, ge=0, description="Time for each model; 0 = no limit by time.")

    @property
    def enabled(self) -> bool:
        """Whether there is any budget."""
        return self.trials > 0 or self.minutes > 0


class BenchmarkSettings(Settings):
    """Everything config/benchmark.yaml composes."""

    baselines: tuple[BaselineName, ...] = Field(QUICK_BASELINES, description="Who is measured beside our own model.")
    own_model: bool = Field(True, description="Measure our own model too, as the row review_graph.")
    own_modes: tuple[Literal["auto", "fast"], ...] = Field(
        (), description="Rows of our own model beside it: towers where they add (auto), the memory alone (fast)."
    )
    bundle: Path | None = Field(
        None,
        description="A bundle of the same data, split and seed, or the output folder that has it as its newest: our own"
        " row is that of this bundle, and nothing is trained for it.",
    )
    fit_on: tuple[FitOn, ...] = Field(("train",), min_length=1, description="What the models learn from; one row each.")
    ks: tuple[Annotated[int, Field(ge=1)], ...] = Field((1, 5, 10, 25), min_length=1, description="Lengths of lists.")
    time_column: bool = Field(
        True,
        description="Where the data has time and the split is not by it: measure all that rank under global_time too.",
    )
    row_minutes: float = Field(0.0, ge=0, description="A row that takes longer has failed; 0 = no limit.")
    report_users: int = Field(6, ge=0, le=50, description="Users whose recommendations the report shows.")
    report_user_ids: tuple[str, ...] = Field((), description="Users of the test split that it shows before these.")
    figures: Path | None = Field(
        None,
        description="A JSON file for the main figures, by model and metric; all of them stand in the results.",
    )
    tuning: TuningSettings = TuningSettings()
    baseline_settings: BaselineSettings = BaselineSettings()

    @field_validator("baselines", "own_modes", "fit_on", "ks")
    @classmethod
    def _each_once(cls, values: tuple[object, ...]) -> tuple[object, ...]:
        twice = sorted({str(value) for value in values if values.count(value) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} stands there twice")
        return values

    @property
    def shown_k(self) -> int:
        """The list length of the short tables and pictures: 10 where it is measured."""
        return 10 if 10 in self.ks else self.ks[-1]


def is_own_model(name: str) -> bool:
    """Whether a row is our own model's, in whichever mode."""
    return name == OWN_MODEL or name in OWN_MODES
