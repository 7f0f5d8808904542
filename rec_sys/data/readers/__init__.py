"""Readers: every raw format becomes the same typed rows, or a named reason why a row is none."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import polars as pl

from rec_sys.contracts import InputError
from rec_sys.data.download import download
from rec_sys.data.readers.amazon_products import read_amazon_metadata
from rec_sys.data.readers.amazon_reviews import read_amazon_reviews
from rec_sys.data.readers.batches import QUARANTINE_SCHEMA, Batch, Source, as_product_facts, as_reviews
from rec_sys.data.readers.sequences import read_sequences
from rec_sys.data.readers.table import product_table, read_table_products, read_table_reviews, review_table
from rec_sys.data.readers.users import read_table_users, user_table
from rec_sys.data.titled_reviews import MatchedReviews
from rec_sys.raw_files.content import first_bytes
from rec_sys.raw_files.parquet_rows import parts_of
from rec_sys.raw_files.tables import check_columns
from rec_sys.settings import AmazonData, DataSettings, EngineSettings, RawFile, SampleData, SequencesData, TableData

__all__ = ["Batch", "Source", "open_source"]

_FEWEST = {"num_users": 20, "num_products": 24, "num_reviews": 200}  # that the generator takes, see SampleData


def open_source(data: DataSettings, raw_folder: Path, engine: EngineSettings | None = None) -> Source:
    """Finds the files of a data set, downloading what is not there, and chooses their reader.

    Args:
        data: The settings.
        raw_folder: Where downloads are kept.
        engine: Who reads the reviews, if they are a Parquet table; None: this process.

    Raises:
        InputError: A file is missing, empty, or cannot be downloaded.
    """
    match data:
        case SampleData():
            return _sample_source(data)
        case SequencesData():
            path = _local(data.path, "data.path")
            return Source((path,), False, partial(read_sequences, path, data.encoding, data.missing_values))
        case TableData():
            return _table_source(data, engine)
        case AmazonData():
            return _amazon_source(data, raw_folder)


def _sample_source(data: SampleData) -> Source:
    """The built-in sample, whose raw files are the generator's own code and words: new code, new data."""

    @cache
    def frames() -> tuple[pl.DataFrame, pl.DataFrame]:
        from rec_sys.data.sample import generate_sample

        return generate_sample(_scaled(data))[:2]

    def batch(rows: pl.DataFrame) -> Iterator[Batch]:
        yield Batch(rows, pl.DataFrame(schema=QUARANTINE_SCHEMA), rows.height)

    def products() -> pl.DataFrame:
        return as_product_facts(frames()[1])

    folder = Path(__file__).parents[1] / "sample"
    files = tuple(sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"))
    return Source(files, True, lambda: batch(as_reviews(frames()[0])), lambda: batch(products()))


def _scaled(data: SampleData) -> SampleData:
    """A sample of `max_reviews` at most, with as many reviews a user and a product as the whole one has."""
    share = min(1.0, (data.max_reviews or data.num_reviews) / data.num_reviews)
    numbers = {name: max(fewest, round(share * getattr(data, name))) for name, fewest in _FEWEST.items()}
    return data if share == 1 else data.model_copy(update=numbers)


def _table_source(data: TableData, engine: EngineSettings | None) -> Source:
    reviews = _local(data.reviews_path, "data.reviews_path")
    tables = [review_table(reviews, data)]
    products = _local_if_set(data.metadata_path, "data.metadata_path")
    if products is not None:
        tables.append(product_table(products, data))
    users = _local_if_set(data.users_path, "data.users_path")
    if users is not None:
        tables.append(user_table(users, data))
    check_columns(*tables)
    if data.events.half_life_days is not None and data.columns.timestamp is None:
        raise InputError(
            "a weight that halves with age needs times, and the table has none",
            where="setting data.events.half_life_days",
            remedy="name the column of times with data.columns.timestamp, or leave it out",
        )
    files = tuple(part for table in tables for part in table.parts)
    read = partial(read_table_reviews, reviews, data, engine)
    source = Source(files, data.columns.timestamp is not None, read, in_ranges=tables[0].kind == "parquet")
    if users is not None:
        source = replace(source, users=partial(read_table_users, users, data))
    if products is None:
        return source
    source = replace(source, products=partial(read_table_products, products, data))
    return _by_title(source) if data.match_titles else source


def _by_title(source: Source) -> Source:
    """A source whose reviews name their products by title."""
    if source.products is None:
        return source
    matched = MatchedReviews(source.products)
    return replace(source, reviews=lambda: matched.read(source.reviews()), titles=matched.report)


def _amazon_source(data: AmazonData, raw_folder: Path) -> Source:
    reviews = _local_or_download(data.reviews_path, data.reviews_download, raw_folder, "data.reviews_path")
    how = data.reader, data.encoding, data.missing_values
    source = Source((reviews,), True, partial(read_amazon_reviews, reviews, *how))
    if data.metadata_path is None and not data.use_metadata:
        return source
    products = _local_or_download(data.metadata_path, data.metadata_download, raw_folder, "data.metadata_path")
    return replace(source, files=(reviews, products), products=partial(read_amazon_metadata, products, *how))


def _local_or_download(path: Path | None, file: RawFile | None, raw_folder: Path, setting: str) -> Path:
    if path is None and file is not None and file.url is not None:
        return download(file, raw_folder, setting=setting)
    return _local(path, setting)


def _local(path: Path | None, setting: str) -> Path:
    if path is None:
        raise InputError(f"{setting} has no value", where=f"setting {setting}", remedy=f"add {setting}=<file>")
    for part in parts_of(path):
        first_bytes(part)
    return path


def _local_if_set(path: Path | None, setting: str) -> Path | None:
    """A file that nothing depends on; where it is not there, the message says how to do without it."""
    try:
        return None if path is None else _local(path, setting)
    except InputError as error:
        remedy = f"{error.remedy}, or do without it: {setting}=null"
        raise InputError(error.what, where=error.where, remedy=remedy) from error
