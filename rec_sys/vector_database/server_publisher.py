"""Writes versions of the index to a Qdrant server.

A version is a collection named after the bundle, so an upload that broke off is found again and only what is missing
is sent. Two processes may write at once: the same bundle they write together; of different ones the last to finish
is served, and the other one's collection may be dropped under it, which it says.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import zip_longest
from typing import Final, ParamSpec, TypeVar

import numpy as np
from qdrant_client import QdrantClient, models
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential, wait_random

from rec_sys.contracts import IndexVector, InputError, PayloadField
from rec_sys.progress import WorkProgress
from rec_sys.settings import ServerIndex
from rec_sys.vector_database.catalogue import (
    INDEXED_FIELDS,
    NO_GRAPH,
    NO_LINKS_BY_PAYLOAD,
    Catalogue,
    IntArray,
    point_id,
)
from rec_sys.vector_database.contract import IndexUnavailableError, IndexVersion
from rec_sys.vector_database.publication import Check, IndexPublisher
from rec_sys.vector_database.search_request import VersionGoneError
from rec_sys.vector_database.server_version import (
    ServerNames,
    ServerVersion,
    describe_collection,
    explained,
    read_aliases,
)

_LOG: Final = logging.getLogger(__name__)

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_KINDS: Final = {"keyword": models.PayloadSchemaType.KEYWORD, "float": models.PayloadSchemaType.FLOAT}
_PAGE: Final = 10_000  # ids read at once
_FIRST_WAIT: Final = 0.5  # seconds; doubled with every further try
_LONGEST_WAIT: Final = 30.0
_SECONDS_BETWEEN_POLLS: Final = 0.5


class ServerPublisher(IndexPublisher):
    """Writes collections and turns the aliases."""

    def __init__(self, settings: ServerIndex, client: QdrantClient) -> None:
        super().__init__(settings)
        self._settings, self._client = settings, client
        self._names = ServerNames(settings)

    @property
    def place(self) -> str:
        """Where the index is, for messages."""
        return f"{self._settings.url} {self._names.served}"

    def _exclusive(self) -> AbstractContextManager[None]:
        return nullcontext()

    def _served(self) -> str | None:
        collection = self._try(read_aliases, self._client, self._settings).get(self._names.served)
        return None if collection is None else self._names.version(collection)

    def _kept(self, served: str) -> list[str]:
        aliases = self._try(read_aliases, self._client, self._settings)
        return [self._names.version(aliases[alias]) for alias in self._names.kept if alias in aliases]

    def _describe(self, name: str) -> IndexVersion:
        return self._try(describe_collection, self._client, self._settings, self._names.collection(name))

    def _build(self, catalogue: Catalogue, version: IndexVersion, check: Check) -> None:
        writer = ServerVersion(version, self._client, self._settings)
        try:
            self._prepare(version)
            rows = self._missing(catalogue, version)
            with WorkProgress("index: writing", "products", len(rows), shown=self._settings.progress) as progress:
                for batch in catalogue.batches(rows, self._settings.batch_bytes):
                    self._try(writer.write, catalogue.points(batch))
                    progress.advance(len(batch))
            self._wait_until_indexed(version)
            check(writer)
        except VersionGoneError as error:
            raise InputError(
                f"the new version {version.name} was dropped while it was written: another process has published",
                where=self.place,
                remedy="let one process at a time publish, then publish again",
            ) from error

    def _prepare(self, version: IndexVersion) -> None:
        """Makes sure of an unserved collection of this version."""
        collection, known = self._names.collection(version.name), version.model_dump()
        names = self._collections()
        if self._names.served in names:
            raise InputError(
                f"there is a collection named {self._names.served}, so that no alias can have the name",
                where=str(self._settings.url),
                remedy="choose another name with index.collection=..., or remove that collection",
            )
        if collection in names and self._try(self._client.get_collection, collection).config.metadata != known:
            self._try(self._client.delete_collection, collection)
            names.discard(collection)
        if collection not in names:
            self._try(self._create, collection, version)
        for field, kind in INDEXED_FIELDS.items():
            self._try(self._client.create_payload_index, collection, field, _KINDS[kind], wait=True)

    def _collections(self) -> set[str]:
        return {found.name for found in self._try(self._client.get_collections).collections}

    def _create(self, collection: str, version: IndexVersion) -> None:
        graph = models.HnswConfigDiff(
            m=NO_GRAPH if version.exact else self._settings.hnsw_links,
            payload_m=NO_LINKS_BY_PAYLOAD,
            ef_construct=self._settings.hnsw_build_width,
        )
        self._client.create_collection(
            collection,
            vectors_config={
                IndexVector.GRAPH: models.VectorParams(size=version.dim, distance=models.Distance.DOT),
                IndexVector.TEXT: models.VectorParams(size=version.text_dim, distance=models.Distance.COSINE),
            },
            sparse_vectors_config={
                name: models.SparseVectorParams() for name in (IndexVector.MEMORY, IndexVector.WORDS)
            },
            hnsw_config=graph,
            shard_number=self._settings.shards,
            replication_factor=self._settings.replicas,
            write_consistency_factor=self._settings.write_consistency,
            metadata=version.model_dump(),
        )

    def _missing(self, catalogue: Catalogue, version: IndexVersion) -> IntArray:
        """The products that an upload which broke off did not send; what does not belong there is removed."""
        collection = self._names.collection(version.name)
        upserted = models.FieldCondition(key=PayloadField.UPSERTED, match=models.MatchValue(value=True))
        unwanted = models.FilterSelector(filter=models.Filter(must=[upserted]))
        self._try(self._client.delete, collection, unwanted, wait=True)
        present: set[str] = set()
        page, offset = self._try(self._client.scroll, collection, limit=_PAGE, with_payload=False)
        while page:
            present.update(str(record.id) for record in page)
            if offset is None:
                break
            page, offset = self._try(self._client.scroll, collection, limit=_PAGE, offset=offset, with_payload=False)
        missing = [row for row, asin in enumerate(catalogue.asins) if str(point_id(asin)) not in present]
        if present:
            _LOG.info(f"goes on: {len(catalogue) - len(missing):,} of {len(catalogue):,} products are there already")
        return np.array(missing, dtype=np.int64)

    def _wait_until_indexed(self, version: IndexVersion) -> None:
        deadline = time.monotonic() + self._settings.build_timeout
        collection = self._names.collection(version.name)
        while self._try(self._client.get_collection, collection).status != models.CollectionStatus.GREEN:
            if time.monotonic() > deadline:
                raise IndexUnavailableError(
                    f"the server has not indexed the new version in {self._settings.build_timeout:,.0f} s",
                    where=self.place,
                    remedy="publish again to go on, with a longer index.build_timeout",
                )
            time.sleep(_SECONDS_BETWEEN_POLLS)

    def _switch(self, name: str, kept: Sequence[str]) -> None:
        aliases = self._try(read_aliases, self._client, self._settings)
        changes: list[models.AliasOperations] = []
        names = (self._names.served, *self._names.kept)
        for alias, version in zip_longest(names, (name, *kept[: len(names) - 1])):
            if alias in aliases:
                changes.append(models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias)))
            if version is not None:
                target = models.CreateAlias(collection_name=self._names.collection(version), alias_name=alias)
                changes.append(models.CreateAliasOperation(create_alias=target))
        self._try(self._client.update_collection_aliases, changes)

    def _drop_all_but(self, kept: set[str]) -> list[str]:
        ours = {self._names.version(name) for name in self._collections() if name.startswith(self._names.prefix)}
        dropped = sorted(ours - kept)
        for name in dropped:
            self._try(self._client.delete_collection, self._names.collection(name))
        return dropped

    def _try(self, request: Callable[Arguments, Result], *given: Arguments.args, **named: Arguments.kwargs) -> Result:
        """Sends a request again while the server is away or overloaded, waiting longer each time."""

        def tell(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            wait = state.next_action.sleep if state.next_action else 0.0
            _LOG.info(f"{getattr(error, 'what', error)}; tries again in {wait:.1f} s")

        def attempt() -> Result:
            with explained(self._settings):
                return request(*given, **named)

        return Retrying(
            stop=stop_after_attempt(self._settings.upload_attempts),
            wait=wait_exponential(multiplier=_FIRST_WAIT, max=_LONGEST_WAIT) + wait_random(0, _FIRST_WAIT),
            retry=retry_if_exception(lambda error: isinstance(error, IndexUnavailableError)),
            before_sleep=tell,
            reraise=True,
        )(attempt)
