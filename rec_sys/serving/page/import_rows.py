"""Rows of an offered file as the store's messages: what it does not take is counted by what is wrong."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import polars as pl
from pydantic import BaseModel, ValidationError

from rec_sys.contracts import ProductColumn, ReviewColumn
from rec_sys.inference.contract import Id
from rec_sys.inference.product_messages import ProductFacts
from rec_sys.inference.product_records import TakenList
from rec_sys.inference.review_messages import NewReview
from rec_sys.offered_file import Kind
from rec_sys.raw_files.rating_scales import on_scale
from rec_sys.store.messages import WrittenProduct
from rec_sys.value_words import fault_in_words

if TYPE_CHECKING:
    from rec_sys.inference.recommender import Recommender

# So few that other questions are answered between; products are placed before the next ones.
AT_ONCE: Final[dict[Kind, int]] = {"reviews": 250, "products": 64}
_DECIMALS: Final = 4  # of float32's seven digits
Message = TypeVar("Message", bound=BaseModel)


class RowWriter:
    """Puts rows into the store; one written again changes nothing."""

    def __init__(self, recommender: "Recommender") -> None:
        self._recommender = recommender

    async def check(self, kind: Kind, folder: Path) -> Counter[str]:
        """How many of the rows in a folder the store would not take, by what is wrong.

        Raises:
            ServingUnavailable: There is no bundle, whose rules they are held to.
        """
        refused = Counter[str]()
        for rows in slices(folder, AT_ONCE[kind]):
            await (self._new_reviews if kind == "reviews" else self._said)(rows, refused)
        return refused

    async def write(self, kind: Kind, rows: pl.DataFrame, refused: Counter[str]) -> TakenList:
        """Writes up to `AT_ONCE` rows; returns how many were new, and how many changed what was known.

        Args:
            kind: What they are.
            rows: With the columns of `offered_file.ROLES`.
            refused: Counts those that the store does not take, by what is wrong.

        Raises:
            ServingUnavailable: The store is away.
        """
        if kind == "reviews":
            records, reviews = self._recommender.records, await self._new_reviews(rows, refused)
            assert records is not None
            return TakenList(await records.take_all(reviews) if reviews else 0, 0)
        products, said = self._recommender.products, await self._said(rows, refused)
        assert products is not None
        return await products.take_all(said) if said else TakenList(0, 0)

    async def _new_reviews(self, rows: pl.DataFrame, refused: Counter[str]) -> list[NewReview]:
        records = self._recommender.records
        assert records is not None
        scale = await self._recommender.insight.rating_scale()
        length = pl.sum_horizontal(pl.col(ReviewColumn.TITLE, ReviewColumn.TEXT).str.len_chars().fill_null(0))
        short = rows.filter(length <= records.longest_text)
        if left_out := rows.height - short.height:
            refused[f"a text of more than {records.longest_text:,} characters"] += left_out
        stars = short[ReviewColumn.RATING].cast(pl.Float64).round(_DECIMALS)
        rated = short.with_columns(on_scale(stars, scale).alias(ReviewColumn.RATING))
        return await asyncio.to_thread(lambda: list(_messages(NewReview, rated.to_dicts(), refused)))

    async def _said(self, rows: pl.DataFrame, refused: Counter[str]) -> list[WrittenProduct]:
        priced = rows.with_columns(pl.col(ProductColumn.PRICE).cast(pl.Float64).round(_DECIMALS))
        given = [{name: value for name, value in row.items() if value not in (None, [])} for row in priced.to_dicts()]
        facts = await asyncio.to_thread(lambda: list(_messages(_ListedFacts, given, refused)))
        return [WrittenProduct(**one.model_dump(exclude_unset=True)) for one in facts]


class _ListedFacts(ProductFacts):
    """What a row of a file says of a product."""

    asin: Id


def slices(folder: Path, at_once: int) -> Iterator[pl.DataFrame]:
    """The rows that the reading process has left, in their order."""
    for path in sorted(folder.glob("*.parquet")):
        yield from pl.read_parquet(path).iter_slices(at_once)


def _messages(kind: type[Message], rows: list[dict[str, Any]], refused: Counter[str]) -> Iterator[Message]:
    """Rows as the store's messages; those that are none are counted by what is wrong."""
    for row in rows:
        try:
            yield kind(**row)
        except ValidationError as error:
            fault = error.errors()[0]
            refused[fault_in_words(fault, str(fault["loc"][0]))] += 1
