"""The built-in sample: what its numbers must be, and that the oracle is what it says."""

import hashlib
import json
import re
from functools import cache
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from rec_sys.contracts import MILLISECONDS_A_DAY, InputError, ReviewColumn
from rec_sys.data.sample import Sample, generate_sample
from rec_sys.settings import SampleData
from tests.sample_oracle import Oracle

START, END = 1_546_300_800_000, 1_672_531_200_000  # 2019-01-01 and 2023-01-01 UTC
QUICK = {"num_users": 120, "num_products": 60, "num_reviews": 900}
# Changes whenever the generator does; what matters is that it is the same on every Python and every machine.
QUICK_DIGEST = "bbc9020c5fd4279b89cfdf8ca1cfc7b17726bb06858d429fda4818edbfc2a5b3"


def settings_of(**values: float) -> SampleData:
    return SampleData.model_validate({"name": "sample", "reader": "sample", **values})


def digest(sample: Sample) -> str:
    rows = json.dumps([sample.reviews.rows(), sample.products.rows()])  # never a library's own formatting
    return hashlib.sha256(rows.encode()).hexdigest()


def made(**values: float) -> Sample:
    """A sample, generated once and shared, since a whole one takes seconds; nobody changes it."""
    return _generate(settings_of(**values).model_dump_json())


@cache
def _generate(settings: str) -> Sample:
    return generate_sample(SampleData.model_validate_json(settings))


@pytest.fixture(scope="module")
def sample() -> Sample:
    return made()


@pytest.fixture(scope="module")
def quick() -> Sample:
    return made(**QUICK)


class LastOut:
    """Every user's last product under the scores of a recommender, with the history masked."""

    def __init__(self, sample: Sample) -> None:
        product_index = {asin: index for index, asin in enumerate(sample.products["asin"])}
        users = sample.reviews.group_by("user_id", maintain_order=True).agg("asin", "timestamp")
        users = users.filter(pl.col("asin").list.len() >= 3)
        rows = [[product_index[asin] for asin in asins] for asins in users["asin"]]
        self.user_ids = users["user_id"].to_list()
        self.times = np.array([times[-1] for times in users["timestamp"]], dtype=np.int64)
        self.targets = np.array([row[-1] for row in rows])
        self.history = np.zeros((len(rows), len(product_index)))
        self.train = np.zeros_like(self.history)
        for index, row in enumerate(rows):
            self.history[index, row[:-1]] = 1
            self.train[index, row[:-2]] = 1

    def ndcg_at_10(self, scores: NDArray[np.float64]) -> float:
        masked = np.where(self.history > 0, -np.inf, scores)
        own = masked[np.arange(len(masked)), self.targets]
        rank = (masked > own[:, None]).sum(axis=1) + ((masked == own[:, None]).sum(axis=1) - 1) / 2
        return float(np.where(rank < 10, 1 / np.log2(rank + 2), 0.0).mean())

    def popularity(self) -> NDArray[np.float64]:
        return np.tile(self.train.sum(axis=0), (len(self.train), 1))

    def neighbours(self) -> NDArray[np.float64]:
        """Item-item cosine, shrunk."""
        together = self.train.T @ self.train
        norm = np.sqrt(np.diag(together))
        similarity = together / (norm[:, None] * norm + 5)
        np.fill_diagonal(similarity, 0)
        return np.asarray(self.history @ similarity)


def test_equal_settings_give_equal_frames_and_another_seed_gives_others(quick: Sample) -> None:
    again = generate_sample(settings_of(**QUICK))
    assert again.reviews.equals(quick.reviews)
    assert again.products.equals(quick.products)
    other = made(**QUICK, seed=8)
    assert not set(other.products["asin"]) & set(quick.products["asin"])
    assert other.reviews["text"].to_list() != quick.reviews["text"].to_list()


def test_the_sample_is_the_same_on_every_python_and_machine(quick: Sample) -> None:
    assert digest(quick) == QUICK_DIGEST, "where the generator was changed on purpose, so must this digest be"


