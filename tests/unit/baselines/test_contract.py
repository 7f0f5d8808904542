"""The contract, for every baseline that learns in no time; those with networks stand among the integration tests."""

import pytest

from rec_sys.baselines.catalogue import BASELINES
from tests.baseline_contract import BaselineContract, PersonalBaselineContract


class TestRandom(BaselineContract):
    name = "random"


class TestPopular(BaselineContract):
    name = "popular"


class TestPopularRecent(BaselineContract):
    name = "popular_recent"


class TestItemKnn(PersonalBaselineContract):
    name = "item_knn"


class TestItemKnnTfidf(PersonalBaselineContract):
    name = "item_knn_tfidf"


class TestItemKnnCosine(PersonalBaselineContract):
    name = "item_knn"
    changes = {"weighting": "cosine"}


class TestItemKnnRecent(PersonalBaselineContract):
    name = "item_knn_recent"


class TestUserKnn(PersonalBaselineContract):
    name = "user_knn"


class TestUserKnnBm25(PersonalBaselineContract):
    name = "user_knn"
    changes = {"weighting": "bm25", "num_neighbours": 11}


class TestEase(PersonalBaselineContract):
    name = "ease"
    changes = {"regularization": 5.0}


class TestEaseRecent(PersonalBaselineContract):
    name = "ease_recent"
    changes = {"regularization": 5.0}


class TestPureSvd(PersonalBaselineContract):
    name = "pure_svd"
    changes = {"dim": 2}


class TestAls(PersonalBaselineContract):
    name = "als"
    changes = {"dim": 4, "regularization": 1.0}


class TestBpr(PersonalBaselineContract):
    name = "bpr"
    changes = {"dim": 4, "iterations": 200}
    answers_cold_start_users = False


class TestLightFm(PersonalBaselineContract):
    name = "lightfm"
    changes = {"dim": 4}
    answers_cold_start_users = False

    @pytest.fixture(scope="class", autouse=True)
    def library(self) -> None:
        pytest.importorskip("lightfm", reason="lightfm is in the optional group: uv run --group baselines pytest")


class TestContent(PersonalBaselineContract):
    name = "content"


def test_every_ranking_baseline_is_tested_here_or_among_the_integration_tests() -> None:
    from tests.integration import test_benchmark_contract as integration

    classes = [*globals().values(), *vars(integration).values()]
    tested = {
        one.name
        for one in classes
        if isinstance(one, type) and issubclass(one, BaselineContract) and "name" in vars(one)
    }
    assert {name for name, kind in BASELINES.items() if kind.make} - tested == set()
