"""Why an answer is empty: what a filter asks for that no product has, and the other ends of a ranking."""

import difflib
from collections.abc import Iterable

from rec_sys.contracts import PayloadField
from rec_sys.inference.contract import Filter, Page
from rec_sys.inference.served_bundle import ServedBundle


def explain_empty(page: Page, served: ServedBundle, *, seen_left_out: bool = False) -> tuple[str, ...]:
    """Why a page has no product, in words; `seen_left_out` where products that the user has reviewed are left out."""
    if page.offset:
        return (f"no product: the ranking ends before offset {page.offset}",)
    seen = " that this user has not reviewed; include_seen asks for those too" if seen_left_out else ""
    passing = "no product passes the filter" if page.filter != Filter() else "no product is left"
    return (f"{passing}{seen}", *unmet_parts(page.filter, served))


def unmet_parts(wanted: Filter, served: ServedBundle) -> list[str]:
    """The parts of a filter that no product of the bundle meets, in words, each name with the nearest ones."""
    details, found = served.catalogue.details, []
    if wanted.brands:
        found += _unknown("brand", wanted.brands, served.brands)
    if categories := (*wanted.categories_any, *wanted.categories_all):
        found += _unknown("category", categories, served.categories)
    if (wanted.min_price, wanted.max_price) != (None, None) and not details[PayloadField.PRICE].count():
        found.append("no product of the bundle has a price")
    if wanted.min_rating is not None and not details[PayloadField.RATING_MEAN].count():
        found.append("no product of the bundle has ratings")
    return found


def _unknown(what: str, names: Iterable[str], listed: tuple[str, ...]) -> list[str]:
    by_plain = {name.casefold(): name for name in listed}
    found = []
    for name in dict.fromkeys(names):
        if name in listed:
            continue
        near = difflib.get_close_matches(name.casefold(), by_plain, n=3)
        nearest = f"; the nearest: {', '.join(repr(by_plain[plain]) for plain in near)}" if near else ""
        found.append(f"no product of the bundle has the {what} {name!r}{nearest}")
    return found
