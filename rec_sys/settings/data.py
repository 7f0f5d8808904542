"""Which reviews are read, and how."""

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import (
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from rec_sys.settings.base import Address, Section

_READER = "Which kind of file is read; the choice of data says it."


class DataCommon(Section):
    """What every data set has."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$", description="Names the prepared folder.")
    max_bad_share: float = Field(0.01, ge=0, le=1, description="Preparation fails above this share of bad rows.")
    keep_unreviewed_products: bool = Field(False, description="Keep products that only the metadata knows.")
    max_reviews: int | None = Field(None, ge=200, description="Only so many are read, the first ones; empty: all.")


AUTO: Final = "auto"  # in the place of a column: it is found by its name and content
# What pandas, databases and spreadsheets write where nothing is; spelled as they do, since "Nan" may be a name.
MISSING_VALUES = ("nan", "NaN", "None", "NULL", "null", "\\N", "NaT", "<NA>", "N/A")


class FileData(DataCommon):
    """What every data set has that is read from files."""

    encoding: str = Field(
        "auto", description="What the files are written in; auto: UTF-8, or what their byte order mark says."
    )
    missing_values: tuple[str, ...] = Field(
        MISSING_VALUES, description="Words that mean a value is missing: in ids of any file, in any column of a table."
    )

    @field_validator("encoding")
    @classmethod
    def _encoding_is_one(cls, encoding: str) -> str:
        try:
            "".encode("utf-8" if encoding == "auto" else encoding)
        except LookupError as error:
            raise ValueError(f"{error}; auto, utf-8, utf-16, cp1252 and many others are known") from error
        return encoding


class SampleData(DataCommon):
    """The built-in generated sample."""

    reader: Literal["sample"] = Field(description=_READER)
    num_users: int = Field(600, ge=20, description="Users generated.")
    num_products: int = Field(240, ge=24, description="Products generated.")
    num_reviews: int = Field(6_000, ge=200, description="Reviews generated.")
    seed: int = Field(7, ge=0, description="Another seed generates other people and products.")
    keep_unreviewed_products: bool = Field(True, description="Keep products that nobody has reviewed yet.")
    repeat_share: float = Field(
        0.0, ge=0, lt=1, description="Share of purchases that are of a product bought before, as of another variant."
    )


class RawFile(Section):
    """A raw file: a local path wins over the download."""

    url: Address | None = Field(None, description="Where it is fetched.")
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$", description="What is fetched must match; empty: any.")

    @field_validator("url")
    @classmethod
    def _url_is_of_https(cls, url: Address | None) -> Address | None:
        if url and not url.get_secret_value().startswith("https://"):
            raise ValueError("the url of a download begins with https://")
        return url


class AmazonData(FileData):
    """Amazon reviews in one of the three published schemas."""

    reader: Literal["amazon_2014", "amazon_2018", "amazon_2023"] = Field(description=_READER)
    reviews_path: Path | None = Field(None, description="A local file of reviews; it wins over the download.")
    metadata_path: Path | None = Field(None, description="The same for the metadata of the products.")
    reviews_download: RawFile | None = Field(None, description="Fetched where reviews_path is empty.")
    metadata_download: RawFile | None = Field(None, description="Fetched only where use_metadata is true.")
    use_metadata: bool = Field(False, description="Download the metadata too when no metadata_path is given.")


class ReviewColumnMap(Section):
    """Which column of a table is what: its name, auto to find it by name and content, null where there is none."""

    user_id: str = Field(AUTO, description="Who wrote it.")
    asin: str = Field(AUTO, description="The product.")
    rating: str | None = Field(AUTO, description="Stars, 1 to 5; see rating_scale.")
    timestamp: str | None = Field(AUTO, description="When it was written; see timestamp_unit.")
    title: str | None = Field(AUTO, description="The headline.")
    text: str | None = Field(AUTO, description="The body.")
    style: str | None = Field(AUTO, description="The variant that was bought.")
    helpful_votes: str | None = Field(AUTO, description="How many found it helpful.")
    verified: str | None = Field(AUTO, description="Whether the purchase is known.")


class ProductColumnMap(Section):
    """Which column of a product table is what: its name, auto to find it, null where there is none."""

    asin: str = Field(AUTO, description="The product.")
    title: str | None = Field(AUTO, description="Its name.")
    brand: str | None = Field(AUTO, description="Its maker.")
    categories: str | None = Field(AUTO, description="Its categories; see category_separator.")
    price: str | None = Field(AUTO, description="Its price.")
    features: str | None = Field(AUTO, description="Its features, in words.")
    description: str | None = Field(AUTO, description="Its description.")
    known_rating: str | None = Field(None, description="Its mean stars as others gave them; never found by itself.")


class UserColumnMap(Section):
    """Which column of a table of users is what."""

    user_id: str = Field("user_id", description="The user.")
    facts: dict[str, str] | None = Field(None, description="Name -> a column of numbers, or of words as below.")
    words: dict[str, tuple[str, ...]] | None = Field(
        None, description="Name of a fact -> its words from the least to the most, which are read as 0, 1, 2."
    )

    @model_validator(mode="after")
    def _names_fit(self) -> "UserColumnMap":
        facts = self.facts or {}
        if unknown := [name for name in self.words or {} if name not in facts]:
            raise ValueError(f"data.user_columns.words has {unknown[0]}, which data.user_columns.facts has not")
        if "user_id" in facts:
            raise ValueError("a fact of data.user_columns.facts cannot be called user_id")
        return self


class EventSettings(Section):
    """Rows as events of several kinds, such as views, baskets and orders: how much each says of a user."""

    column: str | None = Field(None, description="Names the kind of event; empty: all rows are of one kind.")
    weights: dict[str, Annotated[float, Field(gt=0)]] | None = Field(
        None, description="Kind -> weight; rows of other kinds are left out and counted. Empty: every kind weighs 1."
    )
    amount: str | None = Field(
        None,
        description="A column that multiplies it, such as a quantity or a watched share; rows of 0 are left out.",
    )
    full_amount: float = Field(1.0, gt=0, description="The amount that counts once: 100 where it is in percent.")
    duration: str | None = Field(
        None, description="A column of how long it lasted, which multiplies it too: short looks say little."
    )
    full_duration: float = Field(1.0, gt=0, description="The duration from which on it counts whole, in its unit.")
    half_life_days: float | None = Field(None, gt=0, description="Days in which a weight halves; empty: it stays.")

    @model_validator(mode="after")
    def _weights_have_a_column(self) -> "EventSettings":
        if self.weights and self.column is None:
            raise ValueError("data.events.weights needs data.events.column, the column that names the kinds")
        return self


class TableData(FileData):
    """Any table (CSV, JSON objects or Parquet), by a map of its columns."""

    reader: Literal["table"] = Field(description=_READER)
    folder: Path | None = Field(None, description="Where the files are whose paths are relative; empty: here.")
    reviews_path: Path = Field(
        description="The table of reviews: CSV, JSON objects or Parquet, or a folder of Parquet files."
    )
    metadata_path: Path | None = Field(None, description="The table of products, where there is one.")
    users_path: Path | None = Field(None, description="The table of users, where there is one; a ranker reads it.")
    map_path: Path | None = Field(
        None, description="A map that rec_sys.data.inspect wrote; what is said here comes before what it says."
    )
    separator: str = Field(
        "auto",
        min_length=1,
        description="Stands between the fields of a CSV, one character or several, or the word tab.",
    )
    quoting: Literal["auto", "standard", "none"] = Field(
        "auto", description="Whether a quotation mark encloses a field (standard) or is a letter (none) in a CSV."
    )
    header: bool = Field(True, description="Whether a CSV names its columns; without names they are 1, 2, 3.")
    comment: str | None = Field(None, min_length=1, description="Lines of a CSV that begin with it are skipped.")
    columns: ReviewColumnMap = Field(ReviewColumnMap(), description="Which column of the reviews is what.")
    product_columns: ProductColumnMap | None = Field(
        ProductColumnMap(), description="Which column of the products is what."
    )
    user_columns: UserColumnMap = Field(UserColumnMap(), description="Which column of the users is what.")
    timestamp_unit: Literal["auto", "s", "ms", "us", "ns", "iso"] = Field(
        "auto", description="Unit of a numeric time; iso = a date text; auto = what the first rows show."
    )
    timestamp_format: str | None = Field(
        None, pattern="%", description="Of other date texts, such as %d/%m/%Y; it wins over timestamp_unit."
    )
    rating_scale: tuple[float, float] = Field((1, 5), description="Lowest and highest rating; mapped to 1 to 5 stars.")
    rating_words: dict[str, Annotated[float, Field(ge=1, le=5)]] | None = Field(
        None, description="Word -> stars, where ratings are words."
    )
    drop_unrated: bool = Field(False, description="Leave out, and count, rows without a rating.")
    match_titles: bool = Field(
        False,
        description="data.columns.asin is a title: find the product that it means in the table of products; titles of"
        " none or of several are left out, counted and listed.",
    )
    category_separator: str = Field("|", min_length=1, description="Stands between the categories of a product.")
    events: EventSettings = Field(EventSettings(), description="How much each row says of its user.")
    equal_rows: Literal["merge", "quantity", "latest"] = Field(
        "merge",
        description="Rows that are equal: one review, or as many as there are in its weight; latest: of a user's rows"
        " of one product the last one counts.",
    )

    @field_validator("reviews_path", "metadata_path", "users_path")
    @classmethod
    def _stands_in_the_folder(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        folder = info.data.get("folder")
        return path if path is None or folder is None or path.is_relative_to(folder) else folder / path

    @model_validator(mode="after")
    def _titles_have_products(self) -> "TableData":
        if self.match_titles and self.metadata_path is None:
            raise ValueError("data.match_titles needs data.metadata_path, the table of products with their titles")
        return self

    @model_validator(mode="after")
    def _users_have_facts(self) -> "TableData":
        if self.users_path is not None and not self.user_columns.facts:
            raise ValueError("data.users_path needs data.user_columns.facts, the columns of the users that are read")
        return self

    @field_validator("separator")
    @classmethod
    def _tab_is_a_word(cls, separator: str) -> str:
        # A command line hands on neither the key nor its escape.
        return "\t" if separator in ("tab", "\\t") else separator

    @field_validator("rating_scale")
    @classmethod
    def _scale_rises(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if not scale[0] < scale[1]:
            raise ValueError("the lowest rating comes first: [low, high]")
        return scale


class SequencesData(FileData):
    """Bare sequences, `{"user": ..., "items": [...]}` a line: order instead of time."""

    reader: Literal["sequences"] = Field(description=_READER)
    path: Path = Field(description="The file of sequences.")


DataSettings = Annotated[SampleData | AmazonData | TableData | SequencesData, Field(discriminator="reader")]
