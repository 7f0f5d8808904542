"""Files that a shop offers, on their way into its store: looked at, corrected, taken in, with how far it is."""

import asyncio
import os
import re
import secrets
import shutil
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import polars as pl
import psutil
import structlog
from pydantic import BaseModel

from rec_sys.contracts import InputError
from rec_sys.inference.contract import ServingUnavailable
from rec_sys.inference.product_records import TakenList
from rec_sys.offered_file import ANSWER, PROGRESS, REQUEST, ROWS, Fault, FileAnswer, FileRequest, Kind
from rec_sys.processes import ChildProcess, module_command
from rec_sys.serving.page.import_rows import AT_ONCE, RowWriter, slices
from rec_sys.serving.problems import Refusal
from rec_sys.serving.worker_memory import ALONE, WorkerMemory

if TYPE_CHECKING:
    from rec_sys.inference.recommender import Recommender

Stage = Literal["waiting", "looked", "taking", "done", "failed"]
_READER: Final = "rec_sys.data.offered_rows"  # a process; nothing of that room is imported here
_MOST: Final = 8  # files held at once
_IDLE_SECONDS: Final = 3600  # until one is let go of that nobody goes on with
_DONE_SECONDS: Final = 300  # likewise, where nothing is left to do
_SILENT_SECONDS: Final = 60  # without a word of the process that is at one
_LOOK_SECONDS: Final = 0.5
_STATE: Final = "state.json"
_ID: Final = re.compile("[0-9a-f]{16}")
_TRIES: Final = 10  # where the store is away

_log = structlog.get_logger("rec_sys.serving")


class _DiscardedError(Exception):
    """Somebody has let go of the file meanwhile."""


class Import(BaseModel):
    """A file on its way.

    Attributes:
        name: As its sender calls it.
        stage: waiting: its first rows are read; looked: somebody must say whether that is meant; taking: it is read to
            its end, and its rows are written; done, failed.
        answer: What it holds, of its first rows or all.
        records: Read so far, while it is read to its end.
        rows: To be taken, once that is known.
        taken: Of these, those that are safe.
        new: Of those, what was not known before.
        changed: Of those, products that were, of which something is another now.
        refused: Reason -> rows that the store does not take; while somebody looks, those of the first rows.
        fault: Why it failed.
        worker: The process that is at it.
    """

    id: str
    name: str
    request: FileRequest
    stage: Stage = "waiting"
    answer: FileAnswer = FileAnswer()
    records: int = 0
    rows: int = 0
    taken: int = 0
    new: int = 0
    changed: int = 0
    refused: dict[str, int] = {}
    fault: Fault | None = None
    worker: int = 0

    @property
    def kind(self) -> Kind:
        """What it holds."""
        return self.request.kind

    @property
    def is_under_way(self) -> bool:
        """Whether it changes by itself."""
        return self.stage in ("waiting", "taking")


