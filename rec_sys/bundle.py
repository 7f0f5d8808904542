"""The bundle: the one folder that training hands on. Serving reads it alone; it needs neither torch nor PyG.

It holds the weights (safetensors, never pickle), the resolved settings, the product table in index order, the product
vectors, the exported towers, the metrics, the pictures, and a manifest with the hashes of all that and of what it was
made from.
"""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, ConfigDict, Field
from safetensors.numpy import load_file, save

from rec_sys.contracts import BundleFile, InputError, ProductVector
from rec_sys.files import atomic_folder
from rec_sys.scoring import ScoreFormula

FORMAT_VERSION = 2  # of new bundles; those of 1 are read too
# What format 1 calls by other names, by file.
_RENAMED_SINCE_1 = {
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
    files: dict[str, str] = Field(description="sha256 of every file, by its path in the bundle.")


@dataclass(frozen=True)
class BundleContents:
    """What training puts into a bundle.

    Attributes:
        weights: The model's state, by parameter name.
        settings: The resolved settings, as JSON values.
        products: The product table; row = product index.
        product_vectors: Named as in `contracts.ProductVector`.
        histories: The known users' reviews, see `contracts.HistoryColumn`.
        history_text: float16 `[num_texts, text_dim]`.
        memory: Named as in `contracts.MemoryTensor`; None where the model has none.
        metrics: `{"validation": {...}, "test": {...}, "baselines": {...}}`.
        towers: ONNX files to copy, by name.
        pictures: PNG files to copy.
        card: The model card, Markdown.
    """

    data_name: str
    data_fingerprint: str
    text_encoder: str
    weights: dict[str, npt.NDArray[Any]]
    settings: dict[str, Any]
    products: pl.DataFrame
    product_vectors: dict[str, npt.NDArray[np.float32]]
    metrics: dict[str, Any]
    histories: pl.DataFrame
    history_text: npt.NDArray[np.float16]
    score: ScoreFormula
    user_reviews: int
    product_reviews: int
    has_time: bool
    memory: dict[str, npt.NDArray[Any]] | None = None
    towers: dict[str, bytes] = field(default_factory=dict)
    pictures: tuple[Path, ...] = ()
    card: str = ""


def write_bundle(folder: Path, contents: BundleContents) -> BundleManifest:
    """Writes a bundle; the folder appears whole or not at all."""
    with atomic_folder(folder) as building:
        _save_tensors(contents.weights, building / BundleFile.WEIGHTS)
        _save_tensors(contents.product_vectors, building / BundleFile.PRODUCT_VECTORS)
        if contents.memory is not None:
            _save_tensors(contents.memory, building / BundleFile.MEMORY)
        contents.products.write_parquet(building / BundleFile.PRODUCTS)
        contents.histories.write_parquet(building / BundleFile.HISTORIES)
        np.save(building / BundleFile.HISTORY_TEXT, contents.history_text)
        _write_json(building / BundleFile.SETTINGS, contents.settings)
        _write_json(building / BundleFile.METRICS, contents.metrics)
        if contents.card:
            (building / BundleFile.CARD).write_text(contents.card)
        (building / BundleFile.TOWERS).mkdir()
        for name, model in contents.towers.items():
            (building / BundleFile.TOWERS / name).write_bytes(model)
        (building / BundleFile.PICTURES).mkdir()
        for picture in contents.pictures:
            (building / BundleFile.PICTURES / picture.name).write_bytes(picture.read_bytes())
        manifest = BundleManifest(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            code_version=hash_code(),
            num_products=contents.products.height,
            dim=contents.product_vectors[ProductVector.OUTPUT].shape[1],
            text_dim=contents.history_text.shape[1],
            files=_hash_files(building),
            **{name: value for name, value in vars(contents).items() if name in BundleManifest.model_fields},
        )
        (building / BundleFile.MANIFEST).write_text(manifest.model_dump_json(indent=2))
    return manifest


class Bundle:
    """Reads a bundle; to verify it compares every file with its hash in the manifest.

    Raises:
        InputError: The folder is no bundle, of another format, or damaged.
    """

    def __init__(self, folder: Path, verify: bool = False) -> None:
        path = folder / BundleFile.MANIFEST
        if not path.is_file():
            raise InputError(
                "there is no bundle", where=str(folder), remedy="run rec_sys.train.train and give its path"
            )
        self.folder = folder
        self.manifest = _read_manifest(path)
        found = _hash_files(folder) if verify else self.manifest.files
        for name, expected in self.manifest.files.items():
            if found.get(name) != expected:
                raise InputError(
                    "a file of the bundle is missing or was changed",
                    where=str(self.folder / name),
                    remedy="copy the bundle again, or train again",
                )

    @property
    def identity(self) -> str:
        """Names the bundle by its content: what was made from it carries this, so that parts can be matched."""
        return hashlib.sha256((self.folder / BundleFile.MANIFEST).read_bytes()).hexdigest()[:16]

    def _read_json(self, file: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / file).read_text())
        return content if self.manifest.format_version == FORMAT_VERSION else _upgrade(file, content)

    def weights(self) -> dict[str, npt.NDArray[Any]]:
        """The model's state, by parameter name."""
        return load_file(self.folder / BundleFile.WEIGHTS)

    def settings(self) -> dict[str, Any]:
        """The resolved settings of the run."""
        return self._read_json(BundleFile.SETTINGS)

    def products(self) -> pl.DataFrame:
        """The product table; row = product index."""
        return pl.read_parquet(self.folder / BundleFile.PRODUCTS)

    def product_vectors(self) -> dict[str, npt.NDArray[np.float32]]:
        """Named as in `contracts.ProductVector`."""
        return load_file(self.folder / BundleFile.PRODUCT_VECTORS)

    def memory(self) -> dict[str, npt.NDArray[Any]] | None:
        """Named as in `contracts.MemoryTensor`; None where the model has none."""
        path = self.folder / BundleFile.MEMORY
        return load_file(path) if path.is_file() else None

    def histories(self) -> pl.DataFrame:
        """The known users' reviews, see `contracts.HistoryColumn`."""
        return pl.read_parquet(self.folder / BundleFile.HISTORIES)

    def history_text(self) -> npt.NDArray[np.float16]:
        """float16 `[num_texts, text_dim]`, memory-mapped."""
        return _open_array(self.folder / BundleFile.HISTORY_TEXT)

    def metrics(self) -> dict[str, Any]:
        """`{"validation": {...}, "test": {...}, "baselines": {...}}`."""
        return self._read_json(BundleFile.METRICS)

    def tower(self, name: str) -> Path:
        """The path of an exported tower."""
        return self.folder / BundleFile.TOWERS / name