def test_reviews_have_the_columns_and_types_of_the_contract(sample: Sample) -> None:
    assert dict(sample.reviews.schema) == {
        ReviewColumn.USER_ID: pl.String,
        ReviewColumn.ASIN: pl.String,
        ReviewColumn.RATING: pl.Float32,
        ReviewColumn.TIMESTAMP: pl.Int64,
        ReviewColumn.TITLE: pl.String,
        ReviewColumn.TEXT: pl.String,
        ReviewColumn.STYLE: pl.String,
        ReviewColumn.HELPFUL_VOTES: pl.Int32,
        ReviewColumn.VERIFIED: pl.Boolean,
        ReviewColumn.SOURCE_ROW: pl.Int64,
    }
    assert sample.reviews["source_row"].to_list() == list(range(6_000))
    assert dict(sample.products.schema) == {
        "asin": pl.String,
        "title": pl.String,
        "brand": pl.String,
        "categories": pl.List(pl.String),
        "price": pl.Float32,
        "features": pl.List(pl.String),
        "description": pl.String,
    }
    assert sample.products.null_count().sum_horizontal().item() == 0
    assert sample.products.select(pl.col("price").is_between(2, 3_000).all()).item()


@pytest.mark.parametrize("sizes", [(20, 24, 200), (120, 60, 900), (60, 500, 2_000), (600, 240, 6_000)])
def test_the_sizes_are_those_asked_for(sizes: tuple[int, int, int]) -> None:
    num_users, num_products, num_reviews = sizes
    sample = made(num_users=num_users, num_products=num_products, num_reviews=num_reviews, seed=8)
    assert sample.reviews.height == num_reviews
    assert sample.reviews["user_id"].n_unique() == num_users
    assert sample.products["asin"].n_unique() == sample.products["title"].n_unique() == num_products
    assert set(sample.reviews["asin"]) <= set(sample.products["asin"])


@pytest.mark.parametrize("sizes", [(20, 24, 5_000), (600, 240, 1_000)])
def test_sizes_that_do_not_go_together_are_refused(sizes: tuple[int, int, int]) -> None:
    num_users, num_products, num_reviews = sizes
    with pytest.raises(InputError, match=f"cannot have {num_reviews} reviews") as refusal:
        generate_sample(settings_of(num_users=num_users, num_products=num_products, num_reviews=num_reviews))
    assert refusal.value.where == "data.num_reviews"
    fewest, most = map(int, re.findall(r"(\d+) to (\d+)", refusal.value.remedy)[0])
    nearest = most if num_reviews > most else fewest
    at_the_edge = settings_of(num_users=num_users, num_products=num_products, num_reviews=nearest)
    assert generate_sample(at_the_edge).reviews.height == nearest


def test_ids_look_like_those_of_the_shop(sample: Sample) -> None:
    assert sample.products.select(pl.col("asin").str.contains(r"^B0[A-Z0-9]{8}$").all()).item()
    assert sample.reviews.select(pl.col("user_id").str.contains(r"^A[A-Z0-9]{12,13}$").all()).item()


def test_reviews_fall_into_four_years_in_time_order_with_no_tie_for_a_user(sample: Sample) -> None:
    times = sample.reviews["timestamp"]
    assert times.is_sorted()
    assert START <= times.min() < START + 60 * MILLISECONDS_A_DAY  # type: ignore[operator]
    assert END - 60 * MILLISECONDS_A_DAY < times.max() < END  # type: ignore[operator]
    assert sample.reviews.select("user_id", "timestamp").is_duplicated().sum() == 0
    assert sample.reviews.select("user_id", "asin").is_duplicated().sum() == 0


def test_some_products_are_cold_and_some_users_write_once(sample: Sample) -> None:
    written = sample.reviews.group_by("asin").agg(pl.len().alias("count"), pl.col("timestamp").min().alias("first"))
    products = sample.products.join(written, on="asin", how="left")
    unreviewed = products.filter(pl.col("count").is_null())
    assert 3 <= unreviewed.height <= 24
    assert unreviewed.select((pl.col("title") != "") & (pl.col("description") != "")).to_series().all()
    assert products.filter(pl.col("first") > END - 120 * MILLISECONDS_A_DAY).height >= 3
    counts = sample.reviews.group_by("user_id").len()["len"]
    assert 0.04 <= (counts == 1).mean() <= 0.1  # type: ignore[operator]
    assert counts.max() >= 30  # type: ignore[operator]


def test_popularity_is_skewed_but_mildly(sample: Sample) -> None:
    counts = sample.reviews.group_by("asin").len()["len"].sort(descending=True)
    assert 0.2 < counts.head(24).sum() / 6_000 < 0.35


