"""The store as an event loop uses it: writes that come together are one transaction, and what others write is seen."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, TypeVar

from rec_sys.inference.contract import Review, ServingUnavailable
from rec_sys.inference.dynamic_batcher import DynamicBatcher
from rec_sys.inference.following import following
from rec_sys.inference.live_reviews import NOTHING_ON_RECORD, LiveReviews, OnRecord
from rec_sys.inference.live_trends import LiveTrends
from rec_sys.inference.served_bundle import ServedBundle
from rec_sys.settings import StoreSettings
from rec_sys.store.live_products import LiveProducts
from rec_sys.store.messages import Change, ChangeKind, Receipt, StoreUnavailable, WrittenBatch, WrittenProduct

if TYPE_CHECKING:
    from rec_sys.store.store import Store

Result = TypeVar("Result")

_LOG: Final = logging.getLogger(__name__)
_PAGE: Final = 5_000  # entries of the log
_TOGETHER: Final = 64  # requests of a transaction
_CALLS_AT_ONCE: Final = 4


class ReviewLog:
    """What is written while the service runs, for one event loop; opened when it is first used, however often it takes.

    What a method has written is seen by the next question here; what others write within `store.poll_seconds`.
    Every method raises `ServingUnavailable` where the store is away.

    Args:
        settings: Which store.
        output_dir: Where SQLite's file is kept unless the settings say otherwise.
        retry_after: Retry-After of refused requests, in seconds.

    Attributes:
        failure: Why the store could not be used when it was last; None where it could.
        products: What is said of products, up to `position`.
        trends: What happened to products lately, likewise.
    """

    def __init__(self, settings: StoreSettings, output_dir: Path, retry_after: float) -> None:
        self._settings, self._output_dir, self._retry_after = settings, output_dir, retry_after
        self._store: Store | None = None
        self._live: LiveReviews | None = None  # None until the log was read to its end once
        self.products, self.trends = LiveProducts(), LiveTrends()
        self._opening, self._reading = asyncio.Lock(), asyncio.Lock()
        self._places, self._threads = asyncio.Semaphore(_CALLS_AT_ONCE), _Threads(_CALLS_AT_ONCE)
        self.failure: str | None = None

        async def write(batches: Sequence[WrittenBatch]) -> list[list[Receipt] | Exception]:
            store = await self._opened()
            return [*await self._ask(lambda: store.write(batches))]

        self._batcher = DynamicBatcher(write, _TOGETHER, common=(ServingUnavailable,))

    async def close(self) -> None:
        """Lets go of connections."""
        self._threads.close()
        if self._store is not None:
            self._store.close()

    @property
    def was_read(self) -> bool:
        """Whether the log was read to its end once."""
        return self._live is not None

    @property
    def position(self) -> int:
        """Up to where the log was read."""
        return 0 if self._live is None else self._live.position

    def trained(self, served: ServedBundle) -> int | None:
        """Up to where a bundle holds what this store's log says; None where it holds nothing of it."""
        place = served.manifest.store_position
        if place is None or self._store is None or place.store != self._store.identity:
            return None
        return place.sequence

    def about(self, user_id: str | None, served: ServedBundle) -> OnRecord:
        """What the store says of a user beside what a bundle holds of it, at once.

        Raises:
            ServingUnavailable: The store has not been read yet, so that nobody knows whether the user is forgotten.
        """
        if user_id is None:
            return NOTHING_ON_RECORD
        if self._live is None:
            raise self._away("the store has not been read yet", "the store", "try again later")
        return self._live.about(user_id, self.trained(served))

    async def write(self, batch: WrittenBatch) -> list[Receipt]:
        """Takes reviews or events, all or none; returns when they are safe and the next question sees them.

        Raises:
            KeyReusedError: Another request was sent with this key.
        """
        receipts = await self._batcher.ask(batch)
        await self._see()
        return receipts

    def reviews_of(self, asins: Iterable[str]) -> Mapping[str, list[tuple[str, Review]]]:
        """The written reviews of products, each with its user; products without any are left out."""
        return {} if self._live is None else self._live.of_products(asins)

    async def newest_reviews(self, limit: int, before: int | None) -> list[Change]:
        """See `Store.newest_reviews`."""
        store = await self._opened()
        return await self._ask(lambda: store.newest_reviews(limit, before))

    async def write_products(self, said: Sequence[tuple[ChangeKind, WrittenProduct]]) -> int:
        """See `Store.write_products`."""
        return await self._changed(lambda store: store.write_products(said))

    async def remove_review(self, user_id: str, review_id: str) -> bool:
        """See `Store.remove_review`."""
        return await self._changed(lambda store: store.remove_review(user_id, review_id))

    async def forget_user(self, user_id: str) -> int:
        """See `Store.forget_user`."""
        return await self._changed(lambda store: store.forget_user(user_id))

    async def catch_up(self) -> None:
        """Reads the log to its end."""
        store = await self._opened()
        async with self._reading:
            live, products, trends = self._live or LiveReviews(store), self.products, self.trends
            if self._live is None:
                products, trends = LiveProducts(), LiveTrends()
            while True:
                changes = await self._ask(lambda: store.changes_since(live.position, _PAGE))
                gone = live.apply(changes)
                products.apply(changes)
                trends.apply(changes, gone)
                if len(changes) < _PAGE:
                    break
            self._live, self.products, self.trends = live, products, trends

    def following(self) -> AbstractAsyncContextManager[None]:
        """Follows what others write, for an `async with` block."""
        return following(self.catch_up, self._settings.poll_seconds, "what others write")

    async def _changed(self, do: "Callable[[Store], Result]") -> Result:
        store = await self._opened()
        result = await self._ask(lambda: do(store))
        await self._see()
        return result

    async def _see(self) -> None:
        """Reads what was just written, which is safe whether it can be read now or a little later."""
        with suppress(ServingUnavailable):
            await self.catch_up()

    async def _opened(self) -> "Store":
        def open_store() -> "Store":
            from rec_sys.store.store import Store  # and with it SQLAlchemy: who asks without a store waits for neither

            return Store(self._settings, self._output_dir)

        async with self._opening:
            if self._store is None:
                self._store = await self._ask(open_store)
            return self._store

    async def _ask(self, do: Callable[[], Result]) -> Result:
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                await self._places.acquire()
                result = await self._threads.run(do, self._places.release)  # a call that hangs keeps its place
        except StoreUnavailable as error:
            self.failure = error.what
            raise self._away(error.what, error.where, error.remedy) from error
        except TimeoutError as error:
            self.failure = f"the store did not answer for {self._settings.timeout_seconds:g} s"
            raise self._away(self.failure, "setting store.url", "see whether its server is well; try again") from error
        self.failure = None
        return result

    def _away(self, what: str, where: str, remedy: str) -> ServingUnavailable:
        return ServingUnavailable(what, component="store", where=where, remedy=remedy, retry_after=self._retry_after)


class _Threads:
    """Threads that nobody waits for when the process ends: a server that hangs holds its caller.

    They stay, since each new one may bring an arena of its own to the memory of the process.
    """

    def __init__(self, count: int) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads = [threading.Thread(target=self._work, name="store", daemon=True) for _ in range(count)]

    def run(self, do: Callable[[], Result], ended: Callable[[], None]) -> "asyncio.Future[Result]":
        """Runs something in one of them.

        `ended` is called in the loop when it is through, whether or not somebody waits for the outcome still.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()

        def settle(set_outcome: Callable[[], None]) -> None:
            ended()
            if not future.done():
                set_outcome()

        def call() -> None:
            try:
                result = do()
            except Exception as error:
                outcome = partial(future.set_exception, error)
            else:
                outcome = partial(future.set_result, result)
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(settle, outcome)

        for thread in self._threads:
            if thread.ident is None:
                thread.start()
        self._calls.put(call)
        return future

    def close(self) -> None:
        """Ends them when they have done what is asked of them."""
        for _ in self._threads:
            self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
