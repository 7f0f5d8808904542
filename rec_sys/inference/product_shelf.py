"""Products that are written while the service runs, laid over the index: what came or changed is in the next answer."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any, Final

import numpy as np
import polars as pl

from rec_sys.contracts import PayloadField, ProductColumn
from rec_sys.inference.backends import Backends
from rec_sys.inference.contract import Review
from rec_sys.inference.following import following
from rec_sys.inference.placing import FirstReview, place_product
from rec_sys.inference.review_log import ReviewLog
from rec_sys.inference.review_texts import join_text
from rec_sys.inference.served_bundle import ServedBundle
from rec_sys.raw_files.product_texts import PRODUCT_FACTS_SCHEMA, described_products
from rec_sys.raw_files.rating_scales import to_stars
from rec_sys.store.live_products import LiveProduct
from rec_sys.vector_database.catalogue import FloatArray, IndexPoint
from rec_sys.vector_database.contract import IndexVersion, ProductDetails
from rec_sys.vector_database.new_points import new_points
from rec_sys.vector_database.overlay import ProductOverlay
from rec_sys.vector_database.words import title_of

_AT_ONCE: Final = 64  # products that are placed before others may ask
# What, said anew of a product that the bundle knows, makes its text another: a brand alone would lose the description,
# which the bundle does not keep.
_DESCRIBES: Final = frozenset({"title", "description"})


class ProductShelf:
    """Follows what the log says of products; for one event loop."""

    def __init__(self, backends: Backends, log: ReviewLog, poll_seconds: float) -> None:
        self._backends, self._log, self._poll_seconds = backends, log, poll_seconds
        self._placing = asyncio.Lock()

    async def sync(self) -> None:
        """Lays over the index what is new, until nothing is; the next question sees it.

        Raises:
            ServingUnavailable: A part is away that it takes to read a text; what is new is kept for the next time.
            InputError: The bundle cannot place products.
        """
        products = self._log.products
        while len(products):
            async with self._placing:
                served = await self._backends.served()
                version = served.catalogue.version(self._backends.index_settings)
                overlay = self._backends.index.overlay
                if not isinstance(overlay, ProductOverlay) or overlay.bundle != served.identity:
                    overlay = await asyncio.to_thread(ProductOverlay, version)
                    products.changed |= {asin for asin in products.asins() if self._is_news(asin, served)}
                # What is gone needs no text to be read, and must not come back with another bundle meanwhile.
                served.removed, served.out_of_stock = products.removed(), products.out_of_stock()
                overlay.remove(served.removed)
                overlay.set_out_of_stock(served.out_of_stock)
                self._backends.index.overlay = overlay
                taken = set(list(products.changed)[:_AT_ONCE])
                products.changed -= taken
                try:
                    await self._lay(overlay, served, version, taken)
                    served.written = overlay.details
                except BaseException:  # a cancelled request, too: what it took is laid by the next
                    products.changed |= taken
                    raise
            if not products.changed:
                return

    def following(self) -> AbstractAsyncContextManager[None]:
        """Follows what others write, for an `async with` block."""
        return following(self.sync, self._poll_seconds, "what was written of products")

    def _is_news(self, asin: str, served: ServedBundle) -> bool:
        """Whether more is said of a product than the bundle holds already."""
        trained = self._log.trained(served) or 0
        return asin not in served.index_of or self._log.products.about(asin).sequence > trained

    async def _lay(
        self, overlay: ProductOverlay, served: ServedBundle, version: IndexVersion, asins: Collection[str]
    ) -> None:
        live = {asin: self._log.products.about(asin) for asin in sorted(asins)}
        live = {
            asin: product for asin, product in live.items() if _is_described(product) and self._is_news(asin, served)
        }
        facts = await asyncio.to_thread(_facts_of, live, served)
        written = self._log.reviews_of(asin for asin in live if asin not in served.index_of)
        reviews = {asin: written.get(asin, []) for asin in live}
        texts = {facts[asin]["text"] for asin, product in live.items() if _is_read_anew(product, asin, served)}
        texts |= {join_text(review) for theirs in reviews.values() for _, review in theirs}
        vectors = await self._read(sorted(filter(None, texts)), served)

        def place() -> None:
            overlay.write([_point(live[asin], facts[asin], reviews[asin], vectors, served, version) for asin in live])

        await asyncio.to_thread(place)

    async def _read(self, texts: Sequence[str], served: ServedBundle) -> Mapping[str | None, FloatArray]:
        if not texts or served.text_settings.source != "encoder":
            return {}
        vectors, _ = await self._backends.embed(texts, served)
        return dict(zip(texts, vectors, strict=True))


def _is_described(product: LiveProduct) -> bool:
    """Whether more is said of it than that it can be had, or not."""
    return not product.is_removed and (product.is_whole or bool(product.said.model_fields_set - {"asin", "in_stock"}))


def _is_read_anew(product: LiveProduct, asin: str, served: ServedBundle) -> bool:
    """Whether its text is another than the bundle's."""
    return product.is_whole or asin not in served.index_of or bool(product.said.model_fields_set & _DESCRIBES)


def _facts_of(live: Mapping[str, LiveProduct], served: ServedBundle) -> dict[str, dict[str, Any]]:
    """What is known of products by asin, cleaned as training cleans it, with the text that is made of it."""
    rows = []
    for asin, product in live.items():
        known: dict[str, Any] = {}
        if not product.is_whole and asin in served.index_of:
            known = served.catalogue.details.row(served.index_of[asin], named=True)
        row = known | product.said.model_dump(exclude_unset=True)
        rows.append({name: row.get(name) for name in PRODUCT_FACTS_SCHEMA})
    schema: Any = PRODUCT_FACTS_SCHEMA | {ProductColumn.PRICE: pl.Float64()}
    frame = pl.DataFrame(rows, schema=schema)
    described = described_products(frame)
    return {row["asin"]: row for row in described.to_dicts()}


def _point(
    product: LiveProduct,
    facts: Mapping[str, Any],
    reviews: Sequence[tuple[str, Review]],
    vectors: Mapping[str | None, FloatArray],
    served: ServedBundle,
    version: IndexVersion,
) -> IndexPoint:
    asin: str = facts["asin"]
    names = (PayloadField.TITLE, PayloadField.BRAND, PayloadField.CATEGORIES, PayloadField.PRICE)
    shown = {str(name): facts[name] for name in names}
    text = vectors.get(facts["text"])
    row = served.index_of.get(asin)
    if row is not None:
        [known] = served.catalogue.points(np.array([row]))
        meaning = known.text if not _is_read_anew(product, asin, served) else None if text is None else text.tolist()
        words = served.catalogue.words.weigh(title_of(shown["title"], shown["brand"]))
        return replace(known, text=meaning, words=words, payload=known.payload | shown)
    first = [_first_review(user_id, review, vectors, served) for user_id, review in reviews]
    stars = [review.rating for review in first if review.rating is not None]
    details = ProductDetails(
        asin,
        title=shown["title"],
        brand=shown["brand"],
        categories=tuple(shown["categories"] or ()),
        price=shown["price"],
        rating_mean=float(np.mean(stars)) if stars else None,
        review_count=len(first),
    )
    [point] = new_points([place_product(served, details, text, first)], version, {})
    return point


def _first_review(
    user_id: str, review: Review, vectors: Mapping[str | None, FloatArray], served: ServedBundle
) -> FirstReview:
    stars = None if review.rating is None else to_stars(review.rating, served.rating_scale)
    return FirstReview(user_id, stars, review.timestamp, vectors.get(join_text(review)), review.weight)