def find_bundle(folder: Path | None, output_dir: Path) -> Bundle:
    """The bundle that a command is given, or the newest that training has left.

    Raises:
        InputError: There is none, or it cannot be read.
    """
    if folder is not None:
        return Bundle(folder)
    bundles = [Bundle(path.parent) for path in (output_dir / "bundles").glob(f"*/{BundleFile.MANIFEST}")]
    if not bundles:
        raise InputError(
            "there is no bundle yet",
            where=str((output_dir / "bundles").absolute()),
            remedy="run rec_sys.train.train first, or give a bundle's path with bundle=...",
        )
    return max(bundles, key=lambda bundle: (bundle.manifest.created, bundle.folder.name))


def hash_code() -> str:
    """A hash over the package's source files: the code's version, with or without git."""
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _read_manifest(path: Path) -> BundleManifest:
    try:
        fields = json.loads(path.read_text())
        version = fields.get("format_version") if isinstance(fields, dict) else None
        if version in (1, FORMAT_VERSION):
            fields = _upgrade(BundleFile.MANIFEST, fields) if version == 1 else fields
            if "text_dim" not in fields:  # bundles did not say it while there was one encoder
                fields["text_dim"] = _open_array(path.with_name(BundleFile.HISTORY_TEXT)).shape[1]
            return BundleManifest.model_validate(fields)
    except (ValueError, OSError) as error:  # broken JSON, a field that is missing, no texts to read the width from
        raise InputError(
            "the manifest of the bundle is damaged", where=str(path), remedy="copy the bundle again, or train again"
        ) from error
    raise InputError(
        f"the bundle has format {version}, this version reads up to {FORMAT_VERSION}",
        where=str(path),
        remedy="train again with this version",
    )


def _upgrade(file: str, content: dict[str, Any]) -> dict[str, Any]:
    """A JSON file of format 1 in the names of this format; `content` is changed."""
    for old, new in _RENAMED_SINCE_1[file].items():
        (*old_path, old_name), (*new_path, new_name) = old.split("."), new.split(".")
        section: dict[str, Any] = reduce(lambda section, name: section.get(name, {}), old_path, content)
        if old_name in section:
            value = section.pop(old_name)
            reduce(lambda section, name: section.setdefault(name, {}), new_path, content)[new_name] = value
    return content


def _save_tensors(tensors: dict[str, npt.NDArray[Any]], path: Path) -> None:
    # ascontiguousarray would make a vector of a single number.
    # Not its own way to a file, which nobody but the user who trained could read.
    path.write_bytes(save({name: np.asarray(value, order="C") for name, value in tensors.items()}))


def _open_array(path: Path) -> npt.NDArray[np.float16]:
    vectors: npt.NDArray[np.float16] = np.load(path, mmap_mode="r", allow_pickle=False)
    return vectors


def _hash_files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != BundleFile.MANIFEST
    }


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True, allow_nan=False))
