"""A prepared data set: the folder that preparation writes and every later room reads."""

from pathlib import Path
from typing import Final

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from rec_sys.bundle_manifest import StorePosition
from rec_sys.contracts import InputError, PreparedFile, ReviewColumn

RATING_SCALE: Final = "rating scale"  # among what was found, where it is not 1 to 5
TIME_FORM: Final = "form of the times"  # among what was found, where the settings leave it open


class DatasetSummary(BaseModel):
    """What preparation read, merged and set aside, and what the data has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    fingerprint: str = Field(description="sha256 over the inputs' contents and the settings that shape the result.")
    rows_read: int = Field(description="Reviews, merged duplicates and rows set aside, together.")
    duplicates_merged: int
    rows_set_aside: int
    metadata_rows_read: int = 0
    metadata_rows_set_aside: int = 0
    reasons: dict[str, int] = Field(description="Rows set aside, by reason; those of the metadata say so.")
    found: dict[str, str] = Field({}, description="What preparation found out by itself, such as a unit of time.")
    counts: dict[str, int] = Field({}, description="What happened beside bad rows, such as texts that were missing.")
    num_reviews: int
    num_users: int
    num_products: int
    has_time: bool = Field(description="False: `timestamp` holds a position in the user's sequence.")
    has_rating: bool
    has_text: bool
    has_product_text: bool
    store_position: StorePosition | None = Field(None, description="What it holds of a store's log.")
    has_known_rating: bool = Field(False, description="Whether the metadata has mean stars of products.")


class PreparedDataset:
    """A folder that `prepare` wrote.

    Raises:
        InputError: The folder holds no finished data set.
    """

    def __init__(self, folder: Path) -> None:
        summary = folder / PreparedFile.SUMMARY
        if not summary.is_file():
            raise InputError(
                "there is no prepared data set", where=str(folder), remedy="run rec_sys.data.prepare with its settings"
            )
        self.folder = folder
        self.summary = DatasetSummary.model_validate_json(summary.read_text())

    def reviews(self) -> pl.DataFrame:
        """All reviews, one row each, sorted by time (`contracts.ReviewColumn`)."""
        return pl.read_parquet(self.folder / PreparedFile.REVIEWS)

    def scan_reviews(self) -> pl.LazyFrame:
        """The same, of which only what is asked for is read: all texts together may be larger than memory."""
        return pl.scan_parquet(self.folder / PreparedFile.REVIEWS)

    def products(self) -> pl.DataFrame:
        """All products; the row number is the product index (`contracts.ProductColumn`)."""
        return pl.read_parquet(self.folder / PreparedFile.PRODUCTS)

    def users(self) -> pl.DataFrame | None:
        """What is known of users beside their reviews (`contracts.UserColumn`); None where nothing is."""
        path = self.folder / PreparedFile.USERS
        return pl.read_parquet(path) if path.is_file() else None

    def quarantine(self) -> pl.DataFrame:
        """The raw rows that were set aside (`contracts.QuarantineColumn`)."""
        return pl.read_parquet(self.folder / PreparedFile.QUARANTINE)


def embedded_review_text() -> pl.Expr:
    """The text of a review as the encoder reads it: headline, then body; null where both are missing or blank."""
    title = pl.col(ReviewColumn.TITLE).fill_null("").str.strip_chars()
    text = pl.col(ReviewColumn.TEXT).fill_null("").str.strip_chars()
    both = (
        pl.when((title != "") & (text != "") & ~title.str.contains(r"[.!?]$"))
        .then(title + ". " + text)
        .otherwise((title + " " + text).str.strip_chars())
    )
    return pl.when(both != "").then(both).otherwise(None)
