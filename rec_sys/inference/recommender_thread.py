"""The recommender for callers that wait for their answers: it lives in a thread and an event loop of its own."""

import asyncio
import os
import threading
import weakref
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

from rec_sys.contracts import InputError
from rec_sys.inference.recommender import Recommender
from rec_sys.settings import IndexSettings, InferenceSettings

Result = TypeVar("Result")

_USERS: Final[list[int]] = []  # the process that has used the native libraries, if any
_LEFT: Final[list[Recommender]] = []  # of the process that this one was forked from; not to be touched here


def claim_process() -> None:
    """Notes that this process uses the native libraries of training and answers.

    Their threads are not there in a process that is forked from it, where whoever waits for them waits for ever.

    Raises:
        InputError: This process was forked from one that has used them.
    """
    if not _USERS:
        _USERS.append(os.getpid())
    elif _USERS[0] != os.getpid():
        raise InputError(
            "this process was forked from one that has fitted or loaded a model, and no answer would ever come here",
            where=f"process {os.getpid()}, forked from process {_USERS[0]} or a child of it",
            remedy='start processes with multiprocessing.get_context("spawn") or "forkserver", or by joblib\'s loky;'
            " a model that is handed to them opens there by itself",
        )


class RecommenderThread:
    """A recommender that a running event loop, such as a notebook's, does not hinder; made as a `Recommender` is.

    Raises:
        InputError: See `claim_process`.
    """

    def __init__(
        self, index: IndexSettings, inference: InferenceSettings, output_dir: Path, bundle: Path | None = None
    ) -> None:
        claim_process()
        self._recommender = Recommender(index, inference, output_dir, bundle)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="rec_sys", daemon=True)
        self._thread.start()
        # Where nobody closes it, this is done when the object or the interpreter ends.
        self._closing = weakref.finalize(self, _close, self._recommender, self._loop, self._thread, os.getpid())

    def ask(self, question: Callable[[Recommender], Coroutine[Any, Any, Result]]) -> Result:
        """Waits for an answer, in whatever thread.

        Raises:
            InputError: See `claim_process`; and whatever the question raises.
        """
        claim_process()
        answer = asyncio.run_coroutine_threadsafe(question(self._recommender), self._loop)
        try:
            return answer.result()
        except BaseException:  # an interrupt too: nobody waits for the answer any more
            answer.cancel()
            raise

    def close(self) -> None:
        """Lets go of connections, files and the thread."""
        self._closing()


def _close(recommender: Recommender, loop: asyncio.AbstractEventLoop, thread: threading.Thread, process: int) -> None:
    if process != os.getpid():
        _LEFT.append(recommender)
        return

    async def close() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:  # somebody may be waiting in another thread
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await recommender.close()

    closing = asyncio.run_coroutine_threadsafe(close(), loop)
    closing.add_done_callback(lambda _: loop.call_soon_threadsafe(loop.stop))
    if threading.current_thread() is not thread:  # garbage is collected in whichever thread
        closing.result()
        thread.join()
        loop.close()
