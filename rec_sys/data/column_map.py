"""Which column of a table is what: found by name, in several languages, and by content, where the settings say auto."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import polars as pl

from rec_sys.contracts import InputError, ProductColumn, ReviewColumn
from rec_sys.data.column_map_file import with_map
from rec_sys.data.column_names import LIKELY, compact, known_names, likeness, split_words
from rec_sys.data.event_proposal import propose_events
from rec_sys.data.headerless import refuse_headerless
from rec_sys.data.readers.events import event_columns
from rec_sys.data.readers.table import product_table, review_table, table_form
from rec_sys.raw_files.listing import first_of
from rec_sys.raw_files.rating_scales import STARS, proposed_settings
from rec_sys.raw_files.table_rows import read_table_rows
from rec_sys.raw_files.tables import Table, check_columns, has_time_type, list_columns, list_text_columns
from rec_sys.raw_files.times import time_forms
from rec_sys.ready_command import argument
from rec_sys.settings import AUTO, TableData

_LOG: Final = logging.getLogger(__name__)

_EXAMINED: Final = 10_000  # rows
_MOST_STARS: Final = 101  # different ratings, such as 0 to 100
_WORDED: Final = 0.95  # of the ratings, where words are the scale; the rest says that there is none
_JOINED: Final = 0.1  # of the reviewed products, in the column that names them in the product table
_TRUTH: Final = {"true", "false", "yes", "no", "y", "n", "t", "f", "0", "1", "0.0", "1.0"}


@dataclass(frozen=True)
class TableHead:
    """The first rows of a table, every column as text; `textless` are the columns that cannot be."""

    path: Path
    setting: str
    frame: pl.DataFrame
    textless: tuple[str, ...]


def is_settled(data: TableData) -> bool:
    """Whether the settings name every column, so that nothing is to be found."""
    maps = (data.columns, *([data.product_columns] if data.metadata_path and data.product_columns else ()))
    return all(AUTO not in found.model_dump().values() for found in maps)


def complete_map(data: TableData) -> TableData:
    """The settings with every column that they leave open found or null, and the scale of ratings found with it.

    Raises:
        InputError: A file cannot be read, two columns could be meant, or none for the user or the product.
    """
    if data.map_path is not None:
        data = with_map(data, data.map_path)
    tables = [review_table(data.reviews_path, data)]
    if data.metadata_path and data.product_columns:
        tables.append(product_table(data.metadata_path, data))
    for table in tables:
        refuse_headerless(table)
    check_columns(*tables)  # of both at once, so that one message names all that are wrong
    if is_settled(data):
        return data
    head = read_head(data, data.reviews_path, "data.columns", data.columns.model_dump())
    columns = _find_review_columns(head, data.columns.model_dump(), {*event_columns(data.events).values()})
    if data.events.column is None:
        propose_events(head.frame, columns.values())
    changes: dict[str, Any] = {"columns": data.columns.model_copy(update=columns)}
    rating = columns[ReviewColumn.RATING]
    if data.columns.rating == AUTO and rating is not None and data.rating_scale == STARS:
        changes |= _rating_settings(head.frame[rating], data)
    if data.metadata_path and data.product_columns:
        given = data.product_columns.model_dump()
        products = read_head(data, data.metadata_path, "data.product_columns", given)
        found = _find_product_columns(products, given, head.frame[str(columns[ReviewColumn.ASIN])])
        changes["product_columns"] = data.product_columns.model_copy(update=found)
    return data.model_copy(update=changes)


def complete_product_map(data: TableData) -> TableData:
    """The same for a table of products alone, whose id is found by its name.

    Raises:
        InputError: The file cannot be read, or no column is known to be the product.
    """
    assert data.metadata_path is not None
    assert data.product_columns is not None
    table = product_table(data.metadata_path, data)
    refuse_headerless(table)
    check_columns(table)
    given = data.product_columns.model_dump()
    if AUTO not in given.values():
        return data
    head = read_head(data, data.metadata_path, "data.product_columns", given)
    found = _find_product_columns(head, given, pl.Series([], dtype=pl.String))
    return data.model_copy(update={"product_columns": data.product_columns.model_copy(update=found)})


def read_head(data: TableData, path: Path, setting: str, given: dict[str, str | None]) -> TableHead:
    """Reads the first rows; the columns that the settings name help to find how a CSV is written."""
    named = {name: column for name, column in given.items() if column not in (None, AUTO)}
    whole = Table(path, named, setting, data.missing_values, table_form(data))
    present = list_text_columns(whole)
    if not present:
        raise InputError("the table has no columns", where=str(path), remedy="look whether it is the right file")
    textless = tuple(name for name in list_columns(whole) if name and name not in present)
    if {*named.values()} & {*textless}:
        next(read_table_rows(whole))  # names the column that is meant to be read, and its type
    batch = next(read_table_rows(replace(whole, columns={name: name for name in present})))
    return TableHead(path, setting, batch.frame.head(_EXAMINED), textless)


def _find_review_columns(head: TableHead, given: dict[str, str | None], events: set[str]) -> dict[str, str | None]:
    frame, names = head.frame, known_names()["reviews"]
    found = {role: column for role, column in given.items() if column != AUTO}
    # Times and ratings first: their content leaves no doubt, and what they are is no id.
    for role in (ReviewColumn.TIMESTAMP, ReviewColumn.RATING, ReviewColumn.ASIN, ReviewColumn.USER_ID, *names):
        if role not in found:
            found[role] = _choose(head, role, names[role], {column for column in found.values() if column} | events)
    for role in (ReviewColumn.ASIN, ReviewColumn.USER_ID):
        if found[role] is None:
            others = {*found.values(), *events, *filter(_is_of_products, frame.columns)}
            left = [name for name in frame.columns if name not in others and _is_id(frame[name])]
            names_of_things = [name for name in left if {"name", "title"} & {*split_words(name)}]
            if role == ReviewColumn.ASIN and len(names_of_things) == 1:  # a title is an id where there is no other
                left = names_of_things
            if len(left) != 1:
                raise _undecided(head, role, left, [name for name in frame.columns if name not in found.values()])
            found[role] = left[0]
    return _checked(head, found)


def _find_product_columns(head: TableHead, given: dict[str, str | None], reviewed: pl.Series) -> dict[str, str | None]:
    frame, names = head.frame, known_names()
    found = {role: column for role, column in given.items() if column != AUTO}
    if ProductColumn.ASIN not in found:
        asins = reviewed.drop_nulls().unique()
        share = {name: frame[name].is_in(asins.implode()).sum() / max(len(asins), 1) for name in frame.columns}
        by_name = {name: likeness(name, names["reviews"]["asin"]) for name in frame.columns}
        best = max(frame.columns, key=lambda name: (share[name] >= _JOINED and round(share[name], 2), by_name[name]))
        if share[best] < _JOINED and not by_name[best]:
            raise _undecided(head, ProductColumn.ASIN, [], frame.columns)
        found[ProductColumn.ASIN] = best
    for role, known in names["products"].items():
        if role not in found:
            # Where products go by their titles, one column is both.
            taken = {column for name, column in found.items() if column and (name, role) != ("asin", "title")}
            found[role] = _choose(head, role, known, taken)
    return _checked(head, found)


def _checked(head: TableHead, found: dict[str, str | None]) -> dict[str, str | None]:
    """The map that was found, none of whose columns has a name that a map cannot say."""
    for role, column in found.items():
        if column == AUTO:
            raise InputError(
                f"the column {AUTO!r} seems to be the {role}, and in a map {AUTO} means: find it",
                where=f"{head.path} ({head.setting}.{role})",
                remedy="rename it in the file, or name another column",
            )
    return found


def _choose(head: TableHead, role: str, known: list[str], taken: set[str]) -> str | None:
    """The column that a role's names and its content fit best; None where there is none."""
    fits = {name: likeness(name, known) for name in head.frame.columns if name not in taken}
    named = [name for name, fit in fits.items() if fit > LIKELY]
    for name in head.textless:
        if likeness(name, known) > LIKELY:
            _LOG.warning(f"the column {name!r} is called like the {role}, but holds no texts: it is not read")
    fits = {name: fit for name, fit in fits.items() if fit and _can_be(role, head.frame[name])}
    if not fits:
        _warn_of_odd_values(head, role, named)
        return _only_date(head, taken) if role == ReviewColumn.TIMESTAMP else None
    sure = [name for name, fit in fits.items() if fit > LIKELY]
    if role == ReviewColumn.TIMESTAMP:  # the finest says most
        return max(sure or fits, key=lambda name: (head.frame[name].n_unique(), fits[name]))
    if role == ReviewColumn.TEXT:  # the longest says most
        return max(sure or fits, key=lambda name: (head.frame[name].str.len_chars().mean() or 0, fits[name]))
    if role in (ReviewColumn.USER_ID, ReviewColumn.ASIN, ReviewColumn.RATING):
        if {compact(name) for name in sure} == {"parentasin", "asin"}:
            sure = sorted(sure, key=compact, reverse=True)[:1]  # the parent is what metadata describes
        if len(sure) > 1 and not all(head.frame[sure[0]].equals(head.frame[name]) for name in sure):
            raise _undecided(head, role, sure)
    return max(fits, key=lambda name: fits[name])


