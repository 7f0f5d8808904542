"""Products that reviews know by their titles alone: which product each title means, without guessing.

Titles are compared as keys, then without what stands in brackets, then by likeness. A volume, "(Series, #2)", is never
another one, and a title that could mean several products means none.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Literal

import numpy as np
import polars as pl

from rec_sys.contracts import ProductColumn

TITLE: Final = "given_title"
STATUS: Final = "status"
CANDIDATES: Final = "candidates"
_AT_ONCE: Final = 512  # titles, whose likenesses to 10,000 products are 5 MB
_LIKE: Final = 92  # of 100: a slip of the pen in ten letters and more
_CLEAR: Final = 3  # points by which the best is better than the next
_LIKE_AUTHOR: Final = 80
_LIKE_SERIES: Final = 85
_LONG: Final = 30  # letters of a title that is known without its author though it is written a little otherwise
_BRACKETS: Final = r"\s*\(([^()]*)\)\s*$"
# "The Testaments" is not "The Testament", nor Volume Two Volume One: these stand in both titles or in neither.
_NUMBERS: Final = (
    r"\d+|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|first|second|third|fourth|fifth|i{1,3}|iv|vi{0,3})\b"
)
_VOLUME: Final = r"#\s*([\d.]+(?:\s*[-–&]\s*[\d.]+)?)"

Status = Literal["exact", "without series", "alike", "ambiguous", "unmatched"]
MATCHED: Final[tuple[Status, ...]] = ("exact", "without series", "alike")


def title_key(title: str) -> pl.Expr:
    """The letters and digits of a column's titles, in small letters, blanks between words; a volume's # stays."""
    text = pl.col(title).str.normalize("NFKD").str.replace_all(r"\p{M}", "").str.to_lowercase()
    return (
        text.str.replace_all("&", " and ")
        .str.replace_all(r"[^\p{L}\p{N}#.]+", " ")
        .str.replace_all(r"\.(?:\s|$)", " ")
        .str.strip_chars()
    )


def _parts(titles: pl.Series) -> pl.DataFrame:
    """Titles with `key`, `bare` (without brackets at the end), `series` and `volume`; empty where there is none."""
    bracket = pl.col(TITLE).str.extract(_BRACKETS).fill_null("")
    series = bracket.str.replace(r",?\s*#.*$", "").alias("series")
    # Brackets without a volume may be a subtitle, which makes another product: they stay in the title.
    bare = pl.when(bracket.str.contains("#")).then(pl.col(TITLE).str.replace(_BRACKETS, "")).otherwise(TITLE)
    frame = titles.rename(TITLE).to_frame().with_columns(bare.alias("bare"), series)
    volume = bracket.str.extract(_VOLUME).fill_null("").str.replace_all(r"\s", "")
    frame = frame.with_columns(volume.alias("volume"))
    return frame.with_columns(
        title_key(TITLE).alias("key"),
        title_key("bare").alias("bare"),
        pl.when(pl.col("volume") != "").then(title_key("series")).otherwise(pl.lit("")).alias("series"),
    )


