"""The backends that an answer needs, as the settings choose them, and the fallbacks for those that are away."""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from rec_sys.contracts import InputError, ServedModel
from rec_sys.inference.contract import Component, ServingUnavailable, UnknownUserError
from rec_sys.inference.rankers import RankerInTriton
from rec_sys.inference.served_bundle import BundleCache, ServedBundle
from rec_sys.inference.served_ranker import ServedRanker
from rec_sys.inference.text_vectors import EncoderInProcess, EncoderInTriton, TextsTogether, TextVectors
from rec_sys.inference.triton_models import TritonModels
from rec_sys.inference.user_towers import TowerAnswer, TowerInProcess, TowerInTriton
from rec_sys.settings import IndexSettings, InferenceSettings
from rec_sys.text.encoder import TextEncoder
from rec_sys.text.opening import open_encoder
from rec_sys.vector_database.catalogue import FloatArray
from rec_sys.vector_database.contract import (
    EmptyIndexError,
    IndexUnavailableError,
    IndexVersion,
    ProductAnswer,
    ProductQuery,
    UnknownProductError,
)
from rec_sys.vector_database.opening import open_index
from triton_utils.connection import TritonError

_LOG: Final = logging.getLogger(__name__)
_PUBLISH: Final = "rec_sys.vector_database.create_vectorbase"
_LOOKED_EVERY: Final = 0.5  # seconds, whether Triton has the towers of a bundle that is published


class OtherBundleError(Exception):
    """The index answers from another bundle than the one that the question was prepared with."""


