"""The manifest of a bundle: what the bundle is, what it was made from, and what its files were when it was written."""

import json
from functools import reduce
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from rec_sys.checksums import check_files, read_checksums
from rec_sys.contracts import BundleFile, InputError
from rec_sys.files import forbidden, sha256_of
from rec_sys.predicted_rating import RatingFormula
from rec_sys.scoring import ScoreFormula

REBUILD: Final = "copy the bundle again, or train again with rec_sys.train.train"
FORMAT_VERSION: Final = 2  # of new bundles; those of 1 are read too
# What format 1 calls by other names, by file.
_RENAMED_SINCE_1: Final = {
    BundleFile.MANIFEST: {
        "temperature": "score.temperature",
        "memory_weight": "score.memory_weight",
        "memory_recency": "score.recency",
        "memory_burst": "score.session",
        "memory_burst_days": "score.session_days",
    },
    BundleFile.SETTINGS: {
        "model.co_review.burst": "model.co_review.session",
        "model.co_review.burst_days": "model.co_review.session_days",
    },
    BundleFile.METRICS: {"peers": "baselines"},
}


class StorePosition(BaseModel):
    """How far a store's log is part of what was trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store: str = Field(description="Names the store: positions of another one mean nothing here.")
    sequence: int = Field(ge=0, description="The last entry of the log that is part of it.")


class RankerCard(BaseModel):
    """The ranker of a bundle that has one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    library: str = Field(description="What learned it.")
    candidates: int = Field(ge=1, description="The first stage's best products, which it orders.")
    features: tuple[str, ...] = Field(description="The columns that it reads.")


class BundleManifest(BaseModel):
    """What a bundle is and what it was made from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int = Field(FORMAT_VERSION, description="Of the files as they lie there.")
    created: str = Field(description="UTC, ISO 8601.")
    data_name: str
    data_fingerprint: str
    text_encoder: str = Field(description="Id of the text encoder, or none / given.")
    code_version: str = Field(description="Hash over the package's source files.")
    num_products: int
    dim: int
    text_dim: int = Field(description="Width of the text vectors.")
    score: ScoreFormula
    user_reviews: int = Field(description="The newest reviews of a user that the user tower reads.")
    product_reviews: int = Field(description="The newest reviews of a product that the product tower reads.")
    has_time: bool = Field(description="False: ages are unknown to the towers.")
    ranker: RankerCard | None = Field(None, description="The second stage; null: the first one's order is the answer.")
    rating: RatingFormula | None = Field(None, description="The predicted stars; null where nobody gave any.")
    store_position: StorePosition | None = Field(
        None, description="What the data holds of a store's log; null where it was trained without one."
    )
    files: dict[str, str] = Field(description="sha256 of every file, by its path in the bundle.")


def read_manifest(folder: Path) -> BundleManifest:
    """The manifest of a bundle, compared with what it was when it was written.

    Raises:
        InputError: The folder is no bundle, of another format, or its manifest is damaged.
    """
    path = folder / BundleFile.MANIFEST
    if not path.is_file():
        raise InputError("there is no bundle", where=str(folder), remedy="run rec_sys.train.train and give its path")
    noted = read_checksums(folder, REBUILD)
    if noted:  # earlier versions noted nothing of the manifest itself
        own = {BundleFile.MANIFEST: noted.get(BundleFile.MANIFEST, "")}
        check_files(folder, own, "the bundle, its manifest,", REBUILD)
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        version = fields.get("format_version") if isinstance(fields, dict) else None
        if version in (1, FORMAT_VERSION):
            fields = upgrade(BundleFile.MANIFEST, fields) if version == 1 else fields
            if "text_dim" not in fields:  # bundles did not say it while there was one encoder
                fields["text_dim"] = np.load(
                    path.with_name(BundleFile.HISTORY_TEXT), mmap_mode="r", allow_pickle=False
                ).shape[1]
            return BundleManifest.model_validate(fields)
    except PermissionError as error:
        raise forbidden(error) from error
    except (ValueError, LookupError, OSError) as error:  # broken JSON, a field missing, no texts to read the width from
        raise InputError("the manifest of the bundle is damaged", where=str(path), remedy=REBUILD) from error
    raise InputError(
        f"the bundle has format {version}, this version reads up to {FORMAT_VERSION}",
        where=str(path),
        remedy="train again with this version",
    )


def upgrade(file: str, content: dict[str, Any]) -> dict[str, Any]:
    """A JSON file of format 1 in the names of this format; `content` is changed."""
    for old, new in _RENAMED_SINCE_1[file].items():
        (*old_path, old_name), (*new_path, new_name) = old.split("."), new.split(".")
        section: dict[str, Any] = reduce(lambda section, name: section.get(name, {}), old_path, content)
        if old_name in section:
            value = section.pop(old_name)
            reduce(lambda section, name: section.setdefault(name, {}), new_path, content)[new_name] = value
    return content


def bundle_identity(folder: Path) -> str:
    """See `Bundle.identity`."""
    return sha256_of(folder / BundleFile.MANIFEST)[:16]
