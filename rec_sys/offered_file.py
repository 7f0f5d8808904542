"""A file that a shop offers while the service runs: what is asked of the process that reads it, and what it answers.

The service stands below the room that reads files, so that both speak by a folder: `REQUEST` goes in, `ANSWER` comes
out, and beside it the rows, as Parquet in `ROWS`: all, or the first ones, which are held to the store's rules, too.
"""

from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

REQUEST, ANSWER, ROWS = "request.json", "answer.json", "rows"
PROGRESS: Final = "records: "  # how a line of its output begins that says how far it is
EXAMPLES: Final = 3
MOST_RECORDS: Final = 1_000_000

Kind = Literal["reviews", "products"]
# What a shop's store takes of each kind; the other columns of a file are for training.
ROLES: Final[dict[Kind, tuple[str, ...]]] = {
    "reviews": ("user_id", "asin", "rating", "timestamp", "title", "text"),
    "products": ("asin", "title", "brand", "categories", "price", "description"),
}


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileRequest(_Message):
    """What is asked."""

    path: Path
    kind: Kind
    columns: dict[str, str | None] = Field({}, description="Role -> column, null for none; the others are found.")
    rating_scale: tuple[float, float] | None = Field(None, description="Lowest and highest rating; null: found.")
    time_form: str | None = Field(None, description="s, ms, us, ns, iso, or as %d/%m/%Y; null: found.")
    encoding: str = Field("auto", description="What it is written in; auto: UTF-8, or what its byte order mark says.")
    whole: bool = Field(False, description="Read it to its end; else only its first rows.")


class FileColumn(_Message):
    """A column of the file, with the first values that differ."""

    name: str
    values: tuple[str, ...]


class Fault(_Message):
    """Why the file cannot be read so: what an `InputError` says."""

    what: str
    where: str
    remedy: str


class FileAnswer(_Message):
    """What the file holds."""

    fault: Fault | None = None
    data_choice: str | None = Field(None, description="The known schema that it follows; it then needs no map.")
    columns: tuple[FileColumn, ...] = ()
    roles: dict[str, str | None] = Field({}, description="Role -> column, as it is read.")
    rating_scale: tuple[float, float] | None = None
    encoding: str | None = Field(None, description="What it is written in, or likely is where that is not so.")
    found: dict[str, str] = Field({}, description="What the reader found out: label -> value.")
    num_records: int = 0
    num_rows: int = 0
    set_aside: dict[str, int] = Field({}, description="Reason -> records.")
    left_empty: dict[str, int] = Field({}, description="Values that are left out: what -> how many.")
    examples: tuple[dict[str, str], ...] = Field((), description="The first rows, as they are taken: role -> value.")
