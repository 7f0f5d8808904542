"""What is written and how far it has come: points of upserted products, and what the user sees meanwhile."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rec_sys.contracts import TEXT_DIM, InputError, PayloadField
from rec_sys.vector_database.catalogue import UNIT_TOLERANCE, Catalogue, IndexPoint, IntArray, point_id
from rec_sys.vector_database.contract import IndexVersion, NewProduct, ProductDetails
from rec_sys.vector_database.searching import check_vector

_LOG: Final = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES: Final = 10.0


def all_rows(catalogue: Catalogue) -> IntArray:
    """Every product's index."""
    return np.arange(len(catalogue), dtype=np.int64)


def new_points(
    products: Sequence[NewProduct], version: IndexVersion, known: Mapping[str, ProductDetails]
) -> list[IndexPoint]:
    """Points of products that are upserted into a version.

    Args:
        products: The products.
        version: The version.
        known: What it knows of those that are replaced.

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
        text = None if product.text is None else check_vector(product.text, TEXT_DIM, f"the text of product {asin}")
        payload: dict[str, Any] = asdict(product.details) | {PayloadField.UPSERTED: True}
        payload[PayloadField.CATEGORIES] = list(product.details.categories)
        if product.details.product_index is None and asin in known:
            payload[PayloadField.PRODUCT_INDEX] = known[asin].product_index
        points.append(
            IndexPoint(
                id=point_id(asin),
                vector=vector.tolist(),
                text=None if text is None or not text.any() else text.tolist(),
                memory=_memory(product, version),
                payload=payload,
            )
        )
    return points


def _memory(product: NewProduct, version: IndexVersion) -> tuple[list[int], list[float]] | None:
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


class UploadProgress:
    """A bar in a terminal, a line every ten seconds elsewhere.

    Args:
        total: Products to write.
        shown: False to stay silent.
    """

    def __init__(self, total: int, shown: bool) -> None:
        self._total, self._done, self._shown = total, 0, shown
        console = Console(stderr=True)
        self._bar: Progress | None = None
        if shown and console.is_terminal:
            columns = TextColumn("index: writing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
            self._bar = Progress(*columns, console=console, transient=True)

    def __enter__(self) -> "UploadProgress":
        self._began = self._said = time.monotonic()
        if self._bar is not None:
            self._task = self._bar.add_task("", total=self._total)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, count: int) -> None:
        """Counts products that are written."""
        self._done += count
        now = time.monotonic()
        if self._bar is not None:
            self._bar.advance(self._task, count)
        elif self._shown and now - self._said >= _SECONDS_BETWEEN_LINES and self._done < self._total:
            self._said = now
            left = (self._total - self._done) * (now - self._began) / self._done
            _LOG.info(f"{self._done:,} of {self._total:,} products written, about {left:,.0f} s left")
