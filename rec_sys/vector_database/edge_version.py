"""One version of the index as a folder that Qdrant Edge reads and writes.

A folder is written once, by one process, and only read once it is served; its files are compared with their checksums
when it is opened, because Edge answers from half of them as if the rest had never been. Edge's write-ahead log is off:
with it a folder could be opened by a single process, and a folder that is not whole is never served anyway.
"""

import hashlib
import json
import logging
import shutil
import threading
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from qdrant_edge import (
    CountRequest,
    Distance,
    EdgeConfig,
    EdgeOptimizersConfig,
    EdgeShard,
    EdgeSparseVectorParams,
    EdgeVectorParams,
    HnswIndexConfig,
    PayloadSchemaType,
    QueryRequest,
    UpdateOperation,
)

from rec_sys.checksums import check_folder, hash_files, write_checksums
from rec_sys.contracts import IndexVector, InputError
from rec_sys.files import sha256_of
from rec_sys.panics import panics_as_errors
from rec_sys.settings import IndexCommon
from rec_sys.vector_database.best_sums import Scores, best_sums
from rec_sys.vector_database.catalogue import INDEXED_FIELDS, NO_GRAPH, NO_LINKS_BY_PAYLOAD, IndexPoint
from rec_sys.vector_database.contract import IndexVersion
from rec_sys.vector_database.edge_queries import diversity_query, edge_point, nearest, scores_of, stored
from rec_sys.vector_database.search_request import DiversityRequest, SearchRequest, StoredPoint

VERSION_FILE: Final = "version.json"  # written last and removed first: a folder with it is whole
# What Edge's files for no product take on a tmpfs, where it touches every page that it maps (115 MB measured for 30 and
# for 300 products, 118 for 3,000; less than 1 MB on ext4, but Edge itself wants 25 MB free). A page that is missing
# there ends the process by SIGBUS without a word, so the room is looked for before.
EMPTY_VERSION_BYTES: Final = 120_000_000
_SHARD: Final = "shard"
_REWRITTEN: Final = ("edge_config.json", "segment.json")  # when a version is opened, with their fields in any order
_KINDS: Final = {"keyword": PayloadSchemaType.Keyword, "float": PayloadSchemaType.Float}
_SMALLEST_INDEXED: Final = 1  # kB: everything published moves into one segment that is laid out for reading
# Edge holds the interpreter's lock while it searches, so that searches of one process take turns whatever it is given;
# with one thread they took half the time of several, and a fifth in the worst case (10,000 products).
_SEARCH_THREADS: Final = 1
_FULL_SCAN: Final = 10_000  # kB: where a filter leaves less than this, HNSW is not asked
_FEW: Final = 32  # points to leave out are dropped from what is found, where they are no more: Edge filters four times
_MOST_KEPT: Final = 1_024  # points of a version that is read: most answers are of the same; 30 kB each where known best
_LOG: Final = logging.getLogger(__name__)


class UnreadableVersionError(Exception):
    """A version's folder is gone or damaged."""


