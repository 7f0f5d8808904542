"""Writes a submission: the model's lists for whoever a format asks for, filled up where need be, and checked."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from rec_sys.contracts import InputError
from rec_sys.files import atomic_file
from rec_sys.inference.backends import Backends
from rec_sys.inference.batch_export import answer_users
from rec_sys.inference.served_bundle import ServedBundle
from rec_sys.inference.submissions.checking import check_submission
from rec_sys.inference.submissions.contract import Lists, SubmissionFormat
from rec_sys.raw_files.table_rows import read_columns
from rec_sys.settings import EngineSettings


@dataclass(frozen=True)
class SubmissionResult:
    """What was written.

    Attributes:
        filled: Users whose list the most popular products complete.
        unknown: Users whom the bundle does not know: their whole list is the most popular products.
        measured: By way of doing it the metrics; empty where nothing was given to measure by.
    """

    users: int
    filled: int
    unknown: int
    measured: dict[str, dict[str, float]] = field(default_factory=dict)


async def export_submission(
    backends: Backends,
    form: SubmissionFormat,
    path: Path,
    users: Path | None,
    truth: Path | None,
    engine: EngineSettings | None = None,
) -> SubmissionResult:
    """Writes a file of a format; it appears whole, after its check.

    Args:
        backends: The bundle and the towers.
        form: The format.
        path: The file. What it measures stands beside it, as `<name>.metrics.json`.
        users: A table of the users to ask for; None for whom the format chooses.
        truth: A raw file of what happened next, to measure by; None for nothing.
        engine: Who answers; None: this process.

    Raises:
        InputError: A file cannot be read, the cluster cannot be used, or what was written is not what the format says.
        ServingUnavailable: A component is away.
    """
    if truth is not None and form.measure is None:
        raise InputError("this format is measured by nothing", where="setting truth", remedy="leave it out")
    served = await backends.served()
    _refuse_other_ids(form, served)
    asked = _asked(form, served) if users is None else _listed(users, form.user_column)
    known = [user for user in asked if user in served.users]
    answered: dict[str, list[str]] = {}
    async for table in answer_users(backends, served, known, form.products, form.with_seen, engine):
        answered |= dict(table.group_by("user_id", maintain_order=True).agg(pl.col("asin")).rows())
    popular = [served.asins[product] for product in served.by_popularity[: 2 * form.products].tolist()]
    popular = popular if form.popular is None else [*form.popular(served), *popular]
    lists = {user: _filled(answered.get(user, []), popular, form) for user in asked}
    with atomic_file(path) as unfinished:
        write_submission(unfinished, form, lists)
        check_submission(unfinished, form, served.asins, asked)
    measured = {}
    if truth is not None and form.measure is not None:
        measured = form.measure(lists, truth, served)
        with atomic_file(path.with_name(f"{path.stem}.metrics.json")) as unfinished:
            unfinished.write_text(json.dumps(measured, indent=2, sort_keys=True) + "\n")
    filled = sum(len(answered.get(user, [])) < len(lists[user]) for user in known)
    return SubmissionResult(len(asked), filled, len(asked) - len(known), measured)


def write_submission(path: Path, form: SubmissionFormat, lists: Lists) -> None:
    """Writes lists as a format says, unchecked."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(form.header)
        rows.writerows((user, form.write(products)) for user, products in lists.items())


def _refuse_other_ids(form: SubmissionFormat, served: ServedBundle) -> None:
    """Refuses a bundle whose ids the format does not give back, as another shop's or such as have lost their zeros."""
    for asin in served.asins:
        field = form.write([asin])
        try:
            same = form.read(field) == [asin]
        except ValueError:
            same = False
        if not same:
            raise InputError(
                f"the bundle's products are not this format's: {asin[:40]!r} would be written {field[:40]!r}",
                where=str(served.bundle.folder),
                remedy="choose the format of the bundle's own shop; where ids lost zeros, train on files with them",
            )


def _listed(users: Path, column: str) -> list[str]:
    return read_columns(users, [column])[column].drop_nulls().unique(maintain_order=True).to_list()


def _asked(form: SubmissionFormat, served: ServedBundle) -> list[str]:
    return list(served.users) if form.users is None else form.users(served)


def _filled(own: Sequence[str], popular: Sequence[str], form: SubmissionFormat) -> list[str]:
    """A list with the most popular products after the user's own, where it has to be full or would be empty."""
    if own and not form.is_full:
        return list(own)
    return list(dict.fromkeys([*own, *popular]))[: form.products]
