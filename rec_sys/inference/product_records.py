"""What a shop says of its products: taken, changed, removed; the next answer knows it."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from rec_sys.contracts import InputError, PayloadField
from rec_sys.inference.backends import Backends
from rec_sys.inference.product_messages import (
    ChangedFacts,
    ListedProduct,
    ListedProducts,
    ProductFacts,
    TakenProduct,
)
from rec_sys.inference.product_shelf import ProductShelf
from rec_sys.inference.review_log import ReviewLog
from rec_sys.inference.served_bundle import ServedBundle
from rec_sys.store.messages import ChangeKind, WrittenProduct
from rec_sys.vector_database.contract import UnknownProductError


class TakenList(NamedTuple):
    """What came of a list of products: how many are new, and of how many others something is another than before."""

    new: int
    changed: int


class ProductRecords:
    """The products in the store and in the bundle served; for one event loop."""

    def __init__(self, backends: Backends, log: ReviewLog, shelf: ProductShelf) -> None:
        self._backends, self._log, self._shelf = backends, log, shelf

    async def put(self, asin: str, facts: ProductFacts) -> TakenProduct:
        """Takes all that is known of a product: when this returns it survives any kill.

        Raises:
            ServingUnavailable: The store is away, or there is no bundle.
        """
        await self._backends.served()
        return await self._write(ChangeKind.PRODUCT, WrittenProduct(asin=asin, **dict(facts)))

    async def change(self, asin: str, facts: ChangedFacts) -> TakenProduct:
        """Takes what is another now; the rest stays.

        Raises:
            UnknownProductError: There is no such product.
            ServingUnavailable: The store is away, or there is no bundle.
        """
        await self._check(asin)
        said = {name: getattr(facts, name) for name in facts.model_fields_set}
        return await self._write(ChangeKind.PRODUCT_CHANGED, WrittenProduct(asin=asin, **said))

    async def remove(self, asin: str) -> None:
        """Takes a product away; raises as `change`."""
        await self._check(asin)
        await self._write(ChangeKind.PRODUCT_REMOVED, WrittenProduct(asin=asin))

    async def take_all(self, products: Sequence[WrittenProduct]) -> TakenList:
        """Takes what a list says of products, all or nothing: of one that is there the fields that are set are so from
        now on and the rest stays; another one is new. What is known already is not said again.

        Raises:
            ServingUnavailable: The store is away, or there is no bundle.
        """
        served = await self._backends.served()
        latest = {product.asin: product for product in products}.values()
        said = [
            (ChangeKind.PRODUCT_CHANGED if self._is_there(product.asin, served) else ChangeKind.PRODUCT, product)
            for product in latest
            if self._is_news(product, served)
        ]
        if said:
            await self._log.write_products(said)
            with suppress(InputError):  # it is safe, and is laid over the index when what is away is back
                await self._shelf.sync()
        new = sum(kind == ChangeKind.PRODUCT for kind, _ in said)
        return TakenList(new, len(said) - new)

    def _is_there(self, asin: str, served: ServedBundle) -> bool:
        if asin in self._log.products:
            return not self._log.products.about(asin).is_removed
        return asin in served.index_of

    def _is_news(self, product: WrittenProduct, served: ServedBundle) -> bool:
        """Whether more is said than is known."""
        if not self._is_there(product.asin, served):
            return True
        known: dict[str, Any] = {}
        if (row := served.listing.row_of.get(product.asin)) is not None:
            known = dict(self._listed(served.listing.details.row(row, named=True)))
        if product.asin in self._log.products:
            said = self._log.products.about(product.asin).said
            known |= {name: getattr(said, name) for name in said.model_fields_set}
        return any(known.get(name) != getattr(product, name) for name in product.model_fields_set)

    async def page(self, words: str, limit: int, offset: int) -> ListedProducts:
        """A page of the products that are there: those of which something was said last come first, then the most
        reviewed ones.

        Args:
            words: All of them stand in the title or the asin.
            limit: Most products.
            offset: Products to skip, for later pages.

        Raises:
            ServingUnavailable: There is no bundle.
        """
        served = await self._backends.served()
        listing, said = served.listing, self._log.products
        newest = np.zeros(len(listing.popularity), dtype=np.int64)
        for asin in said.asins():
            if (row := listing.row_of.get(asin)) is not None:
                newest[row] = said.about(asin).sequence
        order = np.lexsort((-listing.popularity, -newest))
        order = order[_there(listing.details, words, said.removed())[order]]
        rows = listing.details[order[offset : offset + limit]].to_dicts()
        return ListedProducts(total=len(order), products=tuple(self._listed(row) for row in rows))

    async def about(self, asin: str) -> ListedProduct:
        """One of them.

        Raises:
            UnknownProductError: There is no such product.
            ServingUnavailable: There is no bundle.
        """
        await self._check(asin)
        listing = (await self._backends.served()).listing
        if (row := listing.row_of.get(asin)) is not None:
            return self._listed(listing.details.row(row, named=True))
        facts = self._log.products.about(asin).said.model_dump()  # not laid over the index yet
        return ListedProduct(**facts, review_count=0, written=True)

    def _listed(self, row: Mapping[str, Any]) -> ListedProduct:
        asin, price = row[PayloadField.ASIN], row[PayloadField.PRICE]
        said = self._log.products.about(asin).said if asin in self._log.products else None
        return ListedProduct(
            asin=asin,
            title=row[PayloadField.TITLE],
            brand=row[PayloadField.BRAND],
            categories=tuple(row[PayloadField.CATEGORIES] or ()),
            price=None if price is None else float(str(np.float32(price))),  # 9.99, not 9.989999771118164
            description=None if said is None else said.description,
            in_stock=said is None or said.in_stock,
            review_count=row[PayloadField.REVIEW_COUNT] or 0,
            written=said is not None,
        )

    async def _write(self, kind: ChangeKind, product: WrittenProduct) -> TakenProduct:
        sequence = await self._log.write_products([(kind, product)])
        try:
            await self._shelf.sync()
        except InputError:  # it is safe, and is laid over the index when what is away is back
            is_searchable = False
        else:
            is_searchable = self._log.position >= sequence
        trained = product.asin in (await self._backends.served()).index_of
        return TakenProduct(asin=product.asin, sequence=sequence, trained=trained, searchable=is_searchable)

    async def _check(self, asin: str) -> None:
        """Raises where there is no such product."""
        if not self._is_there(asin, await self._backends.served()):
            raise UnknownProductError(
                f"there is no product {asin}", where="asin", remedy="check the asin, or put the product first"
            )


def _there(details: pl.DataFrame, words: str, removed: Collection[str]) -> npt.NDArray[np.bool_]:
    """Which products are there and are called so; bool `[num_products]`."""
    asin, title = pl.col(PayloadField.ASIN), pl.col(PayloadField.TITLE).fill_null("")
    called = pl.concat_str(asin, title, separator=" ").str.to_lowercase()
    fits = [called.str.contains(word, literal=True) for word in words.lower().split()]
    found = details.select(pl.all_horizontal(~asin.is_in(list(removed)), *fits))
    return np.asarray(found.to_series().to_numpy(), dtype=np.bool_)
