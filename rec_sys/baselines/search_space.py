"""Says beside a setting between which values tuning may choose, so that the two cannot drift apart."""

from typing import Any, Final, Protocol

from pydantic import BaseModel

_KEY: Final = "search"


class Trial(Protocol):
    """The part of an Optuna trial that is needed to draw settings."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """A number."""

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """A whole number."""

    def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
        """One of several values."""


def between(low: float, high: float, *, log: bool = False) -> dict[str, Any]:
    """For `json_schema_extra` of a number: tuning draws from low to high, evenly or evenly on a log scale."""
    return {_KEY: {"low": low, "high": high, "log": log}}


def among(*choices: Any) -> dict[str, Any]:
    """For `json_schema_extra`: tuning draws one of the choices."""
    return {_KEY: {"choices": list(choices)}}


def draw(trial: Trial, section: BaseModel) -> BaseModel:
    """A copy of the settings with every tunable one drawn."""
    drawn: dict[str, Any] = {}
    for name, space in _spaces(type(section)).items():
        if "choices" in space:
            drawn[name] = trial.suggest_categorical(name, space["choices"])
        elif isinstance(getattr(section, name), int):
            drawn[name] = trial.suggest_int(name, int(space["low"]), int(space["high"]), log=space["log"])
        else:
            drawn[name] = trial.suggest_float(name, space["low"], space["high"], log=space["log"])
    return type(section).model_validate(section.model_dump() | drawn)


def tuned_values(section: BaseModel) -> dict[str, Any]:
    """The present values of the tunable settings: the first trial, so that tuning never ends below the defaults."""
    return {name: getattr(section, name) for name in _spaces(type(section))}


def _spaces(section: type[BaseModel]) -> dict[str, dict[str, Any]]:
    extras = {name: field.json_schema_extra for name, field in section.model_fields.items()}
    found = {name: extra[_KEY] for name, extra in extras.items() if isinstance(extra, dict) and _KEY in extra}
    return {name: space for name, space in found.items() if isinstance(space, dict)}