class Backends:
    """The bundle, the encoder, the tower and the index; made as a `Recommender` is."""

    def __init__(
        self, index: IndexSettings, inference: InferenceSettings, output_dir: Path, bundle: Path | None
    ) -> None:
        self.settings = inference
        self.index_settings = index
        self.index = open_index(index)
        self.bundles = BundleCache(output_dir, bundle)
        self.triton = TritonModels(inference) if inference.runtime == "triton" else None
        self.text_vectors = TextVectors(inference.cached_texts)
        self._in_process = TowerInProcess(inference.num_threads)
        self._in_triton = None if self.triton is None else TowerInTriton(self.triton)
        self._ranker_in_triton = None if self.triton is None else RankerInTriton(self.triton)
        self._text_dir = output_dir / "text"
        self._encoders: dict[str, TextEncoder] = {}
        self._runtimes: dict[str, list[TextsTogether]] = {}
        self._bundle: str | None = None  # that the index answered from last
        self._answered: IndexVersion | None = None  # the version that it did with
        self._look_again = 0.0

    async def close(self) -> None:
        """Lets go of connections and files."""
        self.index.close()
        if self.triton is not None:
            await self.triton.client.close()

    async def version(self) -> IndexVersion:
        """The version of the index that is answered from.

        Raises:
            ServingUnavailable: There is none, or it cannot be reached.
        """
        if self.index.held is not None:
            return self.index.held
        try:
            if self.index.is_open:
                return self.index.version()
            return await asyncio.to_thread(self.index.version)
        except InputError as error:  # nothing was asked that could be wrong: it is away, or does not let us in
            raise self._away("index", error) from error

    async def served(self) -> ServedBundle:
        """The bundle that the index answers from, as far as is known; `search` finds out where it is another.

        Raises:
            ServingUnavailable: The index is away, or its bundle is not here.
        """
        await self._go_on()
        if self._bundle is None:
            self._bundle = (await self.version()).bundle
        return await self.bundle(self._bundle)

    async def bundle(self, identity: str) -> ServedBundle:
        """The bundle of an identity.

        Raises:
            ServingUnavailable: It is not here.
        """
        found = self.bundles.opened(identity)
        if found is not None:
            return found
        try:
            return await asyncio.to_thread(self.bundles.open, identity)
        except InputError as error:
            self._bundle = None  # the index may be mended by then
            raise self._away("bundle", error) from error

    async def any_bundle(self) -> ServedBundle:
        """A bundle to answer from without an index.

        Raises:
            InputError: There is none.
        """
        return await asyncio.to_thread(self.bundles.any)

    async def embed(self, texts: Sequence[str], served: ServedBundle) -> tuple[list[FloatArray], str | None]:
        """Vectors of texts, and why it was the encoder here as a fallback for Triton's; None where it was not.

        Raises:
            ServingUnavailable: Triton is away and no fallback is allowed.
            InputError: The encoder of the bundle is not here.
        """
        encoder = await self.encoder(served)
        runtimes = self._text_runtimes(encoder)
        try:
            return await self.text_vectors.encode(texts, encoder.encoder_id, runtimes[0]), None
        except ServingUnavailable as away:
            if self.settings.fallback != "in_process":
                raise
            return await self.text_vectors.encode(texts, encoder.encoder_id, runtimes[-1]), away.what

    async def encoder(self, served: ServedBundle) -> TextEncoder:
        """The encoder that made the bundle's text vectors.

        Raises:
            InputError: Its weights are not here, or are others.
        """
        wanted = served.manifest.text_encoder
        if wanted not in self._encoders:
            settings = served.text_settings.model_copy(update={"device": "cpu"})
            encoder = await asyncio.to_thread(open_encoder, settings, self._text_dir)
            if encoder.encoder_id != wanted:
                raise InputError(
                    f"the bundle's texts were read by the encoder {wanted}, here is {encoder.encoder_id}",
                    where=f"bundle {served.identity}",
                    remedy="bring the weights that it was trained with, or train again",
                )
            self._encoders[wanted] = encoder
        return self._encoders[wanted]

    def _text_runtimes(self, encoder: TextEncoder) -> list[TextsTogether]:
        """Where an encoder runs, and last its fallback; here alone where Triton cannot be given it."""
        if encoder.encoder_id not in self._runtimes:
            runtimes = [TextsTogether(EncoderInProcess(encoder))]
            if self.triton is not None and encoder.tokenizer is not None:
                runtimes.insert(0, TextsTogether(EncoderInTriton(encoder, encoder.tokenizer, self.triton)))
            self._runtimes[encoder.encoder_id] = runtimes
        return self._runtimes[encoder.encoder_id]

    async def read_users(
        self, served: ServedBundle, inputs: dict[str, FloatArray]
    ) -> tuple[TowerAnswer, str, str | None]:
        """User vectors and weights, where they come from, and why the tower here was the fallback for Triton's.

        Raises:
            ServingUnavailable: Triton is away and no fallback is allowed.
            InputError: The bundle has no tower to run here.
        """
        reason = None
        if self._in_triton is not None:
            try:
                return await self._in_triton.read(served, inputs), self._in_triton.label(), None
            except ServingUnavailable as away:
                if self.settings.fallback != "in_process":
                    raise
                reason = away.what
        return await self._in_process.read(served, inputs), self._in_process.label(), reason

    async def rank(
        self, served: ServedBundle, ranker: ServedRanker, features: FloatArray
    ) -> tuple[FloatArray, str, str | None]:
        """The ranker's values of products, float32 `[n]`, where they come from, and why it ran here as a fallback.

        Raises:
            ServingUnavailable: Triton is away and no fallback is allowed.
        """
        reason = None
        if self._ranker_in_triton is not None and len(features):
            try:
                return await self._ranker_in_triton.run(served, features), self._ranker_in_triton.label(), None
            except ServingUnavailable as away:
                if self.settings.fallback != "in_process":
                    raise
                reason = away.what
        return ranker.run(features), "in_process", reason

    async def search(self, queries: Sequence[ProductQuery], served: ServedBundle | None = None) -> list[ProductAnswer]:
        """Asks the index; `served` is the bundle that the questions were prepared with, None where they fit any.

        Raises:
            OtherBundleError: The index answers from another bundle.
            ServingUnavailable: It cannot be asked.
            UnknownProductError, InputError: As `ProductIndex.search_many`.
        """
        if not queries:
            return []
        found = await self._search(queries, served)
        expected = self._answered.bundle if served is None and self._answered else served and served.identity
        other = next((one.version.bundle for one in found if one.version.bundle != expected), None)
        if other is not None and await self._hold(other):
            return await self._search(queries, served)
        if other is not None and served is not None:
            raise self._follow(other)
        self._answered = found[0].version
        return found

    async def _search(self, queries: Sequence[ProductQuery], served: ServedBundle | None) -> list[ProductAnswer]:
        try:
            found: list[ProductAnswer] = []
            while self.index.is_open and len(found) < len(queries):
                found += self.index.search_many(queries[len(found) : len(found) + 1])
                await asyncio.sleep(0)  # in any thread a question holds the interpreter: others' turn is between two
            rest = queries[len(found) :]
            return found + await asyncio.to_thread(self.index.search_many, rest) if rest else found
        except IndexUnavailableError as error:
            self.index.held = None  # it was dropped, perhaps
            raise self._away("index", error) from error
        except UnknownProductError:
            raise
        except InputError:
            # A vector of another bundle may not even have the width; and where none is welcome, it is not at fault.
            version = await self.version()
            if served is not None and version.bundle != served.identity:
                if await self._hold(version.bundle):
                    return await self._search(queries, served)
                raise self._follow(None) from None
            raise

    async def _hold(self, published: str) -> bool:
        """Whether answers go on from the bundle of before, since Triton has not loaded the published one's towers."""
        before = self._answered
        if self.triton is None or before is None or self.index.held is not None or before.bundle == published:
            return False
        if await self._has_towers(self.triton, published):
            return False
        _LOG.info(f"bundle {published} is published, and Triton has not loaded its towers yet")
        self.index.held, self._bundle = before, before.bundle
        self._look_again = time.monotonic() + _LOOKED_EVERY
        return True

    async def _go_on(self) -> None:
        """Lets go of the bundle of before as soon as the towers of the one served are there."""
        held = self.index.held
        if held is None or self.triton is None or time.monotonic() < self._look_again:
            return
        self._look_again = time.monotonic() + _LOOKED_EVERY
        with suppress(InputError):
            served = await asyncio.to_thread(self.index.version)
            if served.bundle == held.bundle or await self._has_towers(self.triton, served.bundle):
                self.index.held = None

    async def _has_towers(self, triton: TritonModels, identity: str) -> bool:
        """Whether Triton has a bundle's towers; a Triton that is away keeps nobody back."""
        try:
            return await triton.client.find_version(ServedModel.USER_TOWER, identity) is not None
        except TritonError:
            return True
        except InputError:  # there is no such model
            return False

    async def unknown(self, user_id: str, error: UnknownUserError) -> InputError:
        """What is said of a user of whom nothing is known here; the bundle that is being published may know them."""
        if self.index.held is None:
            return error
        with suppress(InputError):
            coming = await self.bundle((await asyncio.to_thread(self.index.version)).bundle)
            if user_id in coming.users:
                return ServingUnavailable(
                    f"user {user_id} is known to a bundle that is being published",
                    component="triton",
                    where=f"bundle {coming.identity}",
                    remedy="ask again when Triton has loaded its towers",
                    retry_after=self.settings.retry_after_seconds,
                )
        return error

    def _follow(self, identity: str | None) -> OtherBundleError:
        self._bundle = identity
        return OtherBundleError(f"the index was made from bundle {identity}")

    def _away(self, component: Component, error: InputError) -> ServingUnavailable:
        retry_after, what, remedy = self.settings.retry_after_seconds, error.what, error.remedy
        if isinstance(error, EmptyIndexError) and not self.bundles.has_any():
            what = f"nothing has been trained yet, and {what}"
            remedy = f"run rec_sys.train.train first, then {_PUBLISH}; or set output_dir to where that was done"
        return ServingUnavailable(what, component=component, where=error.where, remedy=remedy, retry_after=retry_after)
