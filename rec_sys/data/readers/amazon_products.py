"""Amazon's product metadata as published in 2014, 2018 and 2023."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl

from rec_sys.contracts import InputError, ProductColumn
from rec_sys.data.readers.amazon_reviews import Edition
from rec_sys.data.readers.batches import (
    Batch,
    as_product_facts,
    note_unread_fields,
    set_aside,
)
from rec_sys.raw_files.json_objects import parse_objects
from rec_sys.raw_files.list_texts import first_filled, first_path, texts_within
from rec_sys.raw_files.missing import count_words, null_missing
from rec_sys.raw_files.plain_text import count_unread_prices, prices
from rec_sys.raw_files.product_texts import DESCRIPTION, FEATURES
from rec_sys.raw_files.records import read_records, shown_fields
from rec_sys.settings import MISSING_VALUES

_METADATA_FIELDS: Final = (
    *("parent_asin", "asin", "title", "brand", "store", "main_category", "categories", "category"),
    *("price", "feature", "features", "description", "details"),
)
_NEVER_WORDS: Final = ("price", "brand", "store")  # beside the ids; a title may be called "None"
# The parts of 2023's `details` that say what a thing is like, rather than how much it weighs or sells.
_TELLING_DETAILS: Final = (
    *("Color", "Material", "Material Type", "Style", "Size", "Instrument", "Finish Type"),
    *("Body Material", "Top Material", "String Material Type", "Connector Type"),
)
# What a page scraped in the wrong moment left in 2018's titles.
_SCRIPT_TITLE: Final = "getTime("


def read_amazon_metadata(
    path: Path, edition: Edition, encoding: str = "auto", missing_values: tuple[str, ...] = MISSING_VALUES
) -> Iterator[Batch]:
    """Reads what is known of products, in any of the three schemas; 2014's Python literals too.

    Raises:
        InputError: The file cannot be read or holds no product metadata.
    """
    schema: dict[str, pl.DataType] = dict.fromkeys(_METADATA_FIELDS, pl.String())
    for batch in read_records(path, encoding):
        parsed = parse_objects([record.raw for record in batch.records], schema)
        names = ("parent_asin", "asin") if edition == "amazon_2023" else ("asin", "parent_asin")
        known, words = null_missing(parsed.frame.select(*names, *_NEVER_WORDS), missing_values)
        identifier = first_filled(*names).str.strip_chars().alias(ProductColumn.ASIN)
        named = parsed.frame.with_columns(known).with_columns(identifier)
        if batch.first_row == 0 and (named.is_empty() or named[ProductColumn.ASIN].is_null().all()):
            raise InputError(
                "this is not Amazon product metadata",
                where=f"{path}, line {batch.records[0].line}: {shown_fields(batch.records[0])}",
                remedy="give the file that lists products as data.metadata_path",
            )
        nameless = named.with_row_index().filter(pl.col(ProductColumn.ASIN).is_null())["index"].to_list()
        reasons = {parsed.positions[index]: "product id is missing" for index in nameless}
        named = named.filter(pl.col(ProductColumn.ASIN).is_not_null())
        rows = _product_facts(named)
        bad = set_aside(path, batch, parsed.broken | reasons)
        counts = count_words(words) | count_unread_prices(named["price"], rows[ProductColumn.PRICE])
        yield Batch(rows, bad, len(batch.records), note_unread_fields(batch, _METADATA_FIELDS), counts)


def _product_facts(raw: pl.DataFrame) -> pl.DataFrame:
    """`PRODUCT_FACTS_SCHEMA` from the fields of all three editions."""
    title = pl.col("title")
    # 2018 kept the line break of the page: "by\n    Hosa".
    brand = first_filled("brand", "store").str.replace(r"^\s*by\s*\n\s*", "")
    made_by = pl.col("details").str.json_path_match("$.Brand")
    found = {name: pl.col("details").str.json_path_match(f'$["{name}"]') for name in _TELLING_DETAILS}
    details = [pl.concat_str(pl.lit(f"{name}: "), detail) for name, detail in found.items()]
    features = first_filled("features", "feature").map_elements(texts_within, pl.List(pl.String))
    known = raw.with_columns(
        pl.when(~title.str.contains(_SCRIPT_TITLE, literal=True)).then(title).alias(ProductColumn.TITLE),
        pl.coalesce(brand, made_by).alias(ProductColumn.BRAND),
        first_filled("categories", "category").map_elements(first_path, pl.List(pl.String)).alias("path"),
        prices(raw["price"]).alias(ProductColumn.PRICE),
        pl.concat_list(features.fill_null([]), pl.concat_list(details)).list.drop_nulls().alias(FEATURES),
        pl.col("description").map_elements(lambda value: " ".join(texts_within(value)), pl.String).alias(DESCRIPTION),
    )
    path = pl.col("path").fill_null([])
    widest = first_filled("main_category")
    is_new = widest.is_not_null() & (path.list.first().fill_null("") != widest)
    whole = pl.when(is_new).then(pl.concat_list(widest, path)).otherwise(path).alias(ProductColumn.CATEGORIES)
    return as_product_facts(known.with_columns(whole))
