"""Readers' shelves as Goodreads has them: ratings in words, of books by their titles; and a table of books.

Traps: books share their titles, volumes of a series differ by a number alone, titles are written a little otherwise or
are of no book there is, some pairs are rated twice, and a sentence stands where nothing was rated.
"""

from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from rec_sys.data.generated.shop import Schema, Shop

RATINGS: Final = "user_rating.csv"
BOOKS: Final = "books.csv"
LIKED: Final = "liked.csv"
UNRATED: Final = "This user doesn't have any rating"

_WORDS: Final = ("did not like it", "it was ok", "liked it", "really liked it", "it was amazing")
_UNRATED, _TWICE, _STRANGE, _OTHERWISE = 0.0115, 0.01, 0.15, 0.04  # shares of the rows, the first two as in the files
_SERIES: Final = 3  # of so many books one opens a series, and the next is its second volume
_NAMESAKES: Final = 4  # pairs of books of one title
_FIRST_BOOK: Final = 1_000


def write_files(shop: Shop, folder: Path) -> None:
    """Writes ratings, books, and a reader's list of what they liked for `infer liked=`."""
    books = _books(shop)
    books.write_csv(folder / BOOKS)
    random, number = shop.random, len(shop.user)
    titles = np.array(books["title"].to_list(), dtype=object)[shop.product]
    strange = random.random(number) < _STRANGE
    titles[strange] = [
        f"An Unlisted Book of {one:03}" for one in random.integers(500, size=int(strange.sum())).tolist()
    ]
    otherwise = ~strange & (random.random(number) < _OTHERWISE)
    titles[otherwise] = [title.replace("The ", "the ").replace(":", " -").upper() for title in titles[otherwise]]
    words = np.array(_WORDS, dtype=object)[shop.stars - 1]
    words[random.random(number) < _UNRATED] = UNRATED
    rows = pl.DataFrame({"ID": shop.user + 1, "Name": titles.tolist(), "Rating": words.tolist()})
    again = rows.filter(pl.Series(random.random(number) < _TWICE)).with_columns(pl.lit(_WORDS[2]).alias("Rating"))
    # A shelf is not in the order of reading.
    shelves = pl.concat([rows, again]).sample(fraction=1, shuffle=True, seed=1).sort("ID", maintain_order=True)
    shelves.write_csv(folder / RATINGS)
    _liked(books).write_csv(folder / LIKED)


def _books(shop: Shop) -> pl.DataFrame:
    """The schema of the table of books; every number is text where the real ones have it so."""
    facts, random = shop.products, shop.random
    titles, authors = facts["title"].to_list(), facts["brand"].fill_null("Anonymous").to_list()
    for first in range(0, len(titles) - 1, 2 * _SERIES):
        name = titles[first]
        titles[first], titles[first + 1] = f"{name} ({name}, #1)", f"{name} ({name}, #2)"
        authors[first + 1] = authors[first]
    for place in range(_NAMESAKES):  # from the end, behind the series
        titles[-1 - 2 * place] = titles[-2 - 2 * place] = f"Collected Poems {chr(65 + place)}"
        authors[-1 - 2 * place] = f"{authors[-2 - 2 * place]} Junior"
    mean = np.bincount(shop.product, shop.stars, len(titles)) / np.maximum(
        1, np.bincount(shop.product, None, len(titles))
    )
    known = np.clip(np.where(mean > 0, 0.5 * mean + 1.9, 3.9) + random.normal(0, 0.1, len(titles)), 1, 5)
    series = [title.rpartition(" (")[2].rstrip(")") if " #" in title else None for title in titles]
    return pl.DataFrame(
        {
            "bookId": [str(_FIRST_BOOK + number) for number in range(len(titles))],
            "title": titles,
            "author": [f"{author}, A. Illustrator" if at % 5 == 0 else author for at, author in enumerate(authors)],
            "description": facts["description"],
            "genres": [str(list(path)[1:]) for path in facts["categories"].to_list()],
            "rating": known.round(2),
            "series": series,
            "pages": random.integers(80, 900, len(titles)),
            "likedPercent": np.round(20 * known).astype(np.int64),
        }
    )


def _liked(books: pl.DataFrame) -> pl.DataFrame:
    """A known book, one by title and author, one of two namesakes without an author, and one that is in no table."""
    known, other, namesake = books.row(10, named=True), books.row(13, named=True), books.row(-1, named=True)
    unknown = {"description": known["description"], "genres": known["genres"]}
    rows = [
        {"title": known["title"], "author": None, "rating": _WORDS[4]},
        {"title": other["title"].upper(), "author": other["author"], "rating": _WORDS[1]},
        {"title": namesake["title"], "author": None, "rating": _WORDS[4]},
        {"title": "A Book of Nobody's", "author": "N. N.", "rating": _WORDS[4]} | unknown,
        {"title": "A Book of Nothing", "author": None, "rating": _WORDS[4]},
    ]
    return pl.DataFrame(rows, schema=dict.fromkeys(("title", "author", "rating", "description", "genres"), pl.String))


SCHEMA: Final = Schema(write_files, users=300, products=240, purchases=9_000)
