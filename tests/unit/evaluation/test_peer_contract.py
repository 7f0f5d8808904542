"""The contract, for every peer that learns in no time; those with networks are tested among the integration tests."""

import pytest

from rec_sys.evaluation.peers.catalogue import PEERS
from tests.peer_contract import PeerContract, PersonalPeerContract


class TestRandom(PeerContract):
    name = "random"


class TestPopular(PeerContract):
    name = "popular"


class TestPopularRecent(PeerContract):
    name = "popular_recent"


class TestItemKnn(PersonalPeerContract):
    name = "item_knn"


class TestItemKnnTfidf(PersonalPeerContract):
    name = "item_knn_tfidf"


class TestItemKnnCosine(PersonalPeerContract):
    name = "item_knn"
    changes = {"weighting": "cosine"}


class TestItemKnnRecent(PersonalPeerContract):
    name = "item_knn_recent"


class TestUserKnn(PersonalPeerContract):
    name = "user_knn"


class TestUserKnnBm25(PersonalPeerContract):
    name = "user_knn"
    changes = {"weighting": "bm25", "num_neighbours": 11}


class TestEase(PersonalPeerContract):
    name = "ease"
    changes = {"regularization": 5.0}


class TestEaseRecent(PersonalPeerContract):
    name = "ease_recent"
    changes = {"regularization": 5.0}


class TestPureSvd(PersonalPeerContract):
    name = "pure_svd"
    changes = {"dim": 2}


class TestAls(PersonalPeerContract):
    name = "als"
    changes = {"dim": 4, "regularization": 1.0}


class TestBpr(PersonalPeerContract):
    name = "bpr"
    changes = {"dim": 4, "iterations": 200}
    answers_strangers = False


class TestLightFm(PersonalPeerContract):
    name = "lightfm"
    changes = {"dim": 4}
    answers_strangers = False

    @pytest.fixture(scope="class", autouse=True)
    def library(self) -> None:
        pytest.importorskip("lightfm", reason="lightfm is in the optional group: uv run --group peers pytest")


class TestContent(PersonalPeerContract):
    name = "content"


def test_every_ranking_peer_is_tested_here_or_among_the_integration_tests() -> None:
    from tests.integration import test_benchmark_contract as integration

    classes = [*globals().values(), *vars(integration).values()]
    tested = {
        one.name for one in classes if isinstance(one, type) and issubclass(one, PeerContract) and "name" in vars(one)
    }
    assert {name for name, kind in PEERS.items() if kind.make} - tested == set()
