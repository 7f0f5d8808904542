"""A bundle as answers need it: looked up by user and product, without anything of the training side."""

import threading
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from cachetools import LRUCache
from pydantic import ValidationError

from rec_sys.bundle import Bundle, bundle_folders, find_bundle, find_by_identity
from rec_sys.bundle_manifest import BundleManifest
from rec_sys.contracts import (
    BundleFile,
    InputError,
    ModelWeight,
    PayloadField,
    ProductColumn,
    ProductVector,
    TowerFile,
)
from rec_sys.inference.known_users import KnownUsers
from rec_sys.inference.listing import Listing
from rec_sys.inference.predicted_stars import ServedStars
from rec_sys.inference.served_ranker import ServedRanker
from rec_sys.raw_files.rating_scales import STARS
from rec_sys.settings import TableData, TextSettings
from rec_sys.vector_database.catalogue import Catalogue, FloatArray, IntArray, read_catalogue
from rec_sys.vector_database.contract import ProductDetails, ProductFilter
from rec_sys.vector_database.exact import ExactRanking

_KEPT: Final = 2  # bundles: the one served and the one that a rollback goes to
# Seconds: else every question about a bundle that cannot be opened would read all of it again.
_TRIED_AGAIN_AFTER: Final = 1.0


class ServedBundle:
    """What serving reads of a bundle, all of it read at once: a damaged part is found here, not by a question.

    Attributes:
        bundle: Where it is read from.
        asins: By product index.
        index_of: Product indices by asin.
        inputs: float32 `[num_products + 1, dim]`, what the user tower reads of each product; the last row stands for
            products that training has not seen.
        reads_unknown: Whether that row is known.
        users: The users that it knows.
        history_text: float16 `[num_texts, text_dim]`, memory-mapped.
        text_settings: How its texts were encoded.
        stars: Predicts stars; None where nobody gave any.
        ranker: Its second stage; None where the index's order is the answer.
        target_events: The kinds of events that the model predicts; empty where all are.
        table_settings: How the table was read that it was trained on; None where it was none, or another version read
            it.
        removed: Products that are not there any more, whatever was published.
        out_of_stock: Products that cannot be had now.
        written: What is said of products since, by asin; never changed in place.

    Raises:
        InputError: Its parts are damaged or do not fit each other.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.identity = bundle.identity
        self.manifest: BundleManifest = bundle.manifest
        self.catalogue: Catalogue = read_catalogue(bundle)
        self.asins: list[str] = self.catalogue.asins
        self.index_of = {asin: row for row, asin in enumerate(self.asins)}
        with bundle.reading(BundleFile.PRODUCT_VECTORS):
            inputs = (vectors := bundle.product_vectors())[ProductVector.INPUT]
        rating = bundle.manifest.rating
        self.stars = None if rating is None else ServedStars(bundle, rating, self.catalogue, vectors)
        if len(inputs) != len(self.catalogue) or inputs.ndim != 2 or not np.isfinite(inputs).all():
            raise bundle.damaged(BundleFile.PRODUCT_VECTORS, f"inputs of {len(self.catalogue)} products are expected")
        unknown = bundle.weights().get(ModelWeight.UNKNOWN_PRODUCT_INPUT)
        self.reads_unknown = unknown is not None and unknown.shape == inputs.shape[1:]
        last = unknown if self.reads_unknown else np.zeros(inputs.shape[1:], dtype=np.float32)
        self.inputs: FloatArray = np.concatenate([inputs, np.asarray(last, dtype=np.float32)[None]])
        self.history_text: npt.NDArray[np.float16] = bundle.history_text()
        self.users = self._read_users()
        self.ranker: ServedRanker | None = None
        if (card := bundle.manifest.ranker) is not None:
            self.ranker = ServedRanker(bundle, card, bundle.products(), self.catalogue.text, self.users)
        settings = bundle.settings()
        self.text_settings: TextSettings = bundle.text_settings()
        with bundle.reading(BundleFile.SETTINGS):
            self.target_events: tuple[str, ...] = tuple(settings.get("evaluation", {}).get("target_events", ()))
        self.removed: Collection[str] = ()
        self.out_of_stock: Collection[str] = ()
        self.written: Mapping[str, ProductDetails] = {}
        self._listing: tuple[Mapping[str, ProductDetails], Listing] | None = None
        self.table_settings: TableData | None = None
        with suppress(ValidationError):
            self.table_settings = TableData.model_validate(settings.get("data"))

    def _read_users(self) -> KnownUsers:
        bundle, texts = self.bundle, self.history_text
        if texts.ndim != 2 or (len(texts) and texts.shape[1] != self.manifest.text_dim):
            raise bundle.damaged(BundleFile.HISTORY_TEXT, f"vectors of {self.manifest.text_dim} numbers are expected")
        with bundle.reading(BundleFile.HISTORIES):
            users = KnownUsers(bundle.histories())
        with bundle.reading(BundleFile.USER_FACTS):
            users.add_facts(bundle.user_facts())
        sound = ((users.product >= 0) & (users.product < len(self.catalogue))).all()
        if not (sound and ((users.text_row >= -1) & (users.text_row < len(texts))).all()):
            raise bundle.damaged(BundleFile.HISTORIES, "a review of a product or a text that the bundle does not have")
        return users

    @property
    def unknown_product(self) -> int:
        """The row of `inputs` for products that training has not seen."""
        return len(self.catalogue)

    @cached_property
    def exact(self) -> ExactRanking:
        """The model's scores of all products."""
        return ExactRanking(self.catalogue)

    @cached_property
    def popularity(self) -> FloatArray:
        """What the reviews of each product weigh, their number where there are no events; float32 `[num_products]`."""
        if (self.users.weight == 1).all():
            return self.catalogue.details[PayloadField.REVIEW_COUNT].to_numpy().astype(np.float32)
        return np.bincount(self.users.product, self.users.weight, minlength=len(self.catalogue)).astype(np.float32)

    @property
    def listing(self) -> Listing:
        """All products as they are now; those that are removed among them, see `available`."""
        if self._listing is None or self._listing[0] is not self.written:
            self._listing = self.written, Listing.of(self.catalogue.details, self.popularity, self.written)
        return self._listing[1]

    def available(self, wanted: ProductFilter) -> ProductFilter:
        """A filter without what is removed, and without what cannot be had unless it asks for it."""
        gone = {*self.removed, *(() if wanted.out_of_stock else self.out_of_stock)}
        return replace(wanted, not_seen={*wanted.not_seen, *gone}) if gone else wanted

    @property
    def rating_scale(self) -> tuple[float, float]:
        """The lowest and the highest rating of the data, which ratings in requests are on."""
        return STARS if self.table_settings is None else self.table_settings.rating_scale

    @cached_property
    def brands(self) -> tuple[str, ...]:
        """All brands, in the order of the alphabet."""
        return tuple(self.catalogue.details[PayloadField.BRAND].drop_nulls().unique().sort())

    @cached_property
    def categories(self) -> tuple[str, ...]:
        """All categories, likewise."""
        return tuple(self.catalogue.details[PayloadField.CATEGORIES].explode().drop_nulls().unique().sort())

    @cached_property
    def by_popularity(self) -> IntArray:
        """Product indices, the most popular first; int64 `[num_products]`."""
        return np.argsort(-self.popularity, kind="stable").astype(np.int64)

    @cached_property
    def _titles(self) -> list[str | None]:
        return self.catalogue.details[ProductColumn.TITLE].to_list()

    def title_of(self, asin: str) -> str | None:
        """A product's title as it is now; null where it has none or is unknown."""
        if (said := self.written.get(asin)) is not None:
            return said.title
        row = self.index_of.get(asin)
        return None if row is None else self._titles[row]

    def damaged_tower(self, what: str) -> InputError:
        """The error that names the user tower."""
        return self.bundle.damaged(f"{BundleFile.TOWERS}/{TowerFile.USER}", what)

    def user_tower(self) -> Path:
        """The exported user tower.

        Raises:
            InputError: The bundle has none.
        """
        if not (path := self.bundle.tower(TowerFile.USER)).is_file():
            raise InputError(
                "the bundle has no exported user tower",
                where=str(path),
                remedy="train again, or serve it through Triton from the bundle's weights (export.towers=weights)",
            )
        return path


