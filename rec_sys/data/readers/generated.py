"""The built-in sample as a source: its raw file is the generator's own code."""

from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import polars as pl

from rec_sys.data.readers.batches import PRODUCT_FACTS_SCHEMA, QUARANTINE_SCHEMA, REVIEW_SCHEMA, Batch, Source
from rec_sys.settings import SampleData


def generated_source(data: SampleData) -> Source:
    """The sample; a change of the generator's code is a change of the data."""

    @cache
    def frames() -> tuple[pl.DataFrame, pl.DataFrame]:
        from rec_sys.data.sample import generate_sample

        sample = generate_sample(data)
        return sample.reviews, sample.products

    def batches(index: int, schema: dict[str, pl.DataType]) -> Iterator[Batch]:
        rows = frames()[index].select(pl.col(name).cast(dtype) for name, dtype in schema.items())
        yield Batch(rows, pl.DataFrame(schema=QUARANTINE_SCHEMA), rows.height)

    return Source(_generator_files(), True, lambda: batches(0, REVIEW_SCHEMA), lambda: batches(1, PRODUCT_FACTS_SCHEMA))


def _generator_files() -> tuple[Path, ...]:
    """The generator's code and the words it writes with."""
    spec = find_spec("rec_sys.data.sample")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("rec_sys.data.sample")
    folder = Path(spec.origin).parent
    return tuple(sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"))
