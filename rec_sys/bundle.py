"""The bundle: the one folder that training hands on. Serving reads it alone; it needs neither torch nor PyG.

It holds the weights (safetensors, never pickle), the resolved settings, the product table in index order, the product
vectors, the exported towers, the metrics, the pictures, and a manifest with the hashes of all that and of what it was
made from.
"""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, ConfigDict, Field
from safetensors.numpy import load_file, save_file

from rec_sys.contracts import BundleFile, InputError
from rec_sys.files import atomic_folder

FORMAT_VERSION = 1


class BundleManifest(BaseModel):
    """What a bundle is and what it was made from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int = FORMAT_VERSION
    created: str = Field(description="UTC, ISO 8601.")
    data_name: str
    data_fingerprint: str
    text_encoder: str = Field(description="Id of the text encoder, or none / given.")
    code_version: str = Field(description="Hash over the package's source files.")
    num_products: int
    dim: int
    files: dict[str, str] = Field(description="sha256 of every file, by its path in the bundle.")


@dataclass(frozen=True)
class BundleContents:
    """What training puts into a bundle.

    Attributes:
        weights: The model's state, by parameter name.
        settings: The resolved settings, as JSON values.
        products: The product table; row = product index.
        product_vectors: `output` float32 `[num_products, dim]` (what the index holds), `input` float32
            `[num_products, dim]` (what the user tower reads), `rating` float32 `[num_products, dim]`, `rating_offset`
            float32 `[num_products]`.
        metrics: `{"validation": {...}, "test": {...}, "peers": {...}}`.
        towers: ONNX files to copy, by name.
        pictures: PNG files to copy.
    """

    data_name: str
    data_fingerprint: str
    text_encoder: str
    weights: dict[str, npt.NDArray[Any]]
    settings: dict[str, Any]
    products: pl.DataFrame
    product_vectors: dict[str, npt.NDArray[np.float32]]
    metrics: dict[str, Any]
    towers: dict[str, bytes] = field(default_factory=dict)
    pictures: tuple[Path, ...] = ()


def write_bundle(folder: Path, contents: BundleContents) -> BundleManifest:
    """Writes a bundle; the folder appears whole or not at all."""
    with atomic_folder(folder) as building:
        save_file({name: np.ascontiguousarray(value) for name, value in contents.weights.items()},
                  building / BundleFile.WEIGHTS)
        vectors = {name: np.ascontiguousarray(value) for name, value in contents.product_vectors.items()}
        save_file(vectors, building / BundleFile.PRODUCT_VECTORS)
        contents.products.write_parquet(building / BundleFile.PRODUCTS)
        _write_json(building / BundleFile.SETTINGS, contents.settings)
        _write_json(building / BundleFile.METRICS, contents.metrics)
        (building / BundleFile.TOWERS).mkdir()
        for name, model in contents.towers.items():
            (building / BundleFile.TOWERS / name).write_bytes(model)
        (building / BundleFile.PICTURES).mkdir()
        for picture in contents.pictures:
            (building / BundleFile.PICTURES / picture.name).write_bytes(picture.read_bytes())
        manifest = BundleManifest(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            data_name=contents.data_name,
            data_fingerprint=contents.data_fingerprint,
            text_encoder=contents.text_encoder,
            code_version=hash_code(),
            num_products=contents.products.height,
            dim=vectors["output"].shape[1],
            files=_hash_files(building),
        )
        (building / BundleFile.MANIFEST).write_text(manifest.model_dump_json(indent=2))
    return manifest


class Bundle:
    """Reads a bundle.

    Args:
        folder: The bundle.
        verify: Compare every file with its hash in the manifest.

    Raises:
        InputError: The folder is no bundle, of another format, or damaged.
    """

    def __init__(self, folder: Path, verify: bool = False) -> None:
        path = folder / BundleFile.MANIFEST
        if not path.is_file():
            raise InputError("there is no bundle", where=str(folder), remedy="run rec_sys.train.train and give its path")
        fields = json.loads(path.read_text())
        if fields.get("format_version") != FORMAT_VERSION:
            raise InputError(
                f"the bundle has format {fields.get('format_version')}, this version reads {FORMAT_VERSION}",
                where=str(path),
                remedy="train again with this version",
            )
        self.folder = folder
        self.manifest = BundleManifest.model_validate(fields)
        if verify:
            self._verify()

    def _verify(self) -> None:
        found = _hash_files(self.folder)
        for name, expected in self.manifest.files.items():
            if found.get(name) != expected:
                raise InputError(
                    "a file of the bundle is missing or was changed",
                    where=str(self.folder / name),
                    remedy="copy the bundle again, or train again",
                )

    def weights(self) -> dict[str, npt.NDArray[Any]]:
        """The model's state, by parameter name."""
        return load_file(self.folder / BundleFile.WEIGHTS)

    def settings(self) -> dict[str, Any]:
        """The resolved settings of the run."""
        settings: dict[str, Any] = json.loads((self.folder / BundleFile.SETTINGS).read_text())
        return settings

    def products(self) -> pl.DataFrame:
        """The product table; row = product index."""
        return pl.read_parquet(self.folder / BundleFile.PRODUCTS)

    def product_vectors(self) -> dict[str, npt.NDArray[np.float32]]:
        """See `BundleContents.product_vectors`."""
        return load_file(self.folder / BundleFile.PRODUCT_VECTORS)

    def metrics(self) -> dict[str, Any]:
        """`{"validation": {...}, "test": {...}, "peers": {...}}`."""
        metrics: dict[str, Any] = json.loads((self.folder / BundleFile.METRICS).read_text())
        return metrics

    def tower(self, name: str) -> Path:
        """The path of an exported tower."""
        return self.folder / BundleFile.TOWERS / name


def hash_code() -> str:
    """A hash over the package's source files: the code's version, with or without git."""
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _hash_files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != BundleFile.MANIFEST
    }


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True, allow_nan=False))
