"""Products for somebody who names what they liked: titles with authors and ratings, as a reader keeps them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from rec_sys.contracts import InputError, PayloadField, ProductColumn
from rec_sys.inference.backends import Backends
from rec_sys.inference.clock import StepClock
from rec_sys.inference.contract import RecommendationRequest, Review
from rec_sys.inference.live_reviews import NOTHING_ON_RECORD
from rec_sys.inference.request_parsing import parse
from rec_sys.inference.served_bundle import ServedBundle
from rec_sys.inference.user_blocks import answer_users, prepare
from rec_sys.raw_files.list_texts import texts_within
from rec_sys.raw_files.rating_scales import on_scale, stars
from rec_sys.raw_files.title_matching import CANDIDATES, MATCHED, STATUS, TitleMatcher
from rec_sys.raw_files.values import read_values
from rec_sys.unit_vectors import unit_vectors
from rec_sys.vector_database.catalogue import FloatArray

COLUMNS: Final = ("title", "author", "rating", "description", "genres")
HEADER: Final = ("bookId", "title", "author", "predicted_rating", "similarity")
_LIKED: Final = 4.0  # stars


@dataclass(frozen=True, eq=False)
class LikedProducts:
    """What stands in a file, as reviews.

    Attributes:
        reviews: Of products of the catalogue, and of others by their texts.
        stars: Of each review; 0 where none is given.
        ignored: Titles that nothing is read of, with the reason.
    """

    reviews: tuple[Review, ...]
    stars: tuple[float, ...]
    ignored: dict[str, str]


async def recommend_for_liked(backends: Backends, path: Path, limit: int) -> tuple[pl.DataFrame, dict[str, str]]:
    """Products in the order of the model, with predicted stars and the likeness to what was liked most like it.

    Args:
        backends: The bundle and the towers.
        path: A table of `COLUMNS`, of which only the titles are needed.
        limit: Products.

    Returns:
        A table of `HEADER`, and the titles that nothing is read of, with the reason.

    Raises:
        InputError: The file cannot be read, or nothing in it is known.
        ServingUnavailable: A component is away.
    """
    served = await backends.served()
    liked = read_liked(path, served)
    if not liked.reviews:
        raise InputError(
            "none of these titles is known", where=str(path), remedy="give a description or genres beside a title"
        )
    request = parse(RecommendationRequest, {"reviews": liked.reviews, "limit": limit, "explain": False})
    user = await prepare(backends, request, served, StepClock(), NOTHING_ON_RECORD)
    [answer] = await answer_users(backends, [user])
    if isinstance(answer, Exception):
        raise answer
    products = [(one.asin, one.title, one.brand, one.predicted_rating) for one in answer.products]
    likeness = _likeness(served, liked, user.texts, [one[0] for one in products])
    schema = dict(zip(HEADER, (pl.String, pl.String, pl.String, pl.Float64, pl.Float64), strict=True))
    rows = [(*product, value) for product, value in zip(products, likeness, strict=True)]
    return pl.DataFrame(rows, schema=schema, orient="row"), liked.ignored


def read_liked(path: Path, served: ServedBundle) -> LikedProducts:
    """Finds the products that titles mean; the others are read by description and genres, where these are given.

    Raises:
        InputError: The file cannot be read, has no titles, or a rating that is none.
    """
    table = _read_table(path)
    details = served.catalogue.details.select(
        *(pl.col(name) for name in (PayloadField.ASIN, PayloadField.TITLE)), pl.col(PayloadField.BRAND)
    )
    found = TitleMatcher(details).match(table["title"], table["author"])
    given = served.table_settings
    rated = stars(table["rating"], served.rating_scale, {} if given is None else given.rating_words or {})
    if (wrong := table["rating"].is_not_null() & ~rated.is_between(1, 5).fill_null(False)).any():
        raise InputError(
            f"{table['rating'].filter(wrong)[0]!r} is no rating",
            where=f"{path}, the rating of {table['title'].filter(wrong)[0]!r}",
            remedy="give {:g} to {:g}, or the words of the training data".format(*served.rating_scale),
        )
    on_data_scale = on_scale(rated, served.rating_scale)
    reviews, of_reviews, ignored = [], [], {}
    for place, row in enumerate(table.iter_rows(named=True)):
        status, asin = found[STATUS][place], found[ProductColumn.ASIN][place]
        text = None if status in MATCHED else _text(row)
        if asin is None and (status == "ambiguous" or text is None):
            ignored[row["title"]] = (
                f"it may be {found[CANDIDATES][place]}: add the author"
                if status == "ambiguous"
                else "it is not in the catalogue: add a description or genres"
            )
            continue
        reviews.append(Review(asin=asin or row["title"], text=text, rating=on_data_scale[place]))
        of_reviews.append(rated[place] or 0.0)
    return LikedProducts(tuple(reviews), tuple(of_reviews), ignored)


def _read_table(path: Path) -> pl.DataFrame:
    values = read_values(path, COLUMNS)
    rows = [value for value in values if isinstance(value, dict)]
    table = pl.DataFrame(
        {name: [_as_text(row.get(name)) for row in rows] for name in COLUMNS},
        schema_overrides=dict.fromkeys(COLUMNS, pl.String),
    )
    if table["title"].null_count() == table.height:
        raise InputError("there is no title", where=str(path), remedy=f"give a table with {', '.join(COLUMNS)}")
    return table.filter(pl.col("title").is_not_null())


def _as_text(value: object) -> str | None:
    text = "" if value is None else str(value).strip()
    return text or None


def _text(row: Mapping[str, Any]) -> str | None:
    """What is known of a product that the catalogue does not have, written as the catalogue's texts are."""
    genres = row["genres"] or ""
    listed = ", ".join(texts_within(genres)) if genres.startswith("[") else genres
    if not (listed or row["description"]):
        return None
    author = f"By {row['author']}" if row["author"] else None
    pieces = (row["title"], author, listed, row["description"])
    return " ".join(piece if piece.endswith((".", "!", "?")) else f"{piece}." for piece in pieces if piece)


def _likeness(
    served: ServedBundle, liked: LikedProducts, texts: Mapping[int, FloatArray], asins: list[str]
) -> list[float | None]:
    """The highest cosine of each product's text with that of one liked (4 stars; else of any); null without text."""
    text, width = unit_vectors(served.catalogue.text), served.manifest.text_dim
    best = [place for place, value in enumerate(liked.stars) if value >= _LIKED] or range(len(liked.reviews))
    known = [served.index_of.get(liked.reviews[place].asin) for place in best]
    vectors = [
        text[row] if row is not None else unit_vectors(texts[place][None])[0] if place in texts else np.zeros(width)
        for place, row in zip(best, known, strict=True)
    ]
    rows = [served.index_of.get(asin) for asin in asins]
    cosines = [None if row is None or not text[row].any() else max(text[row] @ one for one in vectors) for row in rows]
    return [None if cosine is None else round(float(cosine), 4) for cosine in cosines]
