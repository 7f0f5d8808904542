"""The recommender for Python: frames in, frames out, the service's own answers, in a running event loop and outside."""

import asyncio
import gc
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from starlette.testclient import TestClient

from rec_sys import ReviewGraphRecommender
from rec_sys.contracts import InputError
from rec_sys.entry import compose_settings
from rec_sys.inference.recommender import Recommender
from rec_sys.locks import locked_folder
from rec_sys.serving.application import create_application
from rec_sys.serving.gateway import GatewaySettings
from tests.changed_bundles import note_anew
from tests.serving_bundles import write_serving_bundle
from tests.training_runs import SMALL, write_table

REPOSITORY = Path(__file__).resolve().parents[2]
USERS = ["user 1", "user 2", "user 3"]


@pytest.fixture(scope="module")
def output_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that no index was made from yet."""
    folder = tmp_path_factory.mktemp("shop")
    write_serving_bundle(folder / "bundles" / "only")
    return folder


@pytest.fixture(scope="module")
def model(output_dir: Path) -> Iterator[ReviewGraphRecommender]:
    model = ReviewGraphRecommender.load(output_dir)
    yield model
    model.close()


@pytest.fixture
def client(output_dir: Path, model: ReviewGraphRecommender) -> Iterator[TestClient]:
    settings = compose_settings([f"output_dir={output_dir}"], GatewaySettings, "gateway")
    with TestClient(
        create_application(settings.serving, Recommender(settings.index, settings.inference, output_dir))
    ) as client:
        yield client


def served(client: TestClient, **body: Any) -> pl.DataFrame:
    """What the service answers, as a frame."""
    response = client.post("/v1/recommendations", json=body)
    assert response.status_code == 200, response.text
    found = [
        (body.get("user_id"), product["asin"], product["rank"], product["score"], product["source"])
        for product in response.json()["products"]
    ]
    schema = {"user_id": pl.String, "asin": pl.String, "rank": pl.Int32, "score": pl.Float32, "source": pl.String}
    return pl.DataFrame(found, schema=schema, orient="row")


@pytest.mark.parametrize("filter_viewed", [True, False])
def test_answers_are_the_services_in_an_event_loop_and_outside(
    model: ReviewGraphRecommender, client: TestClient, filter_viewed: bool
) -> None:
    expected = pl.concat(served(client, user_id=user, limit=7, include_seen=not filter_viewed) for user in USERS)

    async def in_a_loop() -> Any:
        return model.recommend(USERS, k=7, filter_viewed=filter_viewed)

    assert_frame_equal(model.recommend(users=USERS, k=7, filter_viewed=filter_viewed), expected)
    assert_frame_equal(asyncio.run(in_a_loop()), expected)


def test_filters_are_the_services(model: ReviewGraphRecommender, client: TestClient) -> None:
    asked = {"max_price": 40.0, "brands": ["Brand 1", "Brand 2"]}
    found = model.recommend(USERS[:1], filter=asked)
    assert found.height > 0
    assert_frame_equal(found, served(client, user_id=USERS[0], filter=asked))
    with pytest.raises(InputError, match="max_prize"):
        model.recommend(USERS[:1], filter={"max_prize": 40})


def test_more_than_a_page_is_asked_for_in_pages(model: ReviewGraphRecommender) -> None:
    found = model.recommend(["user 5"], k=250, filter_viewed=False)
    assert found["rank"].to_list() == list(range(1, 61))  # the whole catalogue
    assert found["asin"].n_unique() == 60
    assert_frame_equal(found.head(30), model.recommend(["user 5"], k=30, filter_viewed=False))


def test_reviews_of_somebody_unknown_are_answered_as_the_service_does(
    model: ReviewGraphRecommender, client: TestClient
) -> None:
    rows = [("new", "p3", 5, 1_700_000_000_000), ("user 1", "p9", 2, None), ("new", "p4", None, 1_600_000_000_000)]
    frame = pl.DataFrame(rows, schema=["user_id", "asin", "rating", "timestamp"], orient="row")
    expected = [
        served(
            client, user_id="new", reviews=[dict(zip(frame.columns[1:], row[1:], strict=True)) for row in rows[::2]]
        ),
        served(client, user_id="user 1", reviews=[{"asin": "p9", "rating": 2}]),
    ]
    assert_frame_equal(model.recommend_for_reviews(frame), pl.concat(expected))
    moments = frame.with_columns(pl.from_epoch("timestamp", time_unit="ms"))
    assert_frame_equal(model.recommend_for_reviews(moments), pl.concat(expected))


def test_similar_products_are_the_services(model: ReviewGraphRecommender, client: TestClient) -> None:
    found = model.similar(["p3", "p8"], k=4)
    for asin in ("p3", "p8"):
        answer = client.get(f"/v1/products/{asin}/similar", params={"limit": 4}).json()
        listed = found.filter(pl.col("asin") == asin)
        assert listed["similar_asin"].to_list() == [product["asin"] for product in answer["products"]]
        assert listed["rank"].to_list() == [1, 2, 3, 4]
    with pytest.raises(InputError, match="nothing of the kind"):
        model.similar(["nothing of the kind"])


def test_answers_are_of_the_library_of_what_they_answer(model: ReviewGraphRecommender) -> None:
    given = {"user_id": [7.0], "asin": ["p3"]}
    found = model.recommend_for_reviews(pd.DataFrame(given))
    assert isinstance(found, pd.DataFrame)
    assert set(found["user_id"]) == {"7"}  # a table library turns whole numbers into floats
    assert isinstance(model.recommend_for_reviews(pl.DataFrame(given)), pl.DataFrame)
    for users in (["user 1"], ("user 1",), np.array(["user 1"]), pl.Series(["user 1"])):
        assert isinstance(model.recommend(users), pl.DataFrame)  # whatever was given before
    for users in (pd.Series(["user 1"]), pd.Index(["user 1"])):
        assert isinstance(model.recommend(users), pd.DataFrame)
    assert isinstance(model.similar(pd.Series(["p3"])), pd.DataFrame)
    assert isinstance(model.similar(["p3"]), pl.DataFrame)


def test_users_who_are_not_known_are_named_or_answered_as_somebody_unknown(
    model: ReviewGraphRecommender, client: TestClient
) -> None:
    with pytest.raises(InputError) as refused:
        model.recommend(["user 1", "nobody", "no one"])
    assert refused.value.what == "2 of 3 users are not known, such as no one, nobody"
    found = model.recommend(["nobody"], on_unknown="popular")
    assert_frame_equal(found.drop("user_id"), served(client).drop("user_id"))


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pl.DataFrame({"user_id": ["a"], "product": ["p1"]}), "no column asin"),
        (pl.DataFrame({"user_id": ["a"], "asin": ["p1"], "rating": [7]}), "rating"),
        ([{"user_id": "a"}], "list is no data frame"),
    ],
)
def test_reviews_that_cannot_be_meant_are_refused(model: ReviewGraphRecommender, frame: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        model.recommend_for_reviews(frame)


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        *(({"k": k}, "give a whole number from 1 to 10,000") for k in (0, -1, 1.5, True, "3", None, 10**9)),
        *(({"filter_viewed": value}, "give True or False") for value in ("no", 1, None)),
        *(({"filter": value}, "give a dict with any of") for value in ("x", ["brands"], 5)),
        *(({"on_unknown": value}, "give 'raise' or 'popular'") for value in ("zzz", None, True)),
        *(({"by": value}, "give 'graph' or 'text'") for value in ("zz", None)),
    ],
)
def test_an_argument_that_cannot_be_meant_is_named_with_what_it_takes(
    model: ReviewGraphRecommender, wrong: dict[str, Any], remedy: str
) -> None:
    [name] = wrong
    frame = pl.DataFrame({"user_id": ["a"], "asin": ["p1"]})
    calls: dict[str, Callable[[], Any]] = {
        "k filter_viewed filter on_unknown": lambda: model.recommend(USERS, **wrong),
        "k filter_viewed filter": lambda: model.recommend_for_reviews(frame, **wrong),
        "k by": lambda: model.similar(["p3"], **wrong),
    }
    for takes, call in calls.items():
        if name in takes.split():
            with pytest.raises(InputError, match=f"{name} is ") as refused:
                call()
            assert refused.value.where == name
            assert refused.value.remedy.startswith(remedy)


def test_nobody_is_answered_by_nothing_and_each_once(model: ReviewGraphRecommender) -> None:
    whole = model.recommend(USERS[:2], k=4)
    assert_frame_equal(model.recommend([]), whole.clear())
    assert_frame_equal(model.recommend_for_reviews(pl.DataFrame({"user_id": [], "asin": []})), whole.clear())
    assert_frame_equal(model.similar([], k=4), whole.clear().rename({"user_id": "asin", "asin": "similar_asin"}))
    for users in (
        [*USERS[:2], USERS[0]],
        np.array(USERS[:2]),
        pl.Series(USERS[:2]),
        (f" {user} " for user in USERS[:2]),
    ):
        assert_frame_equal(model.recommend(users, k=np.int64(4)), whole)
    assert model.recommend([" user 3"], k=1)["user_id"].to_list() == ["user 3"]


def test_what_no_product_meets_is_said_with_the_nearest_names(
    model: ReviewGraphRecommender, caplog: pytest.LogCaptureFixture
) -> None:
    assert model.recommend(USERS, filter={"brands": ["brand 1"], "categories_any": ["Knd 2", "Kind 1"]}).is_empty()
    assert caplog.messages == [
        "filter: no product of the bundle has the brand 'brand 1'; the nearest: 'Brand 1', 'Brand 3', 'Brand 2'",
        "filter: no product of the bundle has the category 'Knd 2'; the nearest: 'Kind 2', 'Kind 1', 'Kind 0'",
        "no answer for 3 of 3 users, such as user 1: no product passes the filter",
    ]
    caplog.clear()
    assert model.recommend(USERS, filter={"brands": ["Brand 1"], "min_rating": 2}).height
    assert caplog.messages == []


def test_reviews_that_are_not_used_are_counted(model: ReviewGraphRecommender, caplog: pytest.LogCaptureFixture) -> None:
    rows = {"user_id": ["a", "a", "b"], "asin": ["p1", "elsewhere", "nowhere"], "text": [None, "fine", None]}
    model.recommend_for_reviews(pl.DataFrame(rows), k=150)
    assert len(caplog.messages) == 1
    assert "that were not used: 2; the product is not in the catalogue" in caplog.text


def test_a_review_that_cannot_be_meant_is_said_to_be_whose(model: ReviewGraphRecommender) -> None:
    frame = pl.DataFrame({"user_id": ["a", "b", "b"], "asin": ["p1"] * 3, "rating": [5, 5, 7]})
    with pytest.raises(InputError) as refused:
        model.recommend_for_reviews(frame)
    assert refused.value.where == "reviews[1].rating of user b"


def test_only_what_belongs_together_is_fitted(tmp_path: Path) -> None:
    model, frame = ReviewGraphRecommender(output_dir=tmp_path), pl.DataFrame({"asin": ["p1"]})
    with pytest.raises(InputError, match="products are given, and no reviews"):
        model.fit(products=frame)
    with pytest.raises(InputError, match="columns are given, and no reviews"):
        model.fit(columns={"asin": "x"})
    with pytest.raises(InputError, match="product_columns are given, and no products"):
        model.fit(frame, product_columns={"asin": "x"})
    with pytest.raises(InputError, match="data=sample and a frame of reviews"):
        ReviewGraphRecommender("data=sample", output_dir=tmp_path).fit(frame)


def test_reviews_beyond_a_limit_are_said_to_be_whose_with_the_setting(
    model: ReviewGraphRecommender, output_dir: Path
) -> None:
    frame = pl.DataFrame({"user_id": ["a"] * 1_001, "asin": ["p1"] * 1_001})
    with pytest.raises(InputError, match="1,000 are the most") as refused:
        model.recommend_for_reviews(frame)
    assert refused.value.where == "reviews of user a"
    assert "inference.max_reviews=...; settings of answers are texts" in refused.value.remedy
    more = ReviewGraphRecommender.load(output_dir, "inference.max_reviews=2000")
    assert more.recommend_for_reviews(frame).height == 10
    more.close()


def test_frames_are_fitted_by_one_process_at_a_time(tmp_path: Path) -> None:
    frame = pl.DataFrame({"user_id": ["a"], "asin": ["p1"]})
    with (
        locked_folder(tmp_path / "frames", "", ""),
        pytest.raises(InputError, match="another process fits frames") as refused,
    ):
        ReviewGraphRecommender(output_dir=tmp_path).fit(frame)
    assert "output_dir of its own" in refused.value.remedy
    assert [path.name for path in (tmp_path / "frames").iterdir()] == [".lock"]


def test_a_newer_bundle_than_the_index_serves_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_serving_bundle(tmp_path / "bundles" / "first")
    ReviewGraphRecommender.load(tmp_path)
    ReviewGraphRecommender.load(tmp_path)
    assert "is newer" not in caplog.text
    second = write_serving_bundle(tmp_path / "bundles" / "second", seed=1).folder
    note_anew(second, created="2999-01-01T00:00:00+00:00")
    ReviewGraphRecommender.load(tmp_path)
    assert "and second of 2999-01-01T00:00:00+00:00 is newer; rec-sys create_vectorbase publishes it" in caplog.text


def test_a_bundle_that_is_chosen_must_be_the_one_of_the_index(model: ReviewGraphRecommender, output_dir: Path) -> None:
    other = write_serving_bundle(output_dir.parent / "other", seed=5)
    chosen = ReviewGraphRecommender.load(output_dir, f"bundle={other.folder}")
    with pytest.raises(InputError, match=f"and bundle {other.identity} is to be served"):
        chosen.recommend(["user 1"])
    chosen.close()


@pytest.mark.parametrize("users", ["user 1", None, pl.DataFrame({"user_id": USERS}), [None], [float("nan")]])
def test_users_are_a_list_of_ids(model: ReviewGraphRecommender, users: Any) -> None:
    with pytest.raises(InputError, match=r"a list of ids|an id is missing"):
        model.recommend(users, on_unknown="popular")
    with pytest.raises(InputError, match=r"a list of ids|an id is missing"):
        model.similar(users)


def test_a_review_of_nobody_is_refused(model: ReviewGraphRecommender) -> None:
    frame = pl.DataFrame({"user_id": ["a", None], "asin": ["p1", "p2"]})
    with pytest.raises(InputError, match="an id is missing"):
        model.recommend_for_reviews(frame)


def test_columns_of_reviews_that_nothing_reads_are_named(
    model: ReviewGraphRecommender, caplog: pytest.LogCaptureFixture
) -> None:
    model.recommend_for_reviews(pl.DataFrame({"user_id": ["a"], "asin": ["p1"], "ratings": [5]}))
    assert "columns that nothing reads: ratings; a review has asin, text, title, rating" in caplog.text


def test_asking_before_fitting_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fit or load"):
        ReviewGraphRecommender(output_dir=tmp_path).recommend(["a"])
    with pytest.raises(InputError, match="no bundle yet") as refused:
        ReviewGraphRecommender.load(tmp_path)
    assert refused.value.remedy == "call fit first, or give the folder it wrote to"


def test_an_index_that_is_gone_is_named_in_terms_of_python(tmp_path: Path) -> None:
    write_serving_bundle(tmp_path / "bundles" / "only")
    model = ReviewGraphRecommender.load(tmp_path)
    shutil.rmtree(tmp_path / "index")
    with pytest.raises(InputError, match="index") as refused:
        model.recommend(USERS)
    assert "load again" in refused.value.remedy
    assert ReviewGraphRecommender.load(tmp_path).recommend(USERS).height == 30


def test_threads_share_what_one_of_them_opens(output_dir: Path, model: ReviewGraphRecommender) -> None:
    def count_loops() -> int:
        return [thread.name for thread in threading.enumerate()].count("rec_sys")

    gc.collect()
    whole, before = model.recommend(USERS), count_loops()
    shared = ReviewGraphRecommender.load(output_dir)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: shared.recommend(USERS), range(8)))
    for one in found:
        assert_frame_equal(one, whole)
    assert count_loops() == before + 1
    shared.close()


def test_frames_are_fitted_and_a_missing_column_is_named(tmp_path: Path) -> None:
    write_table(tmp_path)
    text = ("text=given", f"text.vectors_path={tmp_path / 'vectors.npy'}")
    names = {"user_id": "whose", "asin": "ItemCode", "timestamp": "unixReviewTime"}
    reviews = pd.read_csv(tmp_path / "reviews.csv").rename(columns=names)
    model = ReviewGraphRecommender(*SMALL, *text, "trainer.max_epochs=1", output_dir=tmp_path / "out")
    with pytest.raises(InputError, match="no column is known to be the user") as refused:
        model.fit(reviews.assign(whose=reviews["whose"] + reviews.index.astype(str)))
    assert refused.value.where == "the frame reviews"
    assert "data.columns.user_id=whose" in refused.value.remedy
    products = pd.DataFrame({"asin": ["p1", "p2"], "title": ["One", "Two"], "price": [1.5, 20.0]})
    with pytest.raises(InputError, match=r"'whose' is List\(String\)"):
        model.fit(reviews.assign(whose=[["u1"]] * len(reviews)), columns={"user_id": "whose"})
    model.fit(reviews, products, columns={"user_id": "whose"})
    found = model.recommend(["u1", "u2"], k=3)
    assert isinstance(found, pd.DataFrame)
    assert found.groupby("user_id").size().to_dict() == {"u1": 3, "u2": 3}
    assert set(model.recommend(["u1"], filter={"max_price": 2}, filter_viewed=False)["asin"]) == {"p1"}
    model.close()
    again = ReviewGraphRecommender.load(tmp_path / "out")
    assert_frame_equal(again.recommend(["u1", "u2"], k=3), pl.from_pandas(found), check_dtypes=False)
    # The shop's own frame is understood as it was by training, its seconds too.
    theirs = pl.from_pandas(reviews).filter(pl.col("whose") == "u1").drop("text")
    ours = theirs.rename({new: old for old, new in names.items()}).with_columns(pl.col("timestamp") * 1000)
    assert_frame_equal(again.recommend_for_reviews(theirs, k=5), again.recommend_for_reviews(ours, k=5))
    again.close()


def test_importing_it_loads_nothing_heavy() -> None:
    source = "import json, sys; import rec_sys.estimator; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", source], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert not {"torch", "polars", "mlflow", "narwhals", "fastapi"} & set(json.loads(done.stdout))