def _only_date(head: TableHead, taken: set[str]) -> str | None:
    """The one column of dates, whatever it is called; numbers may be anything else."""
    found = [name for name in head.frame.columns if name not in taken and _holds_dates(head, name)]
    return found[0] if len(found) == 1 else None


def _holds_dates(head: TableHead, name: str) -> bool:
    forms = time_forms(head.frame[name].drop_nulls())
    return has_time_type(head.path, name) or any(form == "iso" or "%" in form for form in forms)


def _warn_of_odd_values(head: TableHead, role: str, named: list[str]) -> None:
    """Says where a column is called like a role and holds something else, so that it is not left out unseen."""
    also = " and data.rating_words or data.rating_scale" if role == ReviewColumn.RATING else ""
    for name in named:
        values = head.frame[name].drop_nulls().unique(maintain_order=True).head(3).to_list()
        if values:
            _LOG.warning(
                f"the column {name!r} is called like the {role}, but holds {', '.join(map(repr, values))}: it is not"
                f" read; where it is meant, add {argument(f'{head.setting}.{role}', name)}{also}"
            )


def _can_be(role: str, column: pl.Series) -> bool:
    """Whether a column's content suits a role."""
    values = column.drop_nulls()
    if values.is_empty():
        return False
    numeric = _share(values.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False).is_not_null())
    match role:
        case ReviewColumn.TIMESTAMP:
            return bool(time_forms(values))
        case ReviewColumn.RATING:
            return (numeric > 0.9 and values.n_unique() <= _MOST_STARS) or _words_of(values) is not None
        case ReviewColumn.TEXT | ReviewColumn.TITLE:
            return numeric < 0.5
        case ReviewColumn.VERIFIED:
            return set(values.str.to_lowercase().unique().to_list()) <= _TRUTH
        case ReviewColumn.HELPFUL_VOTES:
            return bool(values.str.contains(r"^\[?\s*\d").all())
        case ProductColumn.PRICE:
            return bool(values.str.contains(r"\d").any())
    return True


