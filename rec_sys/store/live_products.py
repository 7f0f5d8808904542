"""What the store says of products: new ones, changed ones, removed ones; a view that follows the log."""

from collections.abc import Sequence
from dataclasses import dataclass

from rec_sys.store.messages import Change, ChangeKind, WrittenProduct


@dataclass(frozen=True)
class LiveProduct:
    """What is said of a product.

    Attributes:
        said: The fields that are set count.
        sequence: Where the newest of it stands in the log.
        is_whole: What the bundle knows of it counts no more.
        is_removed: It is not there.
    """

    said: WrittenProduct
    sequence: int
    is_whole: bool = False
    is_removed: bool = False


class LiveProducts:
    """Products by asin.

    Attributes:
        changed: Those of which there is something new, until somebody takes it.
        came: When each was put for the first time; milliseconds since 1970 UTC.
    """

    def __init__(self) -> None:
        self._products: dict[str, LiveProduct] = {}
        self._reviewed: set[str] = set()
        self.changed: set[str] = set()
        self.came: dict[str, int] = {}

    def __contains__(self, asin: object) -> bool:
        return asin in self._products

    def __len__(self) -> int:
        return len(self._products)

    def about(self, asin: str) -> LiveProduct:
        """What is said of one of them; raises KeyError for another."""
        return self._products[asin]

    def asins(self) -> set[str]:
        """All of which something is said."""
        return set(self._products)

    def out_of_stock(self) -> set[str]:
        """Those that cannot be had."""
        return {asin for asin, product in self._products.items() if not product.said.in_stock}

    def removed(self) -> set[str]:
        """Those that are not there."""
        return {asin for asin, product in self._products.items() if product.is_removed}

    def apply(self, changes: Sequence[Change]) -> None:
        """Takes the next entries of the log in."""
        for change in changes:
            if change.product is not None:
                if change.kind is ChangeKind.PRODUCT:
                    self.came[change.product.asin] = change.written
                self._apply(change.kind, change.product, change.sequence)
            elif change.kind in (ChangeKind.REVIEW_REMOVED, ChangeKind.USER_FORGOTTEN):
                self.changed |= self._reviewed  # whose it was is not said any more
            elif change.review is not None and change.review.asin in self._products:
                self._reviewed.add(change.review.asin)
                self.changed.add(change.review.asin)

    def _apply(self, kind: ChangeKind, said: WrittenProduct, sequence: int) -> None:
        asin = said.asin
        if kind is ChangeKind.PRODUCT_CHANGED:
            before = self._products.get(asin, LiveProduct(WrittenProduct(asin=asin), sequence))
            fields = {name: getattr(said, name) for name in said.model_fields_set}
            told = before.said.model_copy(update=fields)
            self._products[asin] = LiveProduct(told, sequence, before.is_whole, before.is_removed)
        else:
            self._products[asin] = LiveProduct(said, sequence, True, kind is ChangeKind.PRODUCT_REMOVED)
        self.changed.add(asin)