class TitleMatcher:
    """Finds the product of a title.

    Args:
        products: `asin`, `title` and `brand`, the author; of `PRODUCT_FACTS_SCHEMA`.
    """

    def __init__(self, products: pl.DataFrame) -> None:
        named = products.filter(pl.col(ProductColumn.TITLE).fill_null("") != "").unique(
            ProductColumn.ASIN, keep="first", maintain_order=True
        )
        self._products = _parts(named[ProductColumn.TITLE]).with_columns(
            named[ProductColumn.ASIN], named[ProductColumn.BRAND].fill_null("").alias("author")
        )
        self._known: dict[tuple[str, str], tuple[Status, str | None, str]] = {}

    def match(self, titles: pl.Series, authors: pl.Series | None = None) -> pl.DataFrame:
        """A row a title: `asin` (null where none is meant), `status` and `candidates`, their titles."""
        given = authors.fill_null("").to_list() if authors is not None else [""] * len(titles)
        asked = list(zip(titles.fill_null("").to_list(), given, strict=True))
        new = [pair for pair in dict.fromkeys(asked) if pair not in self._known]
        if new:
            self._known |= dict(zip(new, self._find(*map(list, zip(*new, strict=True))), strict=True))
        found = [self._known[pair] for pair in asked]
        schema = {STATUS: pl.String, ProductColumn.ASIN: pl.String, CANDIDATES: pl.String}
        return pl.DataFrame(found, schema=schema, orient="row")

    def _find(self, titles: Sequence[str], authors: Sequence[str]) -> list[tuple[Status, str | None, str]]:
        asked = _parts(pl.Series(titles, dtype=pl.String)).with_columns(pl.Series("author", authors, dtype=pl.String))
        found: list[tuple[Status, str | None, str]] = [("unmatched", None, "")] * len(titles)
        left = np.arange(len(titles))
        stages: tuple[tuple[Status, str], ...] = (("exact", "key"), ("without series", "bare"))
        for status, by in stages:
            for place, rows in self._equal(asked[left], by):
                found[left[place]] = self._decide(asked.row(int(left[place]), named=True), rows, status)
            left = left[[found[at][0] == "unmatched" for at in left.tolist()]]
        for start in range(0, len(left), _AT_ONCE):
            part = left[start : start + _AT_ONCE]
            for place, rows in self._alike(asked[part]):
                found[part[place]] = self._decide(asked.row(int(part[place]), named=True), rows, "alike")
        return found

    def _equal(self, asked: pl.DataFrame, by: str) -> Iterator[tuple[int, list[int]]]:
        """Places in `asked` with the products of an equal key, each title once however many there are."""
        places = asked.with_row_index("place").select("place", by).filter(pl.col(by) != "")
        joined = places.join(self._products.with_row_index("row").select("row", by), on=by, how="inner")
        for place, rows in joined.group_by("place", maintain_order=True).agg("row").iter_rows():
            yield int(place), list(rows)

    def _alike(self, asked: pl.DataFrame) -> Iterator[tuple[int, list[int]]]:
        """Places in `asked` with the products whose titles are written nearly so, the best and its equals."""
        from rapidfuzz import fuzz, process

        bare, numbers = asked["bare"].to_list(), _numbers(asked)
        own = np.array(_numbers(self._products), dtype=object)
        likeness = process.cdist(
            bare, self._products["bare"].to_list(), scorer=fuzz.ratio, score_cutoff=_LIKE, dtype=np.uint8, workers=-1
        )
        for place in np.flatnonzero(likeness.any(axis=1)).tolist():
            rows = np.flatnonzero(likeness[place])
            rows = rows[own[rows] == numbers[place]]
            if len(rows):
                best = likeness[place, rows].max()
                yield place, rows[likeness[place, rows] > int(best) - _CLEAR].tolist()

    def _decide(self, asked: dict[str, str], rows: list[int], status: Status) -> tuple[Status, str | None, str]:
        """What a title is taken for; without its author a slip of the pen or a missing series may be another book."""
        products = self._products[rows]
        fits = [_fits(asked, product, status) for product in products.iter_rows(named=True)]
        products = products.filter(pl.Series(fits, dtype=pl.Boolean))
        names = "; ".join(f"{title} by {author}" for title, author in products.select(TITLE, "author").iter_rows())
        if not products.height:
            return "unmatched", None, ""
        unsure = asked["author"] == "" and (
            (status == "alike" and len(asked["bare"]) < _LONG)
            or (status == "without series" and asked["volume"] not in ("", "1", products["volume"][0]))
        )
        if products.height > 1 or unsure:
            return "ambiguous", None, names
        return status, products[ProductColumn.ASIN][0], names


def _fits(asked: dict[str, str], product: dict[str, str], status: Status) -> bool:
    """Whether author, and where the titles alone are alike volume and series too, speak against no product."""
    from rapidfuzz import fuzz, utils

    authors = asked["author"], product["author"]
    if asked["author"] and fuzz.token_set_ratio(*authors, processor=utils.default_process) < _LIKE_AUTHOR:
        return False
    volumes, series = (asked["volume"], product["volume"]), (asked["series"], product["series"])
    same_volume = "" in volumes or volumes[0] == volumes[1]
    return status == "exact" or (same_volume and ("" in series or fuzz.ratio(*series) >= _LIKE_SERIES))


def _numbers(frame: pl.DataFrame) -> list[str]:
    """The numbers within titles, which no likeness may change."""
    return frame["bare"].str.extract_all(_NUMBERS).list.join(" ").to_list()
