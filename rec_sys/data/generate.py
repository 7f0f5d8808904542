"""Files of a public shop's schema, generated: `uv run -m rec_sys.data.generate schema=NAME out=FOLDER`.

They are small and believable, and have the traps of the real ones: lists within fields, ids with leading zeros, words
for ratings, rows that mean nothing. Tests and the pipeline run on them where the real files cannot be had.
"""

import warnings
from pathlib import Path
from typing import Final

from pydantic import Field

from rec_sys.console import say
from rec_sys.contracts import InputError
from rec_sys.entry import run_entry
from rec_sys.files import atomic_folder
from rec_sys.settings import Section

_MARK: Final = "generated.json"  # tells a folder of ours from another

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message='Field name "schema"')  # a method of pydantic's that nothing here uses

    class GenerateSettings(Section):
        """Everything config/generate.yaml composes."""

        schema: str = Field(description="Which shop's; an unknown name is answered with those there are.")  # type: ignore[assignment] # as above
        out: Path = Field(description="A new folder, or one that an earlier run has written: it is replaced.")
        users: int | None = Field(None, ge=20, description="People; empty: what the schema's module says.")
        products: int | None = Field(None, ge=24, description="Products; empty likewise.")
        purchases: int | None = Field(None, ge=200, description="Purchases; empty likewise.")
        seed: int = Field(7, ge=0, description="Another seed generates other people and products.")


def run(settings: GenerateSettings) -> None:
    """Writes the files and names them."""
    from rec_sys.data.generated import SCHEMAS
    from rec_sys.data.generated.shop import generate_shop

    schema = SCHEMAS.get(str(settings.schema))
    if schema is None:
        remedy = f"choose one of {', '.join(SCHEMAS)}"
        raise InputError("there is no such schema", where=f"setting schema={settings.schema}", remedy=remedy)
    made = settings.out / _MARK
    if settings.out.exists() and not made.is_file() and (settings.out.is_file() or any(settings.out.iterdir())):
        raise InputError(
            "this folder holds something else", where=f"setting out={settings.out}", remedy="choose a new one"
        )
    sizes = (settings.users or schema.users, settings.products or schema.products)
    shop = generate_shop(*sizes, settings.purchases or schema.purchases, schema.repeat_share, settings.seed)
    with atomic_folder(settings.out.absolute()) as folder:
        schema.write(shop, folder)
        (folder / _MARK).write_text(settings.model_dump_json(indent=2) + "\n")
    for path in sorted(settings.out.iterdir()):
        say(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    run_entry(run, GenerateSettings, "generate")
