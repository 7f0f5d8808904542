"""Titles find the products that they mean; volumes, namesakes and slips of the pen are not guessed."""

import polars as pl
import pytest

from rec_sys.raw_files.title_matching import CANDIDATES, STATUS, TitleMatcher

BOOKS = [
    ("1", "The Hunger Games (The Hunger Games, #1)", "Suzanne Collins"),
    ("2", "Catching Fire (The Hunger Games, #2)", "Suzanne Collins"),
    ("3", "Inferno (Robert Langdon, #4)", "Dan Brown"),
    ("4", "Inferno (The Divine Comedy #1)", "Dante Alighieri"),
    ("5", "The Stranger", "Albert Camus, Matthew Ward"),
    ("6", "The Stranger", "Harlan Coben"),
    ("7", "The Testament", "John Grisham"),
    ("8", "Thunderhead", "Douglas Preston, Lincoln Child"),
    ("9", "Neuromancer", "William Gibson"),
    ("10", "Locke & Key, Vol. 1: Welcome to Lovecraft", "Joe Hill"),
    ("11", "Sandman Mystery Theatre: The Tarantula, Volume One", "Matt Wagner"),
    ("12", "Notes (Series, #1)", "A. B."),
    ("13", "Notes (Series, #2)", "A. B."),
    ("14", "Emma", "Jane Austen"),
]
MATCHER = TitleMatcher(pl.DataFrame(BOOKS, schema=["asin", "title", "brand"], orient="row"))


@pytest.mark.parametrize(
    ("title", "author", "status", "asin"),
    [
        ("the hunger games (The Hunger Games #1)", None, "exact", "1"),
        ("The Hunger Games", None, "without series", "1"),
        ("The Hunger Games (The Hunger Games, #2)", None, "unmatched", None),  # a volume is never another one
        ("Notes (Series, #2)", None, "exact", "13"),
        ("Notes", None, "ambiguous", None),
        ("Inferno (Robert Langdon, #4)", None, "exact", "3"),
        ("Inferno", None, "ambiguous", None),
        ("Inferno", "Dante", "without series", "4"),
        ("The Stranger", None, "ambiguous", None),
        ("The Stranger", "Coben, Harlan", "exact", "6"),
        ("The Stranger", "Jane Austen", "unmatched", None),
        ("The Testaments (The Handmaid's Tale, #2)", None, "ambiguous", None),  # alike, and another book
        ("Thunderhead (Arc of a Scythe, #2)", None, "ambiguous", None),
        ("Thunderhead (Pendergast, #2)", "Douglas Preston", "without series", "8"),
        ("Neuromancer (Sprawl, #1)", None, "without series", "9"),
        ("Locke & Key, Volume 1: Welcome to Lovecraft", None, "alike", "10"),
        ("Locke & Key, Vol. 2: Welcome to Lovecraft", None, "unmatched", None),
        ("Sandman Mystery Theatre: The Tarantula, Volume Two", None, "unmatched", None),
        ("Émma", None, "exact", "14"),
        ("Nothing of the kind", None, "unmatched", None),
        ("", None, "unmatched", None),
    ],
)
def test_a_title_means_one_product_or_none(title: str, author: str | None, status: str, asin: str | None) -> None:
    found = MATCHER.match(pl.Series([title]), None if author is None else pl.Series([author]))
    assert (found[STATUS][0], found["asin"][0]) == (status, asin)


def test_namesakes_are_shown_and_multiply_no_row() -> None:
    titles = pl.Series(["The Stranger", "Emma", "The Stranger", "Inferno"])
    found = MATCHER.match(titles)
    assert found.height == len(titles)
    assert found[CANDIDATES][0] == "The Stranger by Albert Camus, Matthew Ward; The Stranger by Harlan Coben"
