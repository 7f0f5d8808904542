"""Recommendations for a table of users: in parts that appear whole, so that the same command goes on where it ended."""

import json
import logging
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, ConfigDict

from rec_sys import ragged
from rec_sys.contracts import HistoryColumn, InputError
from rec_sys.files import atomic_file, writable_folder
from rec_sys.inference.answers import rated_reviews
from rec_sys.inference.backends import Backends
from rec_sys.inference.explanations import strongest_reviews
from rec_sys.inference.second_stage import describe_products
from rec_sys.inference.served_bundle import ServedBundle
from rec_sys.inference.served_ranker import ServedRanker
from rec_sys.inference.user_reviews import MemoryQuery, UserReviews, memory_query, stored_reviews, tower_inputs
from rec_sys.ranker.features import Candidates
from rec_sys.raw_files.values import read_values
from rec_sys.scoring import is_from_memory, memory_parts
from rec_sys.vector_database.catalogue import FloatArray, IntArray

_LOG: Final = logging.getLogger(__name__)

PART_USERS: Final = 4_096
_BLOCK_USERS: Final = 512  # their scores of 100,000 products are 200 MB
_MANIFEST: Final = "export.json"
_UNKNOWN: Final = "unknown_users.parquet"
_SECONDS_BETWEEN_LINES: Final = 5.0
_REASON: Final = pl.Struct({"asin": pl.String, "snippet": pl.String, "weight": pl.Float32, "memory": pl.Float32})
_SCHEMA: Final[dict[str, Any]] = {
    "user_id": pl.String,
    "rank": pl.Int32,
    "asin": pl.String,
    "title": pl.String,
    "score": pl.Float32,
    "predicted_rating": pl.Float32,
    "source": pl.String,
    "reasons": pl.List(_REASON),
}


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