class BundleCache:
    """Finds the bundle that an index was made from and keeps the latest ones open.

    Args:
        output_dir: Where training wrote its bundles.
        only: The one bundle to serve; None for whichever the index was made from.
    """

    def __init__(self, output_dir: Path, only: Path | None) -> None:
        self._output_dir, self._only = output_dir, only
        self._open: LRUCache[str, ServedBundle] = LRUCache(_KEPT)
        self._latest: ServedBundle | None = None
        self._failed: dict[str, tuple[float, InputError]] = {}
        self._lock, self._opening = threading.Lock(), threading.Lock()

    def opened(self, identity: str) -> ServedBundle | None:
        """A bundle that is open already; safe and quick in an event loop."""
        with self._lock:
            return self._open.get(identity)

    def open(self, identity: str) -> ServedBundle:
        """The bundle of an identity; takes a second where it is not open yet.

        Raises:
            InputError: There is no such bundle here, or it is damaged.
        """
        with self._opening:
            if (found := self.opened(identity)) is not None:
                return found
            if identity in self._failed and time.monotonic() < self._failed[identity][0]:
                raise self._failed[identity][1]
            try:
                return self._keep(ServedBundle(self._find(identity)))
            except InputError as error:
                self._failed[identity] = time.monotonic() + _TRIED_AGAIN_AFTER, error
                raise

    def has_any(self) -> bool:
        """Whether there is a bundle, be it damaged."""
        return self._only is not None or bool(bundle_folders(self._output_dir))

    def any(self) -> ServedBundle:
        """The bundle opened last; before the first, the one to serve or the newest there is.

        Raises:
            InputError: There is none, or it is damaged.
        """
        with self._opening:
            return self._latest or self._keep(ServedBundle(find_bundle(self._only, self._output_dir)))

    def _keep(self, served: ServedBundle) -> ServedBundle:
        with self._lock:  # held for a moment alone: the event loop waits for it
            self._open[served.identity] = self._latest = served
        return served

    def _find(self, identity: str) -> Bundle:
        if self._only is not None:
            bundle = Bundle(self._only)
            if bundle.identity == identity:
                return bundle
            raise InputError(
                f"the index was made from bundle {identity}, and bundle {bundle.identity} is to be served",
                where=str(self._only),
                remedy="publish this bundle with rec_sys.vector_database.create_vectorbase, or leave bundle= out",
            )
        if (folder := find_by_identity(self._output_dir, identity)) is not None:
            return Bundle(folder)
        raise InputError(
            f"the index was made from bundle {identity}, which is not here",
            where=str((self._output_dir / "bundles").absolute()),
            remedy="copy it there, publish a bundle that is there, or set output_dir",
        )
