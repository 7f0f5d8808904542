"""Recommendations for a table of users: in parts that appear whole, so that the same command goes on where it ended."""

import json
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Final

import polars as pl
from pydantic import BaseModel, ConfigDict

from rec_sys.contracts import HistoryColumn, InputError
from rec_sys.files import atomic_file, writable_folder
from rec_sys.inference.backends import Backends
from rec_sys.inference.block_answers import SCHEMA, answer_block
from rec_sys.inference.served_bundle import ServedBundle
from rec_sys.raw_files.values import read_values
from rec_sys.settings import EngineSettings

_LOG: Final = logging.getLogger(__name__)

PART_USERS: Final = 4_096
_BLOCK_USERS: Final = 512  # their scores of 100,000 products are 200 MB
_MANIFEST: Final = "export.json"
_UNKNOWN: Final = "unknown_users.parquet"
_SECONDS_BETWEEN_LINES: Final = 5.0


class ExportManifest(BaseModel):
    """What an export is of; another one does not go on in its folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: str
    users: str
    num_users: int
    limit: int
    max_reasons: int


@dataclass(frozen=True)
class ExportResult:
    """What an export came to.

    Attributes:
        unknown: Users that the bundle does not know; they are listed in a file of their own.
        parts: Files written, by this and by earlier runs.
        seconds: Of this run, as `answered`.
    """

    users: int
    unknown: int
    parts: int
    seconds: float
    answered: int


async def export_users(
    backends: Backends, users: Path, folder: Path, limit: int, engine: EngineSettings | None = None
) -> ExportResult:
    """Writes `part-00000.parquet` and so on, one row for each user and product.

    The scores are computed for all products from the bundle that the index serves: for many users that is faster than
    asking the index, and the ranking is the same. Products upserted since are not in it.

    Args:
        backends: The bundle and the towers.
        users: A CSV, JSON or Parquet file with a column `user_id`.
        folder: Where the parts go.
        limit: Products a user.
        engine: Who answers; None: this process.

    Raises:
        InputError: The table cannot be read, the folder holds another export, or the cluster cannot be used.
        ServingUnavailable: A component is away.
    """
    began = time.perf_counter()
    served = await backends.served()
    user_ids = _read_users(users)
    manifest = ExportManifest(
        bundle=served.identity,
        users=str(users.absolute()),
        num_users=len(user_ids),
        limit=limit,
        max_reasons=backends.settings.max_reasons,
    )
    _claim(folder, manifest)
    starts = range(0, len(user_ids), PART_USERS)
    missing = [number for number in range(len(starts)) if not _part(folder, number).is_file()]
    if len(missing) < len(starts):
        _LOG.info(f"goes on: {len(starts) - len(missing)} of {len(starts)} parts are there already")
    given = {number: user_ids[starts[number] : starts[number] + PART_USERS] for number in missing}
    blocks = {number: _blocks([user for user in users if user in served.users]) for number, users in given.items()}
    said, answered = time.perf_counter(), 0
    async for number, tables in _answer_parts(backends, served, blocks, limit, engine):
        with atomic_file(_part(folder, number)) as path:
            pl.concat([pl.DataFrame(schema=SCHEMA), *tables]).write_parquet(path)
        answered += len(given[number])
        if time.perf_counter() - said > _SECONDS_BETWEEN_LINES:
            said = time.perf_counter()
            _LOG.info(f"{answered:,} users, {answered / (said - began):,.0f} a second")
    unknown = _write_unknown(user_ids, folder, served)
    return ExportResult(len(user_ids), unknown, len(starts), time.perf_counter() - began, answered)


def _read_users(users: Path) -> list[str]:
    """The different ids in a file, in its order: the user_id of objects and rows, other values themselves."""
    values = read_values(users, [HistoryColumn.USER_ID])
    columns = dict.fromkeys(name for value in values if isinstance(value, dict) for name in value)
    if columns and HistoryColumn.USER_ID not in columns:
        raise InputError(
            f"there is no column {HistoryColumn.USER_ID}",
            where=str(users),
            remedy=f"call the column of the users so; there are: {', '.join(columns)}",
        )
    found = [value.get(HistoryColumn.USER_ID) if isinstance(value, dict) else value for value in values]
    return list(dict.fromkeys(str(user_id) for user_id in found if user_id is not None))


def _claim(folder: Path, manifest: ExportManifest) -> None:
    path = writable_folder(folder) / _MANIFEST
    if path.is_file():
        if json.loads(path.read_text()) != manifest.model_dump():
            raise InputError(
                "this folder holds an export of other users, another bundle or other settings",
                where=str(folder.absolute()),
                remedy="choose another folder with output=..., or remove this one",
            )
        return
    with atomic_file(path) as unfinished:
        unfinished.write_text(manifest.model_dump_json(indent=2))


def _part(folder: Path, number: int) -> Path:
    return folder / f"part-{number:05d}.parquet"


async def answer_users(
    backends: Backends,
    served: ServedBundle,
    user_ids: Sequence[str],
    limit: int,
    with_seen: bool = False,
    engine: EngineSettings | None = None,
) -> AsyncIterator[pl.DataFrame]:
    """What `answer_block` says of known users, a table for each block of them, in any order."""
    async for _, table in _answer_blocks(backends, served, _blocks(user_ids), limit, with_seen, engine):
        yield table


async def _answer_parts(
    backends: Backends,
    served: ServedBundle,
    parts: Mapping[int, Sequence[Sequence[str]]],
    limit: int,
    engine: EngineSettings | None,
) -> AsyncIterator[tuple[int, list[pl.DataFrame]]]:
    """The number of each part and the tables of its blocks in their order, as it is done."""
    for number in [number for number, blocks in parts.items() if not blocks]:
        yield number, []
    numbers = [number for number, blocks in parts.items() for _ in blocks]
    waiting = {number: dict[int, pl.DataFrame]() for number in numbers}
    every = [block for blocks in parts.values() for block in blocks]
    async for place, table in _answer_blocks(backends, served, every, limit, False, engine):
        done = waiting[number := numbers[place]]
        done[place] = table
        if len(done) == len(parts[number]):
            yield number, [table for _, table in sorted(waiting.pop(number).items(), key=itemgetter(0))]


async def _answer_blocks(
    backends: Backends,
    served: ServedBundle,
    blocks: Sequence[Sequence[str]],
    limit: int,
    with_seen: bool,
    engine: EngineSettings | None,
) -> AsyncIterator[tuple[int, pl.DataFrame]]:
    """The place of each block and its table: in their order by this process, as they are done by a cluster."""
    if engine is None or engine.kind == "local":
        for place, block in enumerate(blocks):
            yield place, await answer_block(backends, served, block, limit, with_seen)
    elif blocks:
        from rec_sys.inference.ray_answers import answer_on_ray

        for answered in answer_on_ray(backends, served, blocks, limit, with_seen, engine):
            yield answered


def _blocks(user_ids: Sequence[str]) -> list[Sequence[str]]:
    return [user_ids[start : start + _BLOCK_USERS] for start in range(0, len(user_ids), _BLOCK_USERS)]


def _write_unknown(user_ids: list[str], folder: Path, served: ServedBundle) -> int:
    unknown = sorted({user_id for user_id in user_ids if user_id not in served.users})
    if unknown:
        with atomic_file(folder / _UNKNOWN) as path:
            pl.DataFrame({HistoryColumn.USER_ID: unknown}, schema={HistoryColumn.USER_ID: pl.String}).write_parquet(
                path
            )
    return len(unknown)