def _is_of_products(name: str) -> bool:
    """Whether a column is called like a price or a category, which are nobody's ids."""
    names = known_names()["products"]
    return any(likeness(name, names[role]) > LIKELY for role in (ProductColumn.PRICE, ProductColumn.CATEGORIES))


def _is_id(values: pl.Series) -> bool:
    """Whether a column could name users or products: short, and repeated, unlike the number of a row."""
    known = values.drop_nulls()
    longest = int(known.str.len_chars().max() or 0)  # type: ignore[arg-type] # of characters it is a number
    return 1 < known.n_unique() < 0.95 * len(known) and longest <= 256


def _rating_settings(ratings: pl.Series, data: TableData) -> dict[str, Any]:
    """The scale or the words that the first ratings are given in, where they are no stars."""
    if data.rating_words:
        return {}
    if words := _words_of(ratings.drop_nulls()):
        return {"rating_words": words}
    values = ratings.drop_nulls().str.strip_chars().unique()
    if len(values) == 1:
        _refuse_or_warn_of_one_rating(values[0])
        return {}
    scale = proposed_settings(ratings).get("data.rating_scale")
    return {"rating_scale": tuple(float(bound) for bound in scale.strip("[]").split(","))} if scale else {}


def _refuse_or_warn_of_one_rating(value: str) -> None:
    what, scale = f"every rating is {value}, and one value tells no scale", "data.rating_scale=[LOW,HIGH]"
    number = float(value.replace(",", "."))
    if not STARS[0] <= number <= STARS[1]:
        remedy = f"add {scale}, or data.columns.rating=null to leave them out"
        raise InputError(what, where="the first rows", remedy=remedy)
    _LOG.warning(f"{what}: read as stars, 1 to 5; where it is another scale, add {scale}")


def _words_of(ratings: pl.Series) -> dict[str, float] | None:
    """The set of words that nearly all of these belong to."""
    texts = ratings.str.strip_chars().str.to_lowercase()
    sets: list[dict[str, float]] = known_names()["rating_words"]
    return next((words for words in sets if _share(texts.is_in([*words])) >= _WORDED), None)


def _share(flags: pl.Series) -> float:
    return int(flags.sum()) / max(len(flags), 1)


def _undecided(head: TableHead, role: str, choices: list[str], others: Sequence[str] = ()) -> InputError:
    """For a role that several columns could have, or none as far as is known, but one of the others."""
    what = "the user" if role == ReviewColumn.USER_ID else "the product" if role == ReviewColumn.ASIN else f"the {role}"
    several = f"{len(choices)} columns could be" if choices else "no column is known to be"
    shown = [argument(f"{head.setting}.{role}", name) for name in choices or others if name != AUTO]
    remedy = f"add {first_of(shown, ' or ')}" if shown else "look whether it is the right file"
    if AUTO in (choices or others):
        remedy += f"; rename {AUTO} in the file if that is it"
    if head.textless:
        remedy += f"; columns that hold no texts: {first_of(head.textless)}"
    return InputError(f"{several} {what}", where=str(head.path), remedy=remedy)