async def export_users(backends: Backends, users: Path, folder: Path, limit: int) -> ExportResult:
    """Writes `part-00000.parquet` and so on, one row for each user and product.

    The scores are computed for all products from the bundle that the index serves: for many users that is faster than
    asking the index, and the ranking is the same. Products upserted since are not in it.

    Args:
        backends: The bundle and the towers.
        users: A CSV, JSON or Parquet file with a column `user_id`.
        folder: Where the parts go.
        limit: Products a user.

    Raises:
        InputError: The table cannot be read, or the folder holds another export.
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
    said, answered = time.perf_counter(), 0
    for number in missing:
        given = list(dict.fromkeys(user_ids[starts[number] : starts[number] + PART_USERS]))
        known = [user_id for user_id in given if user_id in served.users]
        tables = [table async for table in answer_users(backends, served, known, limit)]
        with atomic_file(_part(folder, number)) as path:
            pl.concat(tables or [pl.DataFrame(schema=_SCHEMA)]).write_parquet(path)
        answered += len(given)
        if time.perf_counter() - said > _SECONDS_BETWEEN_LINES:
            said = time.perf_counter()
            _LOG.info(f"{answered:,} users, {answered / (said - began):,.0f} a second")
    unknown = _write_unknown(user_ids, folder, served)
    return ExportResult(len(user_ids), unknown, len(starts), time.perf_counter() - began, answered)


def _read_users(users: Path) -> list[str]:
    """The ids in a file, as often as they stand there: the user_id of objects and rows, other values themselves."""
    values = read_values(users, [HistoryColumn.USER_ID])
    columns = dict.fromkeys(name for value in values if isinstance(value, dict) for name in value)
    if columns and HistoryColumn.USER_ID not in columns:
        raise InputError(
            f"there is no column {HistoryColumn.USER_ID}",
            where=str(users),
            remedy=f"call the column of the users so; there are: {', '.join(columns)}",
        )
    found = [value.get(HistoryColumn.USER_ID) if isinstance(value, dict) else value for value in values]
    return [str(user_id) for user_id in found if user_id is not None]


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
    backends: Backends, served: ServedBundle, user_ids: Sequence[str], limit: int, with_seen: bool = False
) -> AsyncIterator[pl.DataFrame]:
    """Recommendations for known users, a table for each block of them: a row a user and product, best first.

    `with_seen` lists what they have come to before too, whatever the settings say.
    """
    for start in range(0, len(user_ids), _BLOCK_USERS):
        yield await _answer(backends, served, user_ids[start : start + _BLOCK_USERS], limit, with_seen)


async def _answer(
    backends: Backends, served: ServedBundle, user_ids: Sequence[str], limit: int, with_seen: bool = False
) -> pl.DataFrame:
    every = [served.users.rows(user_id) for user_id in user_ids]
    places = map(served.users.place, user_ids)
    users = [stored_reviews(rows, served, place) for rows, place in zip(every, places, strict=True)]
    inputs = tower_inputs(users, [{}] * len(users), served)
    (vectors, weights), _, _ = await backends.read_users(served, inputs)
    in_memory = [memory_query(user, served) for user in users]
    scores = served.exact.scores(vectors, [query.summed for query in in_memory])
    seen = [served.users.product[rows[served.users.known[rows]]] for rows in every]
    left_out = seen if backends.settings.repeats == "hide" and not with_seen else ()
    ranker = served.ranker
    products, best = served.exact.best(
        scores, limit if ranker is None else max(limit, ranker.card.candidates), left_out
    )
    row, place = np.nonzero(np.isfinite(best))
    chosen, first = products[row, place], best[row, place]
    score = first
    if ranker is not None:
        order, score = await _rank(backends, served, ranker, users, row, place, chosen, first, in_memory, limit)
        row, chosen, first = row[order], chosen[order], first[order]
        place = ragged.place_in_row(np.bincount(row, minlength=len(users)))
    by_memory, reasons = _explain(users, weights, in_memory, row, chosen, first, backends, served)
    details = served.catalogue.details[chosen]
    return pl.DataFrame(
        {
            "user_id": pl.Series(user_ids, dtype=pl.String)[row],
            "rank": (place + 1).astype(np.int32),
            "asin": details["asin"],
            "title": details["title"],
            "score": score,
            "predicted_rating": _stars(served, users, row, chosen),
            "source": pl.Series(np.where(by_memory, "memory", "graph")),
            "reasons": reasons,
        }
    )


def _stars(served: ServedBundle, users: Sequence[UserReviews], row: IntArray, product: IntArray) -> pl.Series:
    """The predicted stars of products for the users of their rows, which ascend; null where the data has none."""
    if served.stars is None:
        return pl.Series(np.full(len(row), np.nan, dtype=np.float32)).fill_nan(None)
    bounds = np.searchsorted(row, np.arange(len(users) + 1))
    parts = [
        served.stars.of_rows(product[start:end], rated_reviews(user, {}))
        for user, start, end in zip(users, bounds[:-1], bounds[1:], strict=True)
    ]
    return pl.Series(np.concatenate(parts, dtype=np.float32) if parts else np.empty(0, dtype=np.float32))


async def _rank(
    backends: Backends,
    served: ServedBundle,
    ranker: ServedRanker,
    users: Sequence[UserReviews],
    row: IntArray,
    place: IntArray,
    product: IntArray,
    score: FloatArray,
    in_memory: Sequence[MemoryQuery],
    limit: int,
) -> tuple[IntArray, FloatArray]:
    """The best products of each user in the ranker's order: places in the arguments, and their scores.

    `row` (the user), `place` (among their products), `product` and `score` are `[num_hits]`.
    """
    asked = np.flatnonzero(place < ranker.card.candidates)
    memory = served.exact.memory_scores([query.summed for query in in_memory], row[asked], product[asked])
    candidates = Candidates(row[asked], product[asked].astype(np.int64), score[asked], memory)
    value, _, _ = await backends.rank(served, ranker, describe_products(ranker, users, candidates))
    total = score.copy()
    total[asked] += value
    order = np.lexsort((place, -total, place >= ranker.card.candidates, row))
    order = order[ragged.place_in_row(np.bincount(row, minlength=len(users))) < limit]
    return order, total[order]


def _explain(
    users: list[UserReviews],
    weights: FloatArray,
    in_memory: list[MemoryQuery],
    row: IntArray,
    chosen: IntArray,
    score: FloatArray,
    backends: Backends,
    served: ServedBundle,
) -> tuple[npt.NDArray[np.bool_], pl.Series]:
    """For each product answered whether it comes from the memory, and its reasons.

    `weights`, float32 `[num_users, longest]`, is the tower's attention, `in_memory` what each user's reviews weigh in
    the memory; `row` (the user), `chosen` (the product) and `score` are `[num_hits]`.
    """
    # One entry for each review of each product answered.
    offsets, entry = ragged.take_rows(ragged.offsets_of(np.array([len(user) for user in users])), row)
    hit, place = ragged.row_of_entries(offsets), ragged.place_in_row(np.diff(offsets))
    origin = np.concatenate([user.origin for user in users])[entry]
    reviewed = np.concatenate([user.product for user in users])[entry]
    attention = weights[row[hit], place]
    own = np.concatenate([query.weights for query in in_memory])[entry]
    memory = memory_parts(own, reviewed, chosen[hit], served.catalogue.memory)
    memory += np.concatenate([query.repeats for query in in_memory])[entry] * (reviewed == chosen[hit])
    by_memory = is_from_memory(score, served.exact.memory_scores([query.summed for query in in_memory], row, chosen))
    best = strongest_reviews(hit, attention, memory, by_memory, backends.settings.max_reasons)
    listed = pl.DataFrame(
        {
            "hit": hit[best],
            "asin": pl.Series(served.asins)[reviewed[best]],
            "snippet": served.users.snippet[origin[best]],
            "weight": attention[best].astype(np.float32),
            "memory": memory[best],
        }
    )
    grouped = listed.group_by("hit", maintain_order=True).agg(pl.struct(pl.exclude("hit")).alias("reasons"))
    every = pl.DataFrame({"hit": np.arange(len(row))}).join(grouped, on="hit", how="left", maintain_order="left")
    return by_memory, every["reasons"].cast(_SCHEMA["reasons"]).fill_null([])


def _write_unknown(user_ids: list[str], folder: Path, served: ServedBundle) -> int:
    unknown = sorted({user_id for user_id in user_ids if user_id not in served.users})
    if unknown:
        with atomic_file(folder / _UNKNOWN) as path:
            pl.DataFrame({HistoryColumn.USER_ID: unknown}, schema={HistoryColumn.USER_ID: pl.String}).write_parquet(
                path
            )
    return len(unknown)
