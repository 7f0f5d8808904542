"""A Parquet table read by the actors of a Ray cluster, in the ranges of rows that one process reads at once."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rec_sys.data.readers.batches import Batch
from rec_sys.data.readers.table_reviews import ReviewReader
from rec_sys.raw_files.content import first_bytes
from rec_sys.raw_files.parquet_rows import RowRange
from rec_sys.raw_files.table_rows import read_row_range, table_ranges
from rec_sys.ray_cluster import connected, work_through
from rec_sys.settings import EngineSettings


class ReadingActor:
    """Reads, checks and types rows of files that this machine has at the same path.

    Args:
        reader: Of the table.
        home: The folder that relative paths begin at.
    """

    def __init__(self, reader: ReviewReader, home: Path) -> None:
        self._reader, self._home = reader, home

    def __call__(self, rows: RowRange) -> Batch:
        """Some rows of the table."""
        there = self._home / rows.path
        first_bytes(there)  # says that it is not there
        batch = read_row_range(self._reader.table, replace(rows, path=there))
        return self._reader.read(replace(batch, path=rows.path))


def read_on_ray(reader: ReviewReader, engine: EngineSettings) -> Iterator[Batch]:
    """Yields the batches of a table in its order.

    Raises:
        InputError: The cluster cannot be used, a machine of it has not the files, or they cannot be read.
    """
    with connected(engine, on_gpus=False) as actors:
        done: dict[int, Batch] = {}
        following = 0
        for place, batch in work_through(table_ranges(reader.table), ReadingActor, (reader, Path.cwd()), actors):
            done[place] = batch
            while following in done:
                yield done.pop(following)
                following += 1
