"""The product table says what is known, once, in an order that tells nothing."""

import hashlib
from typing import Any

import polars as pl
import pytest

from rec_sys.data.products import product_table
from rec_sys.data.readers.batches import REVIEW_SCHEMA
from rec_sys.data.schemas import ProductTable
from rec_sys.raw_files.product_texts import LONGEST_TEXT, LONGEST_TITLE, PRODUCT_FACTS_SCHEMA, described_products


def _facts(*rows: dict[str, Any]) -> pl.DataFrame:
    defaults = dict.fromkeys(PRODUCT_FACTS_SCHEMA) | {"asin": "P1"}
    return pl.DataFrame([defaults | row for row in rows], schema=PRODUCT_FACTS_SCHEMA)


def _reviews(*rows: tuple[str, float | None, int]) -> pl.LazyFrame:
    schema = {name: REVIEW_SCHEMA[name] for name in ("asin", "rating", "timestamp")}
    return pl.DataFrame(rows, schema=schema, orient="row").lazy()


def _text(**facts: Any) -> str | None:
    text = described_products(_facts(facts))["text"][0]
    return str(text) if text is not None else None


def test_the_text_reads_as_sentences() -> None:
    assert (
        _text(
            title="Hosa STX Cable",
            brand="Hosa",
            categories=["Musical Instruments", "Cables"],
            features=["Ten feet;", "Does it hum? No!"],
            description="A quiet cable.<br />Made to last",
            price=9.5,
        )
        == "Hosa STX Cable. By Hosa. Musical Instruments, Cables. Ten feet. Does it hum? No! "
        "A quiet cable. Made to last."
    )


def test_repeated_pieces_are_said_once() -> None:
    assert _text(title="Shure SM58", features=["shure sm58.", "Cardioid", "Cardioid"], description="Cardioid") == (
        "Shure SM58. Cardioid."
    )


def test_a_product_of_which_nothing_is_known_has_no_text() -> None:
    assert _text() is None
    assert _text(title=" ", brand="<br>", categories=[""], features=["&nbsp;"], description="") is None


def test_a_long_text_is_cut_between_words() -> None:
    text = _text(title="Amp", description="word " * 3_000)
    assert text is not None
    assert LONGEST_TEXT - 5 <= len(text) <= LONGEST_TEXT
    assert text.endswith(" word")


@pytest.mark.parametrize("title", ["word " * 3_000, "x" * 50_000])
def test_a_long_title_is_cut_too(title: str) -> None:
    cut = described_products(_facts({"title": title}))["title"][0]
    assert LONGEST_TITLE - 5 <= len(cut) <= LONGEST_TITLE
    assert title.startswith(cut)
    assert not cut.endswith(" ")


def test_markup_leaves_every_column() -> None:
    row = described_products(
        _facts({"title": "Uke &amp; bag", "brand": "<b>Kala</b>", "categories": ["A &gt; B", "</span>", "A &gt; B"]})
    ).row(0, named=True)
    assert (row["title"], row["brand"], row["categories"]) == ("Uke & bag", "Kala", ["A > B"])


def test_figures_of_the_reviews_stand_beside_each_product() -> None:
    table = product_table(_reviews(("P1", 5.0, 30), ("P1", 2.0, 10), ("P2", None, 20)), _facts(), keep_unreviewed=False)
    ProductTable.validate(table, lazy=True)
    figures = table.select("asin", "rating_mean", "review_count", "first_review", "last_review").sort("asin").rows()
    assert figures == [("P1", 3.5, 2, 10, 30), ("P2", None, 1, 20, 20)]


def test_the_order_is_that_of_the_digests_and_not_of_appearance() -> None:
    asins = [f"P{number}" for number in range(50)]
    expected = sorted(asins, key=lambda asin: hashlib.blake2b(asin.encode()).hexdigest())
    for appearance in (asins, asins[::-1]):
        table = product_table(_reviews(*((asin, 5.0, 1) for asin in appearance)), _facts(), keep_unreviewed=False)
        assert table["asin"].to_list() == expected


@pytest.mark.parametrize("keep", [True, False])
def test_unreviewed_products_are_kept_only_when_asked_for(keep: bool) -> None:
    facts = _facts({"asin": "P1", "title": "Known"}, {"asin": "P9", "title": "Unreviewed"})
    table = product_table(_reviews(("P1", 5.0, 1), ("P2", 5.0, 1)), facts, keep_unreviewed=keep)
    ProductTable.validate(table, lazy=True)
    assert set(table["asin"]) == ({"P1", "P2", "P9"} if keep else {"P1", "P2"})
    titles = dict(table.select("asin", "title").iter_rows())
    assert titles["P1"] == "Known"
    assert titles["P2"] is None
    if keep:
        assert table.filter(pl.col("asin") == "P9").select("review_count", "first_review").row(0) == (0, None)


def test_of_several_descriptions_of_one_product_the_first_counts() -> None:
    table = product_table(
        _reviews(("P1", 5.0, 1)), _facts({"title": "First"}, {"title": "Second"}), keep_unreviewed=True
    )
    assert table["title"].to_list() == ["First"]
