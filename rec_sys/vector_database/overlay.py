"""Products that came or changed after a version was published, as a second layer over it in this process.

A version that is served is only read. What a shop says of its products meanwhile lies in a small version of Qdrant
Edge's own beside it, for one bundle; both are asked, what the upper layer holds hides the same product below, and the
scores, which are the model's own in both, are merged.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Final
from uuid import UUID

import numpy as np

from rec_sys.files import require_space
from rec_sys.settings import IndexCommon
from rec_sys.vector_database.catalogue import IndexPoint, point_id
from rec_sys.vector_database.contract import IndexVersion, Layer, ProductDetails
from rec_sys.vector_database.edge_version import EMPTY_VERSION_BYTES, EdgeVersion
from rec_sys.vector_database.search_request import (
    DiversityRequest,
    SearchRequest,
    StoredPoint,
    VersionReader,
    details_of,
)
from rec_sys.vector_database.searching import order_diversely

_SETTINGS: Final = IndexCommon()


def layered(below: VersionReader, above: Layer | None) -> VersionReader:
    """Both layers as one version; the lower one alone where the upper one's vectors are another bundle's."""
    if isinstance(above, ProductOverlay) and below.version.bundle == above.bundle:
        return _Layers(below, above)
    return below


class ProductOverlay(Layer):
    """The upper layer; may be written by one thread while others ask.

    Attributes:
        details: What is known of its products, by asin; never changed in place.

    Raises:
        InputError: The folder for temporary files has no room for it.
    """

    def __init__(self, version: IndexVersion) -> None:
        self.bundle = version.bundle
        # Only this process reads it, and makes it anew from the log.
        require_space(Path(gettempdir()), EMPTY_VERSION_BYTES, "TMPDIR")
        self._folder = TemporaryDirectory(prefix="products-", ignore_cleanup_errors=True)
        self._layer = EdgeVersion.create(
            Path(self._folder.name), version.model_copy(update={"name": "overlay", "exact": True}), _SETTINGS
        )
        self.details: Mapping[str, ProductDetails] = {}
        self._held: frozenset[UUID] = frozenset()
        self._removed: frozenset[UUID] = frozenset()
        self._out_of_stock: frozenset[UUID] = frozenset()

    def write(self, points: Sequence[IndexPoint]) -> None:
        """Adds products, or replaces them here and below."""
        if points:
            self._layer.write(points)
            self._held |= {point.id for point in points}
            said = [details_of(point.payload) for point in points]
            self.details = {**self.details, **{product.asin: product for product in said}}
            self._removed -= self._held

    def remove(self, asins: Collection[str]) -> None:
        """Takes products away, here and below."""
        gone = {point_id(asin) for asin in asins}
        if not self.details.keys().isdisjoint(asins):
            self.details = {asin: said for asin, said in self.details.items() if asin not in asins}
        if here := gone & self._held:
            self._layer.delete(list(here))
        self._held -= gone
        self._removed |= gone

    def set_out_of_stock(self, asins: Collection[str]) -> None:
        """These, and no others, cannot be had."""
        self._out_of_stock = frozenset(map(point_id, asins))

    def close(self) -> None:
        """Lets go of the layer, and of its folder."""
        self._layer.close()
        self._folder.cleanup()

    def holds(self, point: UUID) -> bool:
        """Whether it is in this layer."""
        return point in self._held

    def query(self, requests: Sequence[SearchRequest]) -> list[list[StoredPoint]]:
        """This layer alone, of each ranking all up to the page's end."""
        if not self._held:
            return [[] for _ in requests]
        return self._layer.query(
            [
                replace(request, excluded=request.excluded | self._unwanted(request), offset=0, limit=_end(request))
                for request in requests
            ]
        )

    def hidden_below(self, request: SearchRequest) -> frozenset[UUID]:
        """What the lower layer must not answer."""
        return request.excluded | self._held | self._removed | self._unwanted(request)

    def retrieve(self, points: Sequence[UUID], vectors: Sequence[str]) -> list[StoredPoint]:
        """Those of the points that are in this layer."""
        return self._layer.retrieve([point for point in points if point in self._held], vectors)

    def is_removed(self, point: UUID) -> bool:
        """Whether neither layer may answer it."""
        return point in self._removed

    def _unwanted(self, request: SearchRequest) -> frozenset[UUID]:
        return frozenset() if request.filter.out_of_stock else self._out_of_stock


class _Layers:
    """A version below an overlay, see `VersionReader`."""

    def __init__(self, below: VersionReader, above: ProductOverlay) -> None:
        self._below, self._above = below, above
        self.version = below.version

    def query(self, requests: Sequence[SearchRequest]) -> list[list[StoredPoint]]:
        above = self._above.query(requests)
        lower = [
            # Of n products above no more than n stand before a page that begins at `offset`.
            replace(
                request,
                excluded=self._above.hidden_below(request),
                offset=max(0, request.offset - len(points)),
                limit=_end(request) - max(0, request.offset - len(points)),
            )
            for request, points in zip(requests, above, strict=True)
        ]
        found = []
        for request, asked, upper, below in zip(requests, lower, above, self._below.query(lower), strict=True):
            if upper:  # one that has just been written above may not be hidden below yet
                held = {point.id for point in upper}
                below = [point for point in below if point.id not in held]
            merged = sorted([*below, *upper], key=lambda point: -point.score) if upper else below
            first = request.offset - asked.offset
            found.append(merged[first : first + request.limit])
        return found

    def diversify(self, request: DiversityRequest) -> list[UUID]:
        if not any(map(self._above.holds, request.points)):
            return self._below.diversify(request)
        points = self.retrieve(list(request.points), (request.name,))
        vectors = np.array([point.vectors[request.name] for point in points], dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        relevance = vectors @ np.asarray(request.vector, dtype=np.float32)
        return [points[row].id for row in order_diversely(relevance, vectors, request.strength, request.limit)]

    def retrieve(self, points: Sequence[UUID], vectors: Sequence[str] = ()) -> list[StoredPoint]:
        above = self._above.retrieve(points, vectors)
        found = {point.id for point in above}
        left = [point for point in points if point not in found and not self._above.is_removed(point)]
        return above + (self._below.retrieve(left, vectors) if left else [])

    def count(self) -> int:
        return self._below.count()


def _end(request: SearchRequest) -> int:
    return request.offset + request.limit
