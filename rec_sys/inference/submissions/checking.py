"""The strict check of a submission: the file is read again from nothing, and its first wrong line is named."""

import csv
from collections.abc import Collection
from pathlib import Path

from rec_sys.contracts import InputError
from rec_sys.inference.liked_products import HEADER
from rec_sys.inference.submissions.contract import SubmissionFormat


def check_submission(
    path: Path, form: SubmissionFormat, products: Collection[str], users: Collection[str] | None = None
) -> dict[str, list[str]]:
    """Reads a submission as whoever receives it would.

    Args:
        path: The file.
        form: Its format.
        products: Ids of the catalogue: no other may stand there.
        users: Who must be in it, each once and nobody else; None: anybody, each once.

    Returns:
        The products of each user, as they stand in the file.

    Raises:
        InputError: It is not what the format says; the line and the reason are named.
    """
    lists: dict[str, list[str]] = {}
    wanted, known = None if users is None else set(users), set(products)
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file, strict=True)
        try:
            if (header := next(rows, [])) != list(form.header):
                raise ValueError(f"the header is {','.join(header)!r} and not {','.join(form.header)!r}")
            for row in rows:
                user, listed = _read_row(row, form, known)
                if user in lists:
                    raise ValueError(f"the user {user!r} stands there twice")
                if wanted is not None and user not in wanted:
                    raise ValueError(f"the user {user!r} was not asked for")
                lists[user] = listed
                if form.most_users is not None and len(lists) > form.most_users:
                    raise ValueError(f"more than {form.most_users:,} users")
        except (ValueError, csv.Error) as error:
            raise _refused(path, rows.line_num, str(error)) from error
    if wanted is not None and (missing := sorted(wanted - lists.keys())):
        raise _refused(path, rows.line_num, f"{len(missing):,} users are missing, the first is {missing[0]!r}")
    return lists


def check_answers(path: Path, products: Collection[str], scale: tuple[float, float], limit: int) -> int:
    """Reads an answer of `infer liked=FILE` likewise: known products, each once, with numbers in their ranges.

    Returns:
        How many products it has.

    Raises:
        InputError: As above.
    """
    known, found = set(products), set[str]()
    bounds = {"predicted_rating": scale, "similarity": (-1.0, 1.0)}
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, strict=True)
        try:
            if (header := tuple(rows.fieldnames or ())) != HEADER:
                raise ValueError(f"the header is {','.join(header)!r} and not {','.join(HEADER)!r}")
            for row in rows:
                asin = row[HEADER[0]]
                if None in row or None in row.values():
                    raise ValueError(f"not {len(HEADER)} fields")
                if asin not in known or asin in found:
                    raise ValueError(f"the product {asin!r} {'stands there twice' if asin in found else 'is unknown'}")
                for name, (low, high) in bounds.items():
                    if row[name] and not low <= float(row[name]) <= high:
                        raise ValueError(f"{name} is {row[name]} and not {low:g} to {high:g}")
                found.add(asin)
            if not 0 < len(found) <= limit:
                raise ValueError(f"{len(found)} products and not 1 to {limit}")
        except (ValueError, csv.Error) as error:
            raise _refused(path, rows.line_num, str(error)) from error
    return len(found)


def _read_row(row: list[str], form: SubmissionFormat, known: set[str]) -> tuple[str, list[str]]:
    if len(row) != len(form.header):
        raise ValueError(f"{len(row)} fields and not {len(form.header)}")
    user, field = row
    if not user:
        raise ValueError("a user without an id")
    listed = form.read(field)
    if len(listed) > form.products or (form.is_full and len(listed) < form.products):
        raise ValueError(f"{len(listed)} products and not {form.products}{'' if form.is_full else ' at most'}")
    if not listed:
        raise ValueError("no product")
    if len(set(listed)) < len(listed):
        raise ValueError("a product stands there twice")
    if unknown := [one for one in listed if one not in known]:
        raise ValueError(f"the product {unknown[0]!r} is not in the catalogue")
    return user, listed


def _refused(path: Path, line: int, why: str) -> InputError:
    return InputError(f"the submission is refused: {why}", where=f"{path}, line {line}", remedy="export it again")
