"""The total order of all reviews, its ties and its units, on prepared folders of a few rows."""

import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rec_sys.contracts import TIME_ORDER, PreparedFile, ProductColumn, ReviewColumn
from rec_sys.data.dataset import DatasetSummary, PreparedDataset
from rec_sys.data.interactions import Interactions, build_interactions, list_user_ids, mix

SCHEMA = {
    ReviewColumn.USER_ID: pl.String,
    ReviewColumn.ASIN: pl.String,
    ReviewColumn.RATING: pl.Float32,
    ReviewColumn.TIMESTAMP: pl.Int64,
    ReviewColumn.TITLE: pl.String,
    ReviewColumn.TEXT: pl.String,
    ReviewColumn.EVENT: pl.String,
    ReviewColumn.WEIGHT: pl.Float32,
    ReviewColumn.SOURCE_ROW: pl.Int64,
}
Row = dict[str, Any]


def row(user: str, asin: str, when: int, text: str | None = None, **more: Any) -> Row:
    known = {"user_id": user, "asin": asin, "timestamp": when, "text": text, "title": None, "rating": 4.0}
    return known | {"event": None, "weight": 1.0} | more


def order(
    rows: list[Row], tie_break: Literal["hash", "file"] = "hash", seed: int = 0, *, has_time: bool = True
) -> tuple[Interactions, pl.DataFrame]:
    """The interactions of raw rows in file order, and their reviews in edge order."""
    numbered = [{"source_row": number} | one for number, one in enumerate(rows)]
    reviews = pl.DataFrame(numbered, schema=SCHEMA).sort(TIME_ORDER)
    # Neither sorted nor in order of appearance.
    asins = sorted(set(reviews[ReviewColumn.ASIN]) | {"never reviewed"}, key=lambda asin: asin[::-1] + asin)
    summary = DatasetSummary(
        name="rows", fingerprint="0", rows_read=len(rows), duplicates_merged=0, rows_set_aside=0, reasons={},
        num_reviews=len(rows), num_users=1, num_products=len(asins), has_time=has_time, has_rating=True,
        has_text=True, has_product_text=False,
    )  # fmt: skip
    with TemporaryDirectory() as folder:
        reviews.write_parquet(Path(folder) / PreparedFile.REVIEWS)
        pl.DataFrame({ProductColumn.ASIN: asins}).write_parquet(Path(folder) / PreparedFile.PRODUCTS)
        (Path(folder) / PreparedFile.SUMMARY).write_text(summary.model_dump_json())
        interactions = build_interactions(PreparedDataset(Path(folder)), tie_break, seed)
    ordered = reviews[interactions.review_row]
    assert [sorted(set(reviews["user_id"]))[user] for user in interactions.user_index] == ordered["user_id"].to_list()
    assert [asins[product] for product in interactions.product_index] == ordered["asin"].to_list()
    assert interactions.num_products == len(asins)
    assert interactions.timestamp.tolist() == ordered["timestamp"].to_list()
    return interactions, ordered


def names(ordered: pl.DataFrame) -> list[tuple[Any, ...]]:
    return ordered.select("user_id", "asin", "timestamp", "text", "title").rows()


texts = st.sampled_from([None, "", "  ", "fine", " fine ", "broke", "loud"])
raw_rows = st.lists(
    st.builds(
        row,
        st.sampled_from("abcd"),
        st.sampled_from("pqrst"),
        st.integers(0, 2),
        texts,
        title=texts,
        rating=st.sampled_from([1.0, 2.5, 5.0, None]),
    ),
    min_size=1,
    max_size=14,
)


def body_of(one: Row) -> str | None:
    return (one["text"] or "").strip() or (one["title"] or "").strip() or None


@settings(max_examples=60)
@given(raw_rows, st.sampled_from(["hash", "file"]), st.integers(0, 2**31 - 1))
def test_the_order_is_total_by_time_and_its_units_are_whole_and_adjacent(
    rows: list[Row], tie_break: Literal["hash", "file"], seed: int
) -> None:
    interactions, ordered = order(rows, tie_break, seed)
    assert sorted(interactions.review_row) == list(range(len(rows)))
    assert (np.diff(interactions.timestamp) >= 0).all()
    bodies = [body_of(one) for one in ordered.iter_rows(named=True)]
    for edge, one in enumerate(ordered.iter_rows(named=True)):
        alike = [
            other
            for other, it in enumerate(ordered.iter_rows(named=True))
            if (it["user_id"], it["timestamp"], bodies[other]) == (one["user_id"], one["timestamp"], bodies[edge])
            and (bodies[edge] is not None or other == edge)
        ]
        assert interactions.unit_start[edge] == alike[0]
        assert alike == list(range(alike[0], alike[-1] + 1)), "a unit is divided"
        assert (interactions.body_index[edge] == -1) == (bodies[edge] is None)
        assert all((interactions.body_index[edge] == interactions.body_index[other]) == (bodies[edge] == bodies[other])
                   for other in range(len(rows)))  # fmt: skip
        stars = interactions.rating[edge]
        assert np.isnan(stars) if one["rating"] is None else stars == one["rating"]


