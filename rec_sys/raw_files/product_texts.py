"""What is known of products, cleaned, and in one text each that a language model can read."""

from typing import Final

import polars as pl

from rec_sys.contracts import ProductColumn
from rec_sys.raw_files.plain_text import plain_text

FEATURES: Final = "features"
DESCRIPTION: Final = "description"
# What is known of a product before its text is composed; texts may still hold HTML.
PRODUCT_FACTS_SCHEMA: Final[dict[str, pl.DataType]] = {
    ProductColumn.ASIN: pl.String(),
    ProductColumn.TITLE: pl.String(),
    ProductColumn.BRAND: pl.String(),
    ProductColumn.CATEGORIES: pl.List(pl.String()),
    ProductColumn.PRICE: pl.Float32(),
    ProductColumn.KNOWN_RATING: pl.Float32(),
    FEATURES: pl.List(pl.String()),
    DESCRIPTION: pl.String(),
}
# The encoder reads 512 tokens at most, about 2,500 characters; the rest would only be carried along.
LONGEST_TEXT: Final = 4_000
LONGEST_TITLE: Final = 500  # shops allow some 200; beyond it a title is a description that went astray


def described_products(facts: pl.DataFrame) -> pl.DataFrame:
    """Cleans `PRODUCT_FACTS_SCHEMA` and composes each product's text; features and description go into it."""
    clean = facts.select(*PRODUCT_FACTS_SCHEMA).with_columns(
        plain_text(facts[ProductColumn.TITLE]).to_frame().select(_cut(ProductColumn.TITLE, LONGEST_TITLE)).to_series(),
        plain_text(facts[ProductColumn.BRAND]),
        plain_text(facts[DESCRIPTION]),
        _clean_lists(facts[ProductColumn.CATEGORIES]),
        _clean_lists(facts[FEATURES]),
    )
    path = pl.col(ProductColumn.CATEGORIES).list.join(", ")
    pieces = clean.with_row_index("row").select(
        "row",
        pl.concat_list(
            pl.col(ProductColumn.TITLE),
            pl.concat_str(pl.lit("By "), pl.col(ProductColumn.BRAND)),
            pl.when(path != "").then(path),
            pl.col(FEATURES),
            pl.col(DESCRIPTION),
        ).alias("piece"),
    )
    texts = _sentences(pieces.explode("piece").drop_nulls("piece"))
    return (
        clean.with_row_index("row")
        .join(texts, on="row", how="left", maintain_order="left")
        .drop("row", FEATURES, DESCRIPTION)
    )


def _clean_lists(lists: pl.Series) -> pl.Series:
    """Cleans the texts within lists; blank and repeated ones are dropped, a missing list is empty."""
    name = lists.name
    rows = pl.DataFrame({"row": pl.int_range(len(lists), dtype=pl.UInt32, eager=True), name: lists})
    texts = rows.explode(name).drop_nulls(name)
    texts = texts.with_columns(plain_text(texts[name])).drop_nulls(name).unique(maintain_order=True)
    joined = rows.select("row").join(
        texts.group_by("row", maintain_order=True).agg(name), on="row", how="left", maintain_order="left"
    )
    return joined[name].fill_null([])


def _sentences(pieces: pl.DataFrame) -> pl.DataFrame:
    """Joins the pieces of each row into `text`, each as a sentence, none twice."""
    piece = pl.col("piece")
    same = piece.str.to_lowercase().str.strip_chars(" .,;:!?").alias("same")
    ended = pl.when(piece.str.contains(r"[.!?…]$")).then(piece).otherwise(piece.str.strip_chars_end(" ,;:") + ".")
    joined = (
        pieces.with_columns(same)
        .unique(["row", "same"], keep="first", maintain_order=True)
        .group_by("row", maintain_order=True)
        .agg(ended.alias(ProductColumn.TEXT))
        .with_columns(pl.col(ProductColumn.TEXT).list.join(" "))
    )
    return joined.with_columns(_cut(ProductColumn.TEXT, LONGEST_TEXT))


def _cut(name: str, longest: int) -> pl.Expr:
    """A text of so many characters at most; the cut falls between words."""
    text = pl.col(name)
    cut = text.str.slice(0, longest).str.replace(r"\s+\S*$", "")
    return pl.when(text.str.len_chars() > longest).then(cut).otherwise(text)
