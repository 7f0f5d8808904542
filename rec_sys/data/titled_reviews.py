"""Reviews that name their products by title, read as reviews of the products that are meant, and what became of all."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

import polars as pl

from rec_sys.contracts import ProductColumn, ReviewColumn
from rec_sys.data.readers.batches import Batch
from rec_sys.raw_files.title_matching import CANDIDATES, MATCHED, STATUS, TITLE, TitleMatcher

NUM_ROWS: Final = "rows"
_EXAMPLES: Final = 3


class MatchedReviews:
    """Reviews whose product is a title, read as reviews of the products that are meant.

    Args:
        products: Reads the table of products.
    """

    def __init__(self, products: Callable[[], Iterator[Batch]]) -> None:
        self._products = products
        self._parts: list[pl.DataFrame] = []

    def read(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The batches with ids for titles; rows without one are left out and counted."""
        matcher = TitleMatcher(pl.concat([batch.rows for batch in self._products()]))
        for batch in batches:
            titles = batch.rows[ReviewColumn.ASIN]
            found = matcher.match(titles)
            self._parts.append(found.with_columns(titles.alias(TITLE)))
            rows = batch.rows.with_columns(found[ProductColumn.ASIN].alias(ReviewColumn.ASIN))
            kept = rows.filter(pl.col(ReviewColumn.ASIN).is_not_null())
            statuses = dict(found[STATUS].value_counts().iter_rows())
            counts = {
                f"rows of titles {status}" + ("" if status in MATCHED else " (left out)"): count
                for status, count in sorted(statuses.items())
            }
            left_out = batch.left_out + rows.height - kept.height
            yield replace(batch, rows=kept, counts={**batch.counts, **counts}, left_out=left_out)

    def report(self) -> pl.DataFrame:
        """A row a title: what it was taken for, the most frequent first; whole when all batches are read."""
        keys = [TITLE, STATUS, ProductColumn.ASIN, CANDIDATES]
        table = pl.concat(self._parts).group_by(keys).agg(pl.len().alias(NUM_ROWS))
        return table.sort(STATUS, NUM_ROWS, TITLE, descending=[False, True, False]).select(
            *keys[:2], NUM_ROWS, *keys[2:]
        )


def summarise(report: pl.DataFrame) -> dict[str, str]:
    """The report in words: for each outcome its titles, their rows and the most frequent of them."""
    lines = {}
    for status in (*MATCHED, "ambiguous", "unmatched"):
        part = report.filter(pl.col(STATUS) == status)
        if part.height:
            share = int(part[NUM_ROWS].sum()) / int(report[NUM_ROWS].sum())
            examples = ", ".join(repr(title) for title in part[TITLE].head(_EXAMPLES).to_list())
            lines[f"titles {status}"] = f"{part.height:,} ({share:.1%} of the rows), such as {examples}"
    return lines
