"""What a filter asks for that no product has, so that an empty answer explains itself."""

import difflib
from collections.abc import Iterable

from rec_sys.contracts import PayloadField
from rec_sys.inference.contract import Filter
from rec_sys.inference.served_bundle import ServedBundle


def unmet_parts(wanted: Filter, served: ServedBundle) -> list[str]:
    """The parts of a filter that no product of the bundle meets, in words, each name with the nearest ones."""
    details, found = served.catalogue.details, []
    if wanted.brands:
        found += _unknown("brand", wanted.brands, details[PayloadField.BRAND].drop_nulls().unique())
    if categories := (*wanted.categories_any, *wanted.categories_all):
        found += _unknown("category", categories, details[PayloadField.CATEGORIES].explode().drop_nulls().unique())
    if (wanted.min_price, wanted.max_price) != (None, None) and not details[PayloadField.PRICE].count():
        found.append("no product of the bundle has a price")
    if wanted.min_rating is not None and not details[PayloadField.RATING_MEAN].count():
        found.append("no product of the bundle has ratings")
    return found


def _unknown(what: str, names: Iterable[str], known: Iterable[str]) -> list[str]:
    listed = sorted(known)
    by_plain = {name.casefold(): name for name in listed}
    found = []
    for name in dict.fromkeys(names):
        if name in listed:
            continue
        near = difflib.get_close_matches(name.casefold(), by_plain, n=3)
        nearest = f"; the nearest: {', '.join(repr(by_plain[plain]) for plain in near)}" if near else ""
        found.append(f"no product of the bundle has the {what} {name!r}{nearest}")
    return found
