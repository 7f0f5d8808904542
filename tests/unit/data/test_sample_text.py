"""The words of the built-in sample: whether they vary, and whether they speak of what they are about."""

import re
from collections import Counter

import numpy as np
import polars as pl
import pytest

from rec_sys.data.sample import Sample, generate_sample
from rec_sys.data.sample.vocabulary import load_vocabulary
from rec_sys.settings import SampleData


@pytest.fixture(scope="module")
def sample() -> Sample:
    return generate_sample(SampleData(name="sample", reader="sample"))


@pytest.fixture(scope="module")
def spoken(sample: Sample) -> pl.DataFrame:
    """Reviews with both backends, with their product's facts."""
    reviews = sample.reviews.drop_nulls(["title", "text"])
    words = pl.concat_str("title", pl.lit(". "), "text").str.to_lowercase().alias("words")
    return reviews.with_columns(words).join(sample.products.rename({"title": "name"}), on="asin")


def test_hardly_any_text_stands_twice(sample: Sample) -> None:
    bodies = Counter(sample.reviews["text"].drop_nulls())
    repeated = {body: count for body, count in bodies.items() if count > 1}
    assert sum(repeated.values()) < 0.05 * bodies.total()
    assert all(len(body.split()) < 30 for body in repeated)
    assert max(repeated.values()) < 15


def test_sentences_vary(sample: Sample) -> None:
    sentences = Counter(
        sentence for body in sample.reviews["text"].drop_nulls() for sentence in re.split(r"(?<=[.!?]) ", body)
    )
    assert len(sentences) > 0.55 * sentences.total()
    assert sentences.most_common(1)[0][1] < 0.01 * sentences.total()


def test_reviews_are_of_all_lengths(sample: Sample) -> None:
    words = sample.reviews["text"].drop_nulls().str.split(" ").list.len()
    assert 25 < words.mean() < 36  # type: ignore[operator]
    assert words.min() <= 2  # type: ignore[operator]
    assert 90 < words.max() < 150  # type: ignore[operator]
    assert 0.1 < (words < 10).mean() < 0.35  # type: ignore[operator]


def test_some_headlines_and_bodies_are_missing(sample: Sample) -> None:
    for column in ("title", "text"):
        assert 0.01 < sample.reviews[column].null_count() / 6_000 < 0.05
    assert 0.2 < sample.reviews["style"].null_count() / 6_000 < 0.8


def test_no_trace_of_the_grammar_is_left(sample: Sample) -> None:
    texts = pl.concat([sample.reviews["title"], sample.reviews["text"], sample.products["description"]]).drop_nulls()
    traces = re.compile(r"[\[\]{}|]|  |^ | $| [.,!]|\bNone\b|\ba [aeio](?!ne\b)|\bthese is\b|\bthis are\b")
    assert [text for text in texts if traces.search(text)] == []


def test_nobody_begins_with_a_connective_and_everybody_keeps_the_later_ones(sample: Sample) -> None:
    texts = sample.reviews["text"].drop_nulls().str.to_lowercase()
    assert not texts.str.contains("^(also|plus|and|then|to be fair),? ").any()
    assert texts.str.contains(r"[.!] (also|plus|and)\b").sum() > 50
    recorded = texts.filter(texts.str.contains("stick it in front of"))
    assert recorded.len() > 3
    assert recorded.str.contains("(cab|snare) and hit record").mean() > 0.8  # type: ignore[operator]


def test_a_few_texts_leave_ascii(sample: Sample) -> None:
    foreign = sum(not text.isascii() for text in sample.reviews["text"].drop_nulls())
    assert 20 < foreign < 600


def test_texts_speak_of_their_own_product(spoken: pl.DataFrame) -> None:
    """Words of the title turn up far more often in the product's own reviews than in those of others."""
    names = [set(re.findall(r"[a-z]{4,}", name.lower())) for name in spoken["name"]]
    words = [set(re.findall(r"[a-z]{4,}", text)) for text in spoken["words"]]
    own = np.mean([bool(name & said) for name, said in zip(names, words, strict=True)])
    other = np.mean([bool(name & said) for name, said in zip(names, words[1:] + words[:1], strict=True)])
    assert own > 0.5
    assert own > 3 * other


@pytest.mark.parametrize(
    ("words", "categories"),
    [("zippers?", "Gig Bags"), ("frets?|fretwork", "Guitars|Bass"), ("latency", "Interfaces"), ("rebound", "Drums")],
)
def test_texts_speak_of_the_features_of_the_family(spoken: pl.DataFrame, words: str, categories: str) -> None:
    said = spoken.filter(pl.col("words").str.contains(rf"\b({words})\b"))
    assert said.height >= 10
    assert said["categories"].list.join(" > ").str.contains(categories).mean() > 0.75  # type: ignore[operator]


def test_words_follow_the_stars(spoken: pl.DataFrame) -> None:
    def stars_where(pattern: str) -> float:
        stars: list[float] = spoken.filter(pl.col("words").str.contains(pattern))["rating"].to_list()
        return sum(stars) / len(stars)

    assert stars_where("highly recommend|thrilled|can't fault|worth every penny") > 4.8
    assert stars_where("returned|junk|refund|lesson learned|stay away") < 1.7
    assert 2.5 < stars_where("mixed feelings|so-so|you get what you pay for|average") < 4


def test_texts_give_the_music_away(spoken: pl.DataFrame) -> None:
    """Somebody who writes of metal once writes of it again, and hardly ever of chamber music."""
    metal, chamber = r"\b(doom|thrash|death metal|metalcore|prog metal)\b", r"\b(chamber music|string quartet|bach)\b"
    users = spoken.group_by("user_id").agg(
        pl.col("words").str.contains(metal).mean().alias("metal"),
        pl.col("words").str.contains(chamber).any().alias("chamber"),
        pl.len().alias("count"),
    )
    busy = users.filter(pl.col("count") >= 5)
    metal_heads = busy.filter(pl.col("metal") > 0.1)
    assert 20 < metal_heads.height < busy.height / 4
    assert metal_heads["metal"].mean() > 0.25  # type: ignore[operator]
    assert metal_heads["chamber"].mean() < 0.6 * busy["chamber"].mean()  # type: ignore[operator]


def test_texts_tell_what_comes_next(sample: Sample) -> None:
    """Who writes that they are after "a decent humidifier" buys such a thing next, far more often than others do."""
    narrowest = sample.products.select(pl.col("asin").alias("next"), pl.col("categories").list.last().alias("category"))
    following = sample.reviews.with_columns(pl.col("asin").shift(-1).over("user_id").alias("next"))
    following = following.drop_nulls(["text", "next"]).join(narrowest, on="next")
    wishes, granted, by_chance = 0, 0, 0.0
    for family in load_vocabulary().families.values():
        is_bought = following["category"] == family.categories[-1]
        for kind in family.kinds:
            if kind.noun:
                is_wished = following["text"].str.contains(rf"(?i)\ba (good|decent|nice) {kind.noun}\b")
                wishes += int(is_wished.sum())
                granted += int((is_wished & is_bought).sum())
                by_chance += int(is_wished.sum()) * int(is_bought.sum()) / len(is_bought)
    assert wishes > 50
    assert granted > 3 * by_chance
