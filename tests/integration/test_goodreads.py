"""Readers' shelves from files to answers: words, titles, predicted stars, and what somebody liked."""

import asyncio
import csv
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rec_sys.contracts import PreparedFile, ProductVector
from rec_sys.data.generate import GenerateSettings
from rec_sys.data.generate import run as generate
from rec_sys.data.generated import goodreads
from rec_sys.data.prepare import prepare
from rec_sys.entry import compose_settings
from rec_sys.inference import infer
from rec_sys.inference.contract import Page, ProductsAnswer, RecommendationAnswer, RecommendationRequest
from rec_sys.inference.recommender import Recommender
from rec_sys.settings import EdgeIndex, InferenceSettings, Settings
from rec_sys.vector_database.catalogue import read_catalogue
from rec_sys.vector_database.edge_index import EdgePublisher
from tests.training_runs import train_here

SIZES = {"users": 60, "products": 60, "purchases": 1_500}
FEW = ("model.tower=none", "text=lsa", "text.static_dim=16", "evaluation.validation_fraction=0.4")


def shelves(folder: Path) -> tuple[str, ...]:
    generate(GenerateSettings.model_validate({"schema": "goodreads", "out": folder, **SIZES}))
    return (*("data=goodreads", f"data.folder={folder}", "experiment=goodreads"),)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("goodreads")


@pytest.fixture(scope="module")
def arguments(folder: Path) -> tuple[str, ...]:
    return shelves(folder / "raw")


def test_words_become_stars_and_every_row_is_accounted_for(folder: Path, arguments: tuple[str, ...]) -> None:
    settings = compose_settings([*arguments, f"output_dir={folder}"], Settings)
    dataset = prepare(settings.data, folder)
    raw, counts = pl.read_csv(folder / "raw" / goodreads.RATINGS), dataset.summary.counts
    assert counts["rows without a rating (left out)"] == (raw["Rating"] == goodreads.UNRATED).sum()
    kept = sum(n for label, n in counts.items() if label.startswith("rows of titles") and "left out" not in label)
    assert kept == dataset.summary.num_reviews + dataset.summary.duplicates_merged
    reviews = dataset.reviews()
    assert not reviews.select("user_id", "asin").is_duplicated().any()
    assert set(reviews["rating"].unique()) == {1, 2, 3, 4, 5}
    titles = pl.read_csv(dataset.folder / PreparedFile.TITLES)
    assert titles["rows"].sum() == raw.height - counts["rows without a rating (left out)"]
    assert set(titles.filter(pl.col("status") == "ambiguous")["given_title"]) == {
        title for title in raw["Name"] if title.upper().startswith("COLLECTED POEMS")
    }
    assert titles.filter(pl.col("status") == "unmatched")["given_title"].str.starts_with("An Unlisted").all()


def edge(folder: Path) -> EdgeIndex:
    given = {"backend": "edge", "folder": folder / "index", "check_queries": 4, "progress": False}
    return EdgeIndex.model_validate(given)


def test_answers_predict_stars_and_a_list_of_titles_is_answered(
    folder: Path, arguments: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    run = train_here(caplog, folder, *arguments, *FEW, towers=True)
    bundle, figures = run.bundle, run.metrics["predicted_rating"]
    formula = bundle.manifest.rating
    assert formula is not None
    assert figures["test"]["rank_correlation"] > 0.3
    EdgePublisher(edge(folder)).publish(read_catalogue(bundle))
    products, vectors = bundle.products(), bundle.product_vectors()
    user = bundle.histories()["user_id"][0]

    async def ask() -> tuple[RecommendationAnswer, ProductsAnswer]:
        async with Recommender(edge(folder), InferenceSettings(), folder) as recommender:
            answer = await recommender.recommend(RecommendationRequest(user_id=user, limit=5))
            return answer, await recommender.similar(answer.products[0].asin, Page(limit=3))

    answer, like_it = asyncio.run(ask())
    # The formula once more, with none of its code, from what lies in the bundle.
    own = bundle.histories().filter(pl.col("user_id") == user).tail(bundle.manifest.user_reviews)  # the newest
    mean, text = vectors[ProductVector.MEAN_STARS], vectors[ProductVector.TEXT]
    text = text / np.maximum(np.linalg.norm(text, axis=1, keepdims=True), 1e-12)
    authors = [(brand or "").partition(",")[0].casefold() for brand in products["brand"].to_list()]
    asins = products["asin"].to_list()
    for product in answer.products:
        row, total, weight = asins.index(product.asin), 0.0, formula.evidence
        above = [stars - mean[at] for at, stars in own.select("product_index", "rating").iter_rows()]
        total = formula.evidence * sum(above) / (len(above) + 2)
        for at, difference in zip(own["product_index"], above, strict=True):
            likeness = max(0.0, float(text[row] @ text[at])) ** formula.sharpness + (authors[row] == authors[at])
            total, weight = total + likeness * difference, weight + likeness
        expected = float(np.clip(mean[row] + (1 - formula.mean_weight) * total / weight, 1, 5))
        assert product.predicted_rating == pytest.approx(expected, abs=0.002)
    for product in like_it.products:  # nobody is asked for: the mean
        assert product.predicted_rating == pytest.approx(float(mean[asins.index(product.asin)]), abs=0.002)

    path = folder / "answer.csv"
    asked = [f"output_dir={folder}", f"index.folder={folder / 'index'}", f"liked={folder / 'raw' / goodreads.LIKED}"]
    caplog.clear()
    infer.run(compose_settings([*asked, "limit=7", f"output={path}"], infer.InferSettings, "infer"))
    rows = list(csv.DictReader(path.open(encoding="utf-8")))
    assert [*rows[0]] == ["bookId", "title", "author", "predicted_rating", "similarity"]
    assert len(rows) == 7
    assert all(1 <= float(row["predicted_rating"]) <= 5 and -1 <= float(row["similarity"]) <= 1 for row in rows)
    assert "ignored: Collected Poems A: it" in caplog.text  # nobody was known to have read either of them
    assert "ignored: A Book of Nothing: it is not in the catalogue" in caplog.text
    assert "A Book of Nobody's" not in caplog.text


def test_the_real_titles_are_matched_as_far_as_they_can_be(data_dir: Path, tmp_path: Path) -> None:
    files = data_dir / "goodreads"
    if not (files / "books.csv.gz").is_file():
        pytest.skip("real ratings: goodreads/books.csv.gz is not in the folder of real reviews")
    rows = pl.read_csv(files / "user_rating_0_to_1000.csv.gz", infer_schema=False, n_rows=8_000)
    rows.write_csv(ratings := tmp_path / "ratings.csv")  # data.max_reviews counts what was matched, of whole batches
    arguments = (
        *("data=goodreads", f"data.reviews_path={ratings}"),
        *(f"data.metadata_path={files / 'books.csv.gz'}", "data.product_columns.asin=book_id"),
        *("data.product_columns.brand=authors", "data.product_columns.known_rating=average_rating"),
        *("data.product_columns.categories=null", "data.product_columns.description=null"),
    )
    dataset = prepare(compose_settings([*arguments, f"output_dir={tmp_path}"], Settings).data, tmp_path)
    titles = pl.read_csv(dataset.folder / PreparedFile.TITLES)
    share = dict(titles.group_by("status").agg(pl.col("rows").sum()).iter_rows())
    matched = sum(share[status] for status in ("exact", "without series"))
    assert matched / titles["rows"].sum() > 0.5
    assert share["ambiguous"] > 0
    assert dataset.summary.has_known_rating
