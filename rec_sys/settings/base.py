"""What every section of the settings is."""

import re
from pathlib import Path
from typing import Final

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    Secret,
    field_validator,
)
from pydantic_core import PydanticCustomError

from rec_sys.shown_text import strip_secrets

_ADDRESS: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")  # pathlib makes one slash of two


class Address(Secret[str]):
    """Where a server is, which may hold a password or a key: whatever shows or writes it leaves those out.

    Only `get_secret_value()` has all of it.
    """

    def _display(self) -> str:
        # What follows a blank would not be looked through.
        return strip_secrets(re.sub(r"\s(?=.*@)", "%20", self.get_secret_value()))


class Section(BaseModel):
    """A part of the settings: frozen, and closed to names it does not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", protected_namespaces=(), coerce_numbers_to_str=True, hide_input_in_errors=True
    )

    @field_validator("*")
    @classmethod
    def _paths_are_no_addresses(cls, value: object) -> object:
        """`s3://...` as a path would be a folder called `s3:`, and `~/...` one called `~`, as no shell expands it."""
        if isinstance(value, Path) and (found := _ADDRESS.match(str(value))):
            raise PydanticCustomError(
                "address",
                "{scheme}:// is an address, and a path on this machine is needed: download or mount it first",
                {"scheme": found.group(1)},
            )
        return value.expanduser() if isinstance(value, Path) and value.parts[:1] == ("~",) else value


class CommandSettings(Section):
    """What every command has that reads or writes results."""

    output_dir: Path = Field(Path("outputs"), description="Prepared data, runs, bundles, index and results live here.")
