"""The recommender for Python keeps the baselines' promises: frames in, and what a history leads to out."""

from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import polars as pl
import pytest

from rec_sys import ReviewGraphRecommender
from rec_sys.baselines.contract import Baseline
from rec_sys.baselines.reviews import Histories, TrainingReviews
from rec_sys.bundle import find_bundle
from rec_sys.data.interactions import FloatArray
from rec_sys.settings import Section
from rec_sys.train import results
from tests.baseline_contract import COLD_PRODUCT, PersonalBaselineContract
from tests.training_runs import SMALL

# All reviews are learned from but the last of each user, which nothing here asks for.
SETTINGS = (*SMALL, "text=none", "evaluation.refit=true", "data.keep_unreviewed_products=true")


class InPython(Baseline):
    """The class behind the baselines' contract; a history becomes a frame of somebody whom the model does not know."""

    name = "review_graph_in_python"

    def __init__(self, folder: Path, epochs: int) -> None:
        super().__init__(Section(), seed=3, num_threads=1)
        self.output_dir = Path(mkdtemp(dir=folder))
        epochs_setting = f"trainer.max_epochs={epochs}"
        self.model = ReviewGraphRecommender(*SETTINGS, epochs_setting, "seed=3", output_dir=self.output_dir)

    def _fit(self, reviews: TrainingReviews) -> None:
        frame = pl.DataFrame(
            {
                "user_id": [f"u{user}" for user in reviews.user_index],
                "asin": [f"p{product}" for product in reviews.product_index],
                "rating": reviews.rating,
                "timestamp": pl.from_epoch(pl.Series(reviews.timestamp + 1_400_000_000_000), time_unit="ms"),
            }
        )
        products = pl.DataFrame({"asin": [f"p{product}" for product in range(reviews.num_products)]})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(results, "draw_pictures", lambda *_: ())  # they take longer than the training
            self.model.fit(frame, products.with_columns(title="Product " + pl.col("asin")))
        self.num_parameters = sum(weight.size for weight in find_bundle(None, self.output_dir).weights().values())

    def _score(self, histories: Histories) -> FloatArray:
        asked = pl.DataFrame(
            {
                "user_id": [f"asked {row}" for row in histories.rows()],
                "asin": [f"p{product}" for product in histories.products],
                "rating": np.full(len(histories.products), 5.0),
            }
        )
        found = self.model.recommend_for_reviews(asked, k=self.reviews.num_products, filter_viewed=False)
        scores = np.full((len(histories), self.reviews.num_products), -np.inf, dtype=np.float32)
        rows = found["user_id"].str.strip_prefix("asked ").cast(pl.Int64)
        scores[rows, found["asin"].str.strip_prefix("p").cast(pl.Int64)] = found["score"]
        return scores


class TestInPython(PersonalBaselineContract):
    name = InPython.name
    num_asked = 4

    @pytest.fixture(scope="class", autouse=True)
    def folder(self, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Any:
        request.cls.output_dir = tmp_path_factory.mktemp("in_python")

    def make(self, epochs: int | None = None) -> Baseline:
        return InPython(self.output_dir, epochs or 20)

    def test_a_product_that_nobody_reviewed_is_in_the_index(self, baseline: InPython, histories: Histories) -> None:
        assert np.isfinite(baseline.score(histories)[:, COLD_PRODUCT]).all()
