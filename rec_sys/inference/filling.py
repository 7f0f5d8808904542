"""Answers that end before their page does, filled up with what most have reviewed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from rec_sys.contracts import PayloadField
from rec_sys.inference.answers import Stars, listed
from rec_sys.inference.contract import Recommendation, RecommendationRequest
from rec_sys.inference.served_bundle import ServedBundle
from rec_sys.vector_database.contract import ProductFilter, ProductHit


def filled_up(
    products: tuple[Recommendation, ...],
    before: Sequence[ProductHit],
    request: RecommendationRequest,
    served: ServedBundle,
    wanted: ProductFilter,
    stars: Stars,
) -> tuple[Recommendation, ...]:
    """A page that is as long as was asked for, as far as the catalogue and the request's rules let it.

    Args:
        products: The page so far.
        before: The whole ranking that it was cut from.
        request: What was asked.
        served: Whose products fill it up; their source is `popular`.
        wanted: Which of them may.
        stars: How their stars are predicted.
    """
    missing = request.limit - len(products)
    if not missing:
        return products
    taken = {hit.product.asin for hit in before} | {*request.like, *request.unlike}
    listing = served.listing
    rows = listing.passing(listing.by_popularity, served.available(wanted))
    asins = listing.details[PayloadField.ASIN].to_list()
    rows = rows[np.array([asins[row] not in taken for row in rows.tolist()], dtype=bool)]
    if request.max_per_brand is not None:
        brands = listing.details[PayloadField.BRAND].to_list()
        counts = Counter(hit.product.brand for hit in before)
        rows = rows[_few([brands[row] for row in rows.tolist()], counts, request.max_per_brand)]
    start = max(0, request.offset - len(before))
    rows = rows[start : start + missing]
    filling = listed(listing.hits(rows, listing.popularity), request, ["popular"] * len(rows), stars)
    return (*products, *(replace(one, rank=one.rank + len(products)) for one in filling))


def _few(brands: Sequence[str | None], counts: Counter[str | None], most: int) -> npt.NDArray[np.bool_]:
    kept = []
    for brand in brands:
        is_kept = brand is None or counts[brand] < most
        counts[brand] += is_kept
        kept.append(is_kept)
    return np.array(kept, dtype=bool)
