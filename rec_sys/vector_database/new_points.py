"""Products that come after a version was published, as points of it."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from rec_sys.contracts import InputError, PayloadField
from rec_sys.vector_database.catalogue import UNIT_TOLERANCE, IndexPoint, point_id
from rec_sys.vector_database.contract import IndexVersion, NewProduct, ProductDetails, check_vector


def new_points(
    products: Sequence[NewProduct], version: IndexVersion, known: Mapping[uuid.UUID, ProductDetails]
) -> list[IndexPoint]:
    """Points of products that are upserted into a version, which knows `known` of those replaced.

    Raises:
        InputError: As `ProductIndex.upsert`.
    """
    points = []
    for product in products:
        asin = product.details.asin
        vector = check_vector(product.vector, version.dim, f"the vector of product {asin}")
        length = float(np.linalg.norm(vector))
        if abs(length - 1) > UNIT_TOLERANCE:
            raise InputError(
                f"the vector of product {asin} has length {length:.3g}, not 1",
                where=f"product {asin}",
                remedy="take it from the product tower as it is",
            )
        text = (
            None
            if product.text is None
            else check_vector(product.text, version.text_dim, f"the text of product {asin}")
        )
        payload: dict[str, Any] = asdict(product.details) | {PayloadField.UPSERTED: True}
        payload[PayloadField.CATEGORIES] = list(product.details.categories)
        point = point_id(asin)
        if product.details.product_index is None and point in known:
            payload[PayloadField.PRODUCT_INDEX] = known[point].product_index
        meaning = None if text is None or not text.any() else text.tolist()
        words = product.words if version.has_words else None
        points.append(IndexPoint(point, vector.tolist(), meaning, _memory_of(product, version), words, payload))
    return points


def _memory_of(product: NewProduct, version: IndexVersion) -> tuple[list[int], list[float]] | None:
    if not product.memory:
        return None
    reviewed, weights = list(product.memory), [float(weight) for weight in product.memory.values()]
    if min(reviewed) < 0 or max(reviewed) >= version.num_products or not np.isfinite(weights).all():
        raise InputError(
            f"the memory of product {product.details.asin} holds product indices that the index does not have,"
            " or weights that are not finite",
            where=f"product {product.details.asin}",
            remedy=f"use the indices 0 to {version.num_products - 1} of the bundle that the index was made from",
        )
    return reviewed, weights
