"""The rows and seeds of a table of trainings, as settings."""

from collections.abc import Sequence
from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field

from rec_sys.settings import Section


class TrainingRow(Section):
    """One line of a table."""

    name: str = Field(min_length=1, description="What the table calls it.")
    changes: tuple[str, ...] = Field((), description="As on the command line.")


Row = TypeVar("Row", bound=TrainingRow)


def each_name_once(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """Refuses two rows of one name, whose figures would be taken for each other's."""
    if len({row.name for row in rows}) < len(rows):
        raise ValueError("two rows have one name")
    return rows


def _each_seed_once(seeds: Sequence[int]) -> Sequence[int]:
    if len(set(seeds)) < len(seeds):
        raise ValueError("a seed stands there twice")
    return seeds


Seeds = Annotated[tuple[Annotated[int, Field(ge=0)], ...], AfterValidator(_each_seed_once)]