@settings(max_examples=40)
@given(raw_rows, st.randoms(use_true_random=False), st.integers(0, 1000))
def test_hashed_ties_do_not_know_the_file_order(rows: list[Row], shuffler: random.Random, seed: int) -> None:
    # Only reviews that differ in nothing a hash could use are left to the file's order.
    rows = list({(one["user_id"], one["asin"], one["timestamp"]): one for one in rows}.values())
    shuffled = list(rows)
    shuffler.shuffle(shuffled)
    assert names(order(rows, seed=seed)[1]) == names(order(shuffled, seed=seed)[1])


def test_hashed_ties_repeat_under_a_seed_and_differ_between_seeds() -> None:
    rows = [row(f"u{number}", f"p{number % 3}", 5, f"text {number}") for number in range(30)]
    orders = [names(order(rows, seed=seed)[1]) for seed in (0, 1, 2, 3)]
    assert orders[0] == names(order(rows, seed=0)[1])
    assert len({str(one) for one in orders}) == 4


def test_hashed_ties_favour_neither_the_file_nor_the_product_order() -> None:
    # Every user writes two reviews in one moment; which comes last must be a coin's toss.
    rows = [row(f"u{number:03}", asin, 5, f"{asin} {number}") for number in range(400) for asin in ("p", "q")]
    _, ordered = order(rows)
    last = ordered.group_by("user_id").agg(pl.col("asin").last())["asin"]
    assert 160 <= (last == "q").sum() <= 240  # four standard deviations


def test_file_ties_follow_the_raw_rows_of_whole_units() -> None:
    rows = [
        row("b", "p", 5, "one"),
        row("a", "q", 5, "two"),
        row("a", "p", 5),
        row("b", "q", 5, "one"),
        row("a", "r", 4, "three"),
    ]
    interactions, ordered = order(rows, "file", seed=3)
    # The second review of the unit "one" stands beside the first.
    assert ordered["source_row"].to_list() == [4, 0, 3, 1, 2]
    assert interactions.unit_start.tolist() == [0, 1, 1, 3, 4]
    assert names(order(rows, "file", seed=4)[1]) == names(ordered)


def test_equal_texts_of_two_users_or_moments_are_one_body_and_two_units() -> None:
    interactions, _ = order([row("a", "p", 1, "same"), row("b", "p", 1, "same"), row("a", "p", 2, "same ")])
    assert interactions.body_index.tolist() == [0, 0, 0]
    assert interactions.unit_start.tolist() == [0, 1, 2]


def test_without_a_body_the_headline_stands_for_it() -> None:
    interactions, ordered = order([row("a", "p", 1, None, title="good"), row("b", "p", 2, "good", title="bad")])
    assert interactions.body_index[0] == interactions.body_index[1] >= 0
    assert ordered["title"].to_list() == ["good", "bad"]


def test_positions_of_sequences_are_ordered_like_times() -> None:
    rows = [row("a", "p", 0, None), row("a", "q", 1, None), row("b", "q", 0, None)]
    interactions, _ = order(rows, has_time=False)
    assert interactions.timestamp.tolist() == [0, 0, 1]
    assert not interactions.has_time


def test_user_ids_are_listed_in_the_order_of_their_index() -> None:
    reviews = pl.DataFrame({ReviewColumn.USER_ID: ["z", "a", "z", "m"]})
    assert list_user_ids(reviews).to_list() == ["a", "m", "z"]


@pytest.mark.parametrize("seed", [0, 1, 2, 2**31 - 1])
def test_the_hash_spreads_pairs_over_all_bits_for_every_seed(seed: int) -> None:
    left, right = np.divmod(np.arange(4096), 64)
    hashed = mix(left, right, seed)
    assert len(np.unique(hashed)) == 4096
    bits = (hashed[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    assert (np.abs(bits.mean(axis=0) - 0.5) < 0.05).all()
    assert (mix(right, left, seed) != hashed).mean() > 0.9