class EdgeVersion:
    """A version, held open; may be shared between threads."""

    def __init__(self, version: IndexVersion, shard: EdgeShard) -> None:
        self.version, self._shard = version, shard
        self._kept: dict[int, StoredPoint] | None = None  # read before; None where points may change
        self._keeping = threading.Lock()

    @classmethod
    def create(cls, folder: Path, version: IndexVersion, settings: IndexCommon) -> "EdgeVersion":
        """An empty version in a new folder."""
        (folder / _SHARD).mkdir()
        config = EdgeConfig(
            vectors={
                IndexVector.GRAPH: EdgeVectorParams(version.dim, Distance.Dot),
                IndexVector.TEXT: EdgeVectorParams(version.text_dim, Distance.Cosine),
            },
            sparse_vectors={name: EdgeSparseVectorParams() for name in (IndexVector.MEMORY, IndexVector.WORDS)},
            hnsw_config=HnswIndexConfig(
                m=NO_GRAPH if version.exact else settings.hnsw_links,
                ef_construct=settings.hnsw_build_width,
                full_scan_threshold=_FULL_SCAN,
                payload_m=NO_LINKS_BY_PAYLOAD,
            ),
            optimizers=EdgeOptimizersConfig(indexing_threshold=_SMALLEST_INDEXED, default_segment_number=1),
            wal_enabled=False,
            max_search_threads=_SEARCH_THREADS,
        )
        shard = EdgeShard.create(str(folder / _SHARD), config)
        for field, kind in INDEXED_FIELDS.items():
            shard.update(UpdateOperation.create_field_index(field, _KINDS[kind]))
        return cls(version, shard)

    @classmethod
    def open(cls, folder: Path) -> "EdgeVersion":
        """The version in a folder.

        Raises:
            UnreadableVersionError: The folder is gone or damaged.
        """
        try:
            check_folder(folder, "the version", "publish again", _digest)
            with panics_as_errors():  # what a truncated file makes of Edge
                opened = cls(read_version(folder), EdgeShard.load(str(folder / _SHARD)))
        except InputError as error:
            raise UnreadableVersionError(f"{error.what}: {error.where}") from error
        except Exception as error:  # Edge raises nothing more specific
            raise UnreadableVersionError(str(error)) from error
        opened._kept = {}
        return opened

    def write(self, points: Sequence[IndexPoint]) -> None:
        """Adds points or replaces them."""
        self._kept = None
        self._shard.update(UpdateOperation.upsert_points([edge_point(point) for point in points]))

    def delete(self, points: Sequence[UUID]) -> None:
        """Takes points away; those that are not there do no harm."""
        self._kept = None
        self._shard.update(UpdateOperation.delete_points(list(points)))

    def build(self) -> None:
        """Lays everything written out for reading."""
        self._shard.optimize()

    def close(self) -> None:
        """Writes everything to disk and lets go of it."""
        self._shard.flush()
        self._shard.close()

    def query(self, requests: Sequence[SearchRequest]) -> list[list[StoredPoint]]:
        """Runs searches; the memory comes back with requests that use it."""
        # One by one: Edge's batch takes as long, and nothing else in the process moves before all of it is done.
        return [self._search(request) for request in requests]

    def _search(self, request: SearchRequest) -> list[StoredPoint]:
        scores = self._scores(request)
        points = self._points(list(scores), request.vectors)
        # A point of a version that is written to may have been taken away since.
        return [points[key]._replace(score=score) for key, score in scores.items() if key in points]

    def _scores(self, request: SearchRequest) -> Scores:
        """The scores of the page's points, in their order."""
        end, dropped = request.offset + request.limit, request.excluded
        if len(dropped) > _FEW:
            dropped = frozenset()
        without = {point.int for point in dropped}
        wider = replace(request, excluded=request.excluded - dropped)
        if request.memory is not None and request.words is None:
            dense, memory = (_EdgeRanking(self._shard, wider, by) for by in (request.name, IndexVector.MEMORY))
            most = request.candidates + len(dropped)
            # A graph is followed for as long for few products as for many, and should not be followed twice.
            at_first = None if request.search_width is None else most
            found = best_sums(dense, memory, wanted=end, most=most, at_first=at_first, dropped=without)
        else:
            ranking = _EdgeRanking(self._shard, wider, request.name if request.words is None else IndexVector.WORDS)
            found = {key: score for key, score in ranking.best(end + len(dropped)).items() if key not in without}
        return dict(islice(found.items(), request.offset, end))

    def _points(self, wanted: Sequence[int], vectors: Sequence[str]) -> dict[int, StoredPoint]:
        """Points with these vectors, or more; with no other than their memory, from what was kept of those read."""
        kept = self._kept if set(vectors) <= {IndexVector.MEMORY} else None
        if kept is None:
            return self._read(wanted, vectors)
        points = {key: known for key in wanted if (known := kept.get(key)) is not None}
        if len(points) < len(wanted):
            read = self._read([key for key in wanted if key not in points], (IndexVector.MEMORY,))
            points |= read
            with self._keeping:
                kept |= read
                for oldest in list(kept)[: max(0, len(kept) - _MOST_KEPT)]:
                    del kept[oldest]
        return points

    def _read(self, keys: Sequence[int], vectors: Sequence[str]) -> dict[int, StoredPoint]:
        return {point.id.int: point for point in self.retrieve([UUID(int=key) for key in keys], vectors)}

    def diversify(self, request: DiversityRequest) -> list[UUID]:
        """Runs a request; the points in their new order."""
        return [UUID(str(point.id)) for point in self._shard.query(diversity_query(request))]

    def retrieve(self, points: Sequence[UUID], vectors: Sequence[str] = ()) -> list[StoredPoint]:
        """Reads points, with the dense vectors named; unknown ones are left out."""
        return [stored(record) for record in self._shard.retrieve(list(points), True, list(vectors) or False)]

    def count(self) -> int:
        """Points held."""
        return self._shard.count(CountRequest(exact=True))


class _EdgeRanking:
    """The products of a shard by one of a request's vectors, see `best_sums.Ranking`; keys are ids as numbers."""

    def __init__(self, shard: EdgeShard, request: SearchRequest, by: str) -> None:
        self._shard, self._request, self._by = shard, request, by

    def best(self, count: int) -> Scores:
        """The best products."""
        return self._run(nearest(self._request, self._by, count))

    def of(self, keys: Collection[int]) -> Scores:
        """The scores of these."""
        return self._run(scores_of(self._request, self._by, [UUID(int=key) for key in keys])) if keys else {}

    def _run(self, query: QueryRequest) -> Scores:
        found: list[Any] = self._shard.query(query)
        return {point.id.int: point.score for point in found}


def read_version(folder: Path) -> IndexVersion:
    """What a version's folder says that it is."""
    return IndexVersion.model_validate_json((folder / VERSION_FILE).read_text())


def write_version(folder: Path, version: IndexVersion) -> None:
    """Says that a folder is a whole version."""
    (folder / VERSION_FILE).write_text(version.model_dump_json(indent=2))


def note_files(folder: Path) -> None:
    """Notes the files of a version that is whole and closed."""
    write_checksums(folder, hash_files(folder, _digest))


def _digest(path: Path) -> str:
    if path.name not in _REWRITTEN:
        return sha256_of(path)
    return hashlib.sha256(json.dumps(json.loads(path.read_bytes()), sort_keys=True).encode()).hexdigest()


def copy_version(source: Path, target: Path) -> None:
    """Copies a version's points into an empty folder, to be written to there."""
    shutil.copytree(source / _SHARD, target / _SHARD)


def copied_bytes(folder: Path) -> int:
    """What a copy of a version takes at most, products to be written to it aside."""
    return EMPTY_VERSION_BYTES + sum(path.stat().st_size for path in (folder / _SHARD).rglob("*") if path.is_file())


def drop_version(folder: Path) -> None:
    """Removes a version, or what a killed process left of one; what may not be removed is named and stays."""
    try:
        (folder / VERSION_FILE).unlink(missing_ok=True)
        shutil.rmtree(folder)
    except PermissionError as error:
        _LOG.warning(f"a version may not be removed ({error.strerror}); change its owner or its permissions: {folder}")
