"""What a shop says of its products: taken, changed, removed; the next answer knows it."""

from rec_sys.contracts import InputError
from rec_sys.inference.backends import Backends
from rec_sys.inference.product_messages import ChangedFacts, ProductFacts, TakenProduct
from rec_sys.inference.product_shelf import ProductShelf
from rec_sys.inference.review_log import ReviewLog
from rec_sys.store.messages import WrittenProduct
from rec_sys.store.tables import ChangeKind
from rec_sys.vector_database.contract import UnknownProductError


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

    async def _write(self, kind: ChangeKind, product: WrittenProduct) -> TakenProduct:
        sequence = await self._log.write_product(kind, product)
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
        served = await self._backends.served()
        if asin in self._log.products:
            is_there = not self._log.products.about(asin).is_removed
        else:
            is_there = asin in served.index_of
        if not is_there:
            raise UnknownProductError(
                f"there is no product {asin}", where="asin", remedy="check the asin, or put the product first"
            )
