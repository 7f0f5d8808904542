"""Names of versions, and the check that keeps a bad one from being served; progress of a build."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from rec_sys.contracts import InputError
from rec_sys.settings import EdgeIndex
from rec_sys.vector_database.catalogue import Catalogue
from rec_sys.vector_database.edge_version import EdgeVersion
from rec_sys.vector_database.exact import ExactRanking
from rec_sys.vector_database.publication import (
    base_name,
    compare,
    draw_users,
    next_revision,
    verify_version,
)
from rec_sys.vector_database.searching import answer
from tests.product_indexes import make_catalogue

SETTINGS = EdgeIndex(backend="edge", folder=Path("index"), check_queries=20)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return make_catalogue(tmp_path_factory.mktemp("bundle") / "bundle", 150)


@pytest.fixture(scope="module")
def version(catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> EdgeVersion:
    folder = tmp_path_factory.mktemp("version")
    written = EdgeVersion.create(folder, catalogue.version(SETTINGS), SETTINGS)
    written.write(catalogue.points(np.arange(len(catalogue))))
    return written


def test_revisions_count_up_from_the_published_version() -> None:
    assert next_revision("20260102-030405-0a1b2c3d") == "20260102-030405-0a1b2c3d.1"
    assert next_revision("20260102-030405-0a1b2c3d.9") == "20260102-030405-0a1b2c3d.10"
    assert base_name("20260102-030405-0a1b2c3d.10") == base_name("20260102-030405-0a1b2c3d")


def test_a_version_that_answers_as_the_bundle_does_passes_and_says_how_well(
    catalogue: Catalogue, version: EdgeVersion, caplog: pytest.LogCaptureFixture
) -> None:
    verify_version(version, catalogue, SETTINGS)
    assert caplog.messages[0].startswith("checked: 150 products, 20 questions, recall 1.0000")


def test_a_version_without_some_product_is_refused(catalogue: Catalogue, version: EdgeVersion) -> None:
    more = dataclasses.replace(catalogue, details=catalogue.details.vstack(catalogue.details[:1]))
    with pytest.raises(InputError, match="holds 150 products, the bundle 151"):
        verify_version(version, more, SETTINGS)


def test_a_version_that_ranks_otherwise_is_refused(catalogue: Catalogue, version: EdgeVersion) -> None:
    turned = dataclasses.replace(catalogue, vectors=catalogue.vectors[::-1].copy())
    with pytest.raises(InputError, match=r"of the exact best 10, 0\.99 are asked for"):
        verify_version(version, turned, SETTINGS)


def test_a_version_whose_scores_are_not_the_models_is_refused(catalogue: Catalogue, version: EdgeVersion) -> None:
    assert catalogue.memory is not None
    colder = dataclasses.replace(catalogue, temperature=catalogue.temperature / 2, memory=2 * catalogue.memory)
    with pytest.raises(InputError, match="scores of the new version differ by up to"):
        verify_version(version, colder, SETTINGS)


def test_a_product_that_may_not_be_answered_counts_as_wrong(catalogue: Catalogue, version: EdgeVersion) -> None:
    users = draw_users(catalogue, 10, seed=1)
    everything = [dataclasses.replace(user, filter=type(user.filter)()) for user in users]
    exact = ExactRanking(catalogue)
    told = answer(version, everything, SETTINGS)
    assert compare(told, everything, exact).recall == 1
    agreement = compare(told, users, exact)
    assert agreement.recall < 0.9
    assert agreement.worst_score_error == np.inf


def test_the_smallest_catalogues_can_be_checked(tmp_path: Path) -> None:
    for size in (1, 2, 5):
        catalogue = make_catalogue(tmp_path / str(size), size, neighbours=0)
        users = draw_users(catalogue, 5, seed=0)
        assert len(users) == 5
        assert ExactRanking(catalogue).query_scores(users).shape == (5, size)
