"""The bundle: the one folder that training hands on; long because all that lies in it is written and read here.

Serving reads it alone; it needs neither torch nor PyG. It holds the weights (safetensors, never pickle), the resolved
settings, the product table in index order, the product vectors, the exported towers, the metrics, the pictures, and a
manifest with the hashes of all that and of what it was made from.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from rec_sys.bundle_manifest import (
    FORMAT_VERSION,
    REBUILD,
    BundleManifest,
    RankerCard,
    StorePosition,
    bundle_identity,
    read_manifest,
    upgrade,
)
from rec_sys.checksums import check_files, hash_files, read_checksums, write_checksums
from rec_sys.contracts import BundleFile, InputError, ProductVector
from rec_sys.files import atomic_folder, forbidden, sha256_of
from rec_sys.predicted_rating import RatingFormula
from rec_sys.scoring import ScoreFormula
from rec_sys.settings import TextSettings

_LOG = logging.getLogger(__name__)


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
        placing: Named as in `contracts.PlacingTensor`; None likewise.
        metrics: `{"validation": {...}, "test": {...}, "baselines": {...}}`.
        ranker: What the second stage is; None where there is none.
        ranker_trees: Its trees' arrays, likewise.
        user_facts: What it reads of users beside their reviews, see `contracts.UserColumn`; None where that is nothing.
        rating: How stars are predicted; None where nobody gave any.
        store_position: What the data holds of a store's log; None where there was none.
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
    ranker: RankerCard | None = None
    rating: RatingFormula | None = None
    ranker_trees: dict[str, npt.NDArray[Any]] | None = None
    user_facts: pl.DataFrame | None = None
    placing: dict[str, npt.NDArray[Any]] | None = None
    store_position: StorePosition | None = None
    towers: dict[str, bytes] = field(default_factory=dict)
    pictures: tuple[Path, ...] = ()
    card: str = ""


def write_bundle(folder: Path, contents: BundleContents) -> BundleManifest:
    """Writes a bundle; the folder appears whole or not at all."""
    with atomic_folder(folder) as building:
        always = {BundleFile.WEIGHTS: contents.weights, BundleFile.PRODUCT_VECTORS: contents.product_vectors}
        ranking = {BundleFile.MEMORY: contents.memory, BundleFile.RANKER: contents.ranker_trees}
        for file, tensors in (always | ranking | {BundleFile.PLACING: contents.placing}).items():
            if tensors is not None:
                _save_tensors(tensors, building / file)
        tables = {BundleFile.PRODUCTS: contents.products, BundleFile.HISTORIES: contents.histories}
        for file, table in (tables | {BundleFile.USER_FACTS: contents.user_facts}).items():
            if table is not None:
                table.write_parquet(building / file)
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
            files=(hashes := hash_files(building)),
            **{name: value for name, value in vars(contents).items() if name in BundleManifest.model_fields},
        )
        (building / BundleFile.MANIFEST).write_text(manifest.model_dump_json(indent=2))
        write_checksums(building, hashes | {BundleFile.MANIFEST: sha256_of(building / BundleFile.MANIFEST)})
    return manifest


class Bundle:
    """Reads a bundle whose every file is what it was when it was written: all are compared once, at opening.

    Attributes:
        identity: Names the bundle by its content: what was made from it carries this, so that parts can be matched.

    Raises:
        InputError: The folder is no bundle, of another format, or damaged; the file is named.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = read_manifest(folder)
        self.identity = bundle_identity(folder)
        check_files(folder, read_checksums(folder, REBUILD) or self.manifest.files, "the bundle", REBUILD)

    @contextmanager
    def reading(self, file: str) -> Iterator[None]:
        """For a `with` block that reads a file, or what was read of it: one error, whatever is wrong with it.

        Raises:
            InputError: It cannot be read, or does not hold what it should.
        """
        try:
            yield
        except InputError:
            raise
        except (OSError, ValueError, TypeError, LookupError, SafetensorError, pl.exceptions.PolarsError) as error:
            raise self.damaged(file, f"{file} cannot be read ({type(error).__name__}: {error})") from error

    def damaged(self, file: str, what: str) -> InputError:
        """The error that names a file."""
        return InputError(f"the bundle is damaged: {what}", where=str(self.folder / file), remedy=REBUILD)

    def _read_json(self, file: str) -> dict[str, Any]:
        with self.reading(file):
            content: dict[str, Any] = json.loads((self.folder / file).read_text(encoding="utf-8"))
            return content if self.manifest.format_version == FORMAT_VERSION else upgrade(file, content)

    def _read_tensors(self, file: str) -> dict[str, npt.NDArray[Any]]:
        with self.reading(file):
            return load_file(self.folder / file)

    def _read_table(self, file: str) -> pl.DataFrame:
        with self.reading(file):
            return pl.read_parquet(self.folder / file)

    def weights(self) -> dict[str, npt.NDArray[Any]]:
        """The model's state, by parameter name."""
        return self._read_tensors(BundleFile.WEIGHTS)

    def settings(self) -> dict[str, Any]:
        """The resolved settings of the run."""
        return self._read_json(BundleFile.SETTINGS)

    def text_settings(self) -> TextSettings:
        """How the bundle's texts were encoded."""
        with self.reading(BundleFile.SETTINGS):
            return TextSettings.model_validate(self.settings()["text"])

    def products(self) -> pl.DataFrame:
        """The product table; row = product index."""
        return self._read_table(BundleFile.PRODUCTS)

    def product_vectors(self) -> dict[str, npt.NDArray[np.float32]]:
        """Named as in `contracts.ProductVector`."""
        return self._read_tensors(BundleFile.PRODUCT_VECTORS)

    def memory(self) -> dict[str, npt.NDArray[Any]] | None:
        """Named as in `contracts.MemoryTensor`; None where the model has none."""
        return self._read_tensors(BundleFile.MEMORY) if (self.folder / BundleFile.MEMORY).is_file() else None

    def ranker_trees(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays of `ranker.trees.Trees`, of a bundle whose manifest names a ranker."""
        return self._read_tensors(BundleFile.RANKER)

    def user_facts(self) -> pl.DataFrame | None:
        """See `contracts.UserColumn`; None where the ranker reads nothing of users beside their reviews."""
        return self._read_table(BundleFile.USER_FACTS) if (self.folder / BundleFile.USER_FACTS).is_file() else None

    def placing(self) -> dict[str, npt.NDArray[Any]] | None:
        """Named as in `contracts.PlacingTensor`; None where the model has no memory, or is of an earlier version."""
        return self._read_tensors(BundleFile.PLACING) if (self.folder / BundleFile.PLACING).is_file() else None

    def histories(self) -> pl.DataFrame:
        """The known users' reviews, see `contracts.HistoryColumn`."""
        return self._read_table(BundleFile.HISTORIES)

    def history_text(self) -> npt.NDArray[np.float16]:
        """float16 `[num_texts, text_dim]`, memory-mapped."""
        with self.reading(BundleFile.HISTORY_TEXT):
            vectors: npt.NDArray[np.float16] = np.load(
                self.folder / BundleFile.HISTORY_TEXT, mmap_mode="r", allow_pickle=False
            )
            return vectors

    def metrics(self) -> dict[str, Any]:
        """`{"validation": {...}, "test": {...}, "baselines": {...}}`."""
        return self._read_json(BundleFile.METRICS)

    def tower(self, name: str) -> Path:
        """The path of an exported tower."""
        return self.folder / BundleFile.TOWERS / name


def find_bundle(folder: Path | None, output_dir: Path) -> Bundle:
    """The bundle that a command is given, or the newest that training has left.

    Raises:
        InputError: There is none, or it is damaged.
    """
    return Bundle(folder if folder is not None else newest_bundle(output_dir)[0])


def newest_bundle(output_dir: Path) -> tuple[Path, BundleManifest]:
    """The newest bundle that training has left, unopened; those whose manifest is damaged are left out.

    Raises:
        InputError: There is none, none that can be read, or they are another user's.
    """
    found: list[tuple[Path, BundleManifest]] = []
    errors = []
    for folder in bundle_folders(output_dir):
        try:
            found.append((folder, read_manifest(folder)))
        except InputError as error:  # it hides no other one
            errors.append(error)
            _LOG.warning(f"a bundle is left out: {error.what}: {error.where}")
    if found:
        return max(found, key=lambda one: (one[1].created, one[0].name))
    if errors:
        raise errors[0]
    home = (output_dir / "bundles").absolute()
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            os.listdir(home)
    except PermissionError as error:  # a glob finds nothing there
        raise forbidden(error) from error
    raise InputError(
        "there is no bundle yet",
        where=str(home),
        remedy="run rec_sys.train.train first, or give a bundle's path with bundle=...",
    )


def bundle_folders(output_dir: Path) -> list[Path]:
    """Where training has left bundles, be they damaged; by name. One that is still written, or was, is none."""
    return sorted(path.parent for path in (output_dir / "bundles").glob(f"[!.]*/{BundleFile.MANIFEST}"))


def find_by_identity(output_dir: Path, identity: str) -> Path | None:
    """The folder of a bundle that training has left, unopened; None where it is not there."""
    newest_first = reversed(bundle_folders(output_dir))
    return next((folder for folder in newest_first if bundle_identity(folder) == identity), None)


def hash_code() -> str:
    """A hash over the package's source files: the code's version, with or without git."""
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _save_tensors(tensors: dict[str, npt.NDArray[Any]], path: Path) -> None:
    # ascontiguousarray would make a vector of a single number.
    # Not its own way to a file, which nobody but the user who trained could read.
    path.write_bytes(save({name: np.asarray(value, order="C") for name, value in tensors.items()}))


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True, allow_nan=False))
