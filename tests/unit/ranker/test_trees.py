"""Whichever library learned them, the trees say what its own model says: values, missing ones, ties, and reasons."""

import warnings
from typing import Any

import numpy as np
import onnxruntime
import pytest

from rec_sys.contracts import InputError, RankerTensor
from rec_sys.ranker.boosting import RankingTable, _rounded_down, fit_trees, join_trees, library_of
from rec_sys.ranker.onnx_export import write_onnx
from rec_sys.ranker.trees import Trees, example_rows
from rec_sys.settings import RankerSettings

LIBRARIES = ("lightgbm", "xgboost", "catboost")
NUM_FEATURES = 6
ROWS = 1_000


def some_table() -> RankingTable:
    random = np.random.default_rng(0)
    features = np.round(random.normal(size=(4_000, NUM_FEATURES)), 1).astype(np.float32)
    features[:, 5] = random.integers(0, 5, len(features)) * np.float32(0.1)
    features[random.random(features.shape) < 0.1] = np.nan
    features[:, 2] = np.nan_to_num(features[:, 2])  # nothing is missing here until it is asked about
    chance = 1 / (1 + np.exp(3 - np.nan_to_num(features[:, 0]) - features[:, 2]))
    question = np.repeat(np.arange(50), len(features) // 50)
    score = random.normal(size=len(features)).astype(np.float32)
    return RankingTable(question, features, score, random.random(len(features)) < chance)


@pytest.fixture(scope="module", params=LIBRARIES)
def learned(request: pytest.FixtureRequest) -> tuple[str, Trees, Any]:
    name = request.param
    return (name, *fit_trees(name, some_table(), RankerSettings(rounds=30, min_candidates=20), seed=0))


def native_values(name: str, model: Any, rows: np.ndarray) -> np.ndarray:
    library = library_of(name)
    if name == "xgboost":
        return model.predict(library.DMatrix(rows), output_margin=True)
    return model.predict(rows)


def native_contributions(name: str, model: Any, rows: np.ndarray) -> np.ndarray:
    library = library_of(name)
    if name == "lightgbm":
        return model.predict(rows, pred_contrib=True)
    if name == "xgboost":
        return model.predict(library.DMatrix(rows), pred_contribs=True)
    return model.get_feature_importance(library.Pool(rows), type="ShapValues")


def test_values_are_the_librarys_own_at_thresholds_and_where_they_are_missing(
    learned: tuple[str, Trees, Any],
) -> None:
    name, trees, model = learned
    rows = example_rows(trees, ROWS, NUM_FEATURES)
    assert np.isnan(rows).any()
    native = native_values(name, model, rows)
    assert np.ptp(native) > 0.1
    np.testing.assert_allclose(trees.predict(rows), native, atol=1e-5)
    session = onnxruntime.InferenceSession(write_onnx(trees, NUM_FEATURES))
    (values,) = session.run([RankerTensor.VALUE], {RankerTensor.FEATURES: rows})
    np.testing.assert_allclose(values[:, 0], native, atol=1e-5)


def test_contributions_are_the_librarys_shapley_values(learned: tuple[str, Trees, Any]) -> None:
    name, trees, model = learned
    rows = some_table().features[:50]
    native = native_contributions(name, model, rows)
    np.testing.assert_allclose(trees.contributions(rows), native[:, :-1], atol=1e-5)
    np.testing.assert_allclose(trees.predict(rows) - trees.contributions(rows).sum(axis=1), native[:, -1], atol=1e-5)


def test_trees_are_kept_whole(learned: tuple[str, Trees, Any]) -> None:
    _, trees, _ = learned
    again = Trees.of_tensors(trees.tensors())
    rows = example_rows(trees, 20, NUM_FEATURES)
    np.testing.assert_array_equal(again.predict(rows), trees.predict(rows))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("left", lambda values: np.zeros_like(values)),  # a walk that never ends
        ("right", lambda values: np.full_like(values, 10_000)),
        ("value", lambda values: np.full_like(values, np.nan)),
        ("cover", lambda values: values[:-1]),
    ],
)
def test_damaged_trees_are_refused(learned: tuple[str, Trees, Any], name: str, change: Any) -> None:
    tensors = learned[1].tensors()
    with pytest.raises(ValueError, match="trees are expected"):
        Trees.of_tensors(tensors | {name: change(tensors[name])})


def test_a_missing_array_is_refused(learned: tuple[str, Trees, Any]) -> None:
    tensors = learned[1].tensors()
    del tensors["cover"]
    with pytest.raises(ValueError, match="tensors named"):
        Trees.of_tensors(tensors)


def test_questions_that_teach_no_order_are_left_out() -> None:
    taken = np.array([False, False, True, False, True, True])
    table = RankingTable(
        np.repeat([0, 1, 2], 2), np.arange(12, dtype=np.float32).reshape(6, 2), np.zeros(6, dtype=np.float32), taken
    )
    kept = table.telling()
    assert kept.question.tolist() == [1, 1]
    assert kept.features.tolist() == [[4, 5], [6, 7]]
    assert table.joined(kept).question.tolist() == [0, 0, 1, 1, 2, 2, 4, 4]


def test_a_library_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "catboost", None)
    with pytest.raises(InputError, match=r"model\.ranker=catboost"):
        library_of("catboost")


def test_no_trees_add_nothing() -> None:
    assert join_trees([]).predict(np.zeros((2, 3), dtype=np.float32)).tolist() == [0, 0]


def test_a_threshold_above_every_number_stays_above_every_float32() -> None:
    highest = float(np.finfo(np.float32).max)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _rounded_down(1.7e308) == highest
        assert 0.0999999 < _rounded_down(0.1) < 0.1