def test_stars_are_mostly_five_and_follow_product_and_user(sample: Sample) -> None:
    stars = sample.reviews["rating"].to_numpy()
    share = [float((stars == value).mean()) for value in (1, 2, 3, 4, 5)]
    assert sum(share) == pytest.approx(1)
    assert 0.04 < share[0] < 0.08
    assert 0.55 < share[4] < 0.66
    assert share[1] < share[2] < share[3] < share[4]
    user_ids, asins = sample.reviews["user_id"].to_list(), sample.reviews["asin"].to_list()
    expected = Oracle(sample).expected_rating(user_ids, asins, sample.reviews["timestamp"].to_numpy())
    assert float(np.sqrt(np.mean((expected - stars) ** 2))) < 0.85 * float(stars.std())
    assert float(expected.mean()) == pytest.approx(float(stars.mean()), abs=0.05)


def test_the_order_of_products_tells_nothing(sample: Sample) -> None:
    family = sample.products["categories"].list.join(">").to_list()
    same = np.mean([a == b for a, b in pairwise(family)])
    by_chance = np.mean([[a == b for a in family] for b in family])
    assert same < by_chance + 0.05
    counts = dict(sample.reviews.group_by("asin").len().iter_rows())
    popularity = [counts.get(asin, 0) for asin in sample.products["asin"]]
    assert abs(np.corrcoef(np.arange(240), popularity)[0, 1]) < 0.2


def test_the_oracle_gives_a_distribution_over_what_can_be_bought(sample: Sample) -> None:
    last = LastOut(sample)
    scores = Oracle(sample).scores(last.user_ids, last.times)
    assert scores.shape == (len(last.user_ids), 240)
    np.testing.assert_allclose(scores.sum(axis=1), 1)
    assert (scores >= 0).all()
    assert (scores[last.history > 0] == 0).all()
    assert (scores[np.arange(len(scores)), last.targets] > 0).all()
    afterwards = Oracle(sample).scores(last.user_ids, last.times + 1)
    assert (afterwards[np.arange(len(scores)), last.targets] == 0).all()


@pytest.mark.parametrize("seed", [7, 8])
def test_the_oracle_beats_neighbours_and_neighbours_beat_popularity_by_far(seed: int) -> None:
    last = LastOut(sample := made(seed=seed))
    oracle = last.ndcg_at_10(Oracle(sample).scores(last.user_ids, last.times))
    popular, neighbours = last.ndcg_at_10(last.popularity()), last.ndcg_at_10(last.neighbours())
    assert oracle > 5 * popular
    assert 2.5 * popular < neighbours < 0.7 * oracle


def test_the_oracle_is_as_sure_as_it_is_right(sample: Sample) -> None:
    reviews = sample.reviews
    scores = Oracle(sample).scores(reviews["user_id"].to_list(), reviews["timestamp"].to_numpy())
    product_index = {asin: index for index, asin in enumerate(sample.products["asin"])}
    bought = np.array([product_index[asin] for asin in reviews["asin"]])
    for best in (1, 5, 20):
        named = np.argsort(-scores, axis=1)[:, :best]
        promised = np.take_along_axis(scores, named, axis=1).sum(axis=1)
        kept = (named == bought[:, None]).any(axis=1)
        four_errors = 4 * float(np.sqrt((promised * (1 - promised)).sum())) / len(scores)
        assert float(kept.mean()) == pytest.approx(float(promised.mean()), abs=four_errors)


def test_the_oracle_refuses_ids_it_does_not_know(quick: Sample) -> None:
    with pytest.raises(InputError, match="no user 'nobody'"):
        Oracle(quick).scores(["nobody"], np.array([START]))
    user = quick.reviews["user_id"][0]
    with pytest.raises(InputError, match="no product 'nothing'"):
        Oracle(quick).expected_rating([user], ["nothing"], np.array([START]))


def test_a_share_of_the_purchases_is_repeated_where_it_is_asked_for() -> None:
    def pairs(sample: Sample) -> list[tuple[str, str]]:
        return sample.reviews.select(ReviewColumn.USER_ID, ReviewColumn.ASIN).rows()

    plain, repeated = pairs(made(**QUICK)), pairs(made(**QUICK, repeat_share=0.4))
    assert len(set(plain)) == len(plain) == len(repeated)
    assert [user for user, _ in plain] == [user for user, _ in repeated]
    assert 0.25 < 1 - len(set(repeated)) / len(repeated) < 0.45