class Imports:
    """The files held now, a folder each, which all workers of a service see; for one event loop.

    Where the service ends on the way, what was taken is safe: the same file sent again adds what is missing.
    """

    def __init__(self, recommender: "Recommender", memory: WorkerMemory = ALONE) -> None:
        self._writer = RowWriter(recommender)
        self._own = None if memory.folder else tempfile.TemporaryDirectory(prefix="rec_sys-imports-")
        self._home = Path(self._own.name) if self._own else Path(str(memory.folder)) / "imports"
        self._home.mkdir(exist_ok=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Semaphore(1)  # one process reads at a time

    def held(self) -> list[Import]:
        """The newest first."""
        states = sorted(self._home.glob(f"*/{_STATE}"), key=lambda path: path.parent.stat().st_ctime, reverse=True)
        return [one for path in states if (one := self._state(path.parent.name)) is not None]

    def offer(self, kind: Kind, name: str, content: bytes) -> Import:
        """Takes a file and begins to look at it.

        Raises:
            Refusal: 503; too many are held.
        """
        self._sweep()
        if len(self.held()) >= _MOST:
            raise Refusal(503, f"{_MOST} files are held already", where="File", remedy="finish or discard one of them")
        import_id = secrets.token_hex(8)
        folder = self._home / import_id
        folder.mkdir()
        path = folder / f"file-{re.sub(r'[^A-Za-z0-9._-]', '_', name)[-80:]}"
        path.write_bytes(content)
        one = Import(id=import_id, name=name, request=FileRequest(path=path, kind=kind))
        self._start(one, "waiting")
        return one

    def get(self, import_id: str) -> Import:
        """One of them.

        Raises:
            Refusal: 404.
        """
        if (one := self._state(import_id) if _ID.fullmatch(import_id) else None) is None:
            remedy = "send it again; what was taken of it counts once"
            raise Refusal(404, "this file is not held any more", where="File", remedy=remedy)
        return one

    def look(self, one: Import, request: FileRequest) -> None:
        """Looks again, at what somebody has corrected."""
        if one.stage in ("looked", "failed"):
            self._start(one.model_copy(update={"request": request}), "waiting")

    def take(self, one: Import) -> None:
        """Begins to take it in; nothing where that is under way or done."""
        if one.stage == "looked" and one.answer.fault is None:
            self._start(one, "taking")

    def discard(self, one: Import) -> None:
        """Lets go of it; whichever worker is at it finds it gone."""
        shutil.rmtree(self._home / one.id, ignore_errors=True)

    async def close(self) -> None:
        """Ends what this worker is at."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._own is not None:
            self._own.cleanup()

    def _state(self, import_id: str) -> Import | None:
        path = self._home / import_id / _STATE
        try:
            one, age = Import.model_validate_json(path.read_text()), time.time() - path.stat().st_mtime
        except FileNotFoundError:
            return None
        if one.is_under_way and (age > _SILENT_SECONDS or not psutil.pid_exists(one.worker)):
            what, remedy = "the process that was at it has ended", "send it again; what was taken of it counts once"
            one = one.model_copy(update={"stage": "failed", "fault": Fault(what=what, where=one.name, remedy=remedy)})
        return one

    def _save(self, one: Import) -> None:
        """Raises `_DiscardedError` where nobody wants it any more."""
        path = self._home / one.id / _STATE
        try:
            path.with_suffix(".new").write_text(one.model_dump_json())
            path.with_suffix(".new").replace(path)
        except FileNotFoundError as error:
            raise _DiscardedError from error

    def _sweep(self) -> None:
        """Of those that nobody goes on with."""
        for one in self.held():
            age = time.time() - (self._home / one.id / _STATE).stat().st_mtime
            if age > _IDLE_SECONDS or (one.stage in ("done", "failed") and age > _DONE_SECONDS):
                self.discard(one)

    def _start(self, one: Import, stage: Stage) -> None:
        one.stage, one.fault, one.worker = stage, None, os.getpid()
        self._save(one)
        task = asyncio.create_task(self._go(one))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _go(self, one: Import) -> None:
        try:
            if one.stage == "waiting":
                one.answer, one.refused = await self._read(one), {}
                if one.answer.fault is None:
                    one.refused = dict(await self._writer.check(one.kind, self._home / one.id / ROWS))
                one.stage = "looked"
            else:
                await self._take_in(one)
        except _DiscardedError:
            return
        except InputError as error:
            one.fault, one.stage = Fault(what=error.what, where=error.where, remedy=error.remedy), "failed"
        except Exception:  # nobody awaits this task: the log has the trace, and the page says that it failed
            _log.exception("an import failed", file=one.name)
            what, remedy = "the service failed", "send the file again; what was taken of it counts once"
            one.fault, one.stage = Fault(what=what, where=one.name, remedy=remedy), "failed"
        with suppress(_DiscardedError):
            self._save(one)

    async def _read(self, one: Import) -> FileAnswer:
        """Has a process read it."""
        folder = self._home / one.id
        (folder / ANSWER).unlink(missing_ok=True)
        (folder / ROWS).mkdir(exist_ok=True)
        (folder / REQUEST).write_text(one.request.model_dump_json())

        def hear(line: str) -> None:
            if line.startswith(PROGRESS):
                one.records = int(line.removeprefix(PROGRESS))

        said: list[str] = []
        while self._turn.locked():
            self._save(one)
            await asyncio.sleep(_LOOK_SECONDS)
        async with self._turn:
            child = await asyncio.to_thread(ChildProcess, module_command(_READER, [str(folder)]), hear, said.append)
            try:
                while not await asyncio.to_thread(child.wait, _LOOK_SECONDS):
                    self._save(one)
            finally:
                if child.is_alive():
                    await asyncio.shield(asyncio.to_thread(child.stop, 1.0))
        if (folder / ANSWER).is_file():
            return _by_its_name(FileAnswer.model_validate_json((folder / ANSWER).read_text()), one)
        _log.warning("a file could not be read", file=one.name, how=child.how_it_ended(), said="\n".join(said)[-2000:])
        raise InputError(
            f"reading it failed ({child.how_it_ended()})",
            where=one.name,
            remedy="look whether it opens elsewhere, or send it in parts",
        )

    async def _take_in(self, one: Import) -> None:
        one.request = one.request.model_copy(update={"whole": True})
        one.answer = await self._read(one)
        if one.answer.fault is not None:
            one.stage = "looked"
            return
        one.rows, one.refused = one.answer.num_rows, {}
        for rows in slices(self._home / one.id / ROWS, AT_ONCE[one.kind]):
            taken = await self._write(one, rows)
            one.new, one.changed = one.new + taken.new, one.changed + taken.changed
            one.taken += rows.height
            self._save(one)
        one.stage = "done"

    async def _write(self, one: Import, rows: pl.DataFrame) -> TakenList:
        """Puts rows into the store, and tries again where that is away."""
        for left in reversed(range(_TRIES)):
            refused = Counter[str]()
            try:
                taken = await self._writer.write(one.kind, rows, refused)
            except ServingUnavailable as away:
                if not left:
                    raise
                self._save(one)
                await asyncio.sleep(max(1.0, away.retry_after))
            else:
                one.refused = dict(Counter(one.refused) + refused)
                return taken
        raise AssertionError


def _by_its_name(answer: FileAnswer, one: Import) -> FileAnswer:
    """What was found, of a file that is called as its sender calls it."""
    if answer.fault is None:
        return answer
    words = answer.fault.model_dump()
    said = {name: text.replace(one.request.path.name, one.name) for name, text in words.items()}
    return answer.model_copy(update={"fault": Fault(**said)})
