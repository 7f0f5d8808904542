"""Requests are refused in the user's words, and padding them changes no answer."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rec_sys.contracts import InputError
from rec_sys.ranker.boosting import Node, join_trees
from rec_sys.ranker.onnx_export import write_onnx
from rec_sys.settings import ExportSettings
from tests.served_models import expected_sums, options, some_entries, write_lookup, write_sums
from triton_utils.model_config import make_config, ranker_options
from triton_utils.model_requests import (
    ModelDescription,
    check_inputs,
    cut_rows,
    describe,
    fit_length,
    length_of,
    restore_length,
)
from triton_utils.onnx_signature import read_signature


@pytest.fixture(scope="module")
def sums(tmp_path_factory: pytest.TempPathFactory) -> ModelDescription:
    path = write_sums(tmp_path_factory.mktemp("models") / "sums.onnx")
    return describe(make_config("sums", read_signature(path), options(reads=50, max_batch_size=16), {3: "bundle"}))


@pytest.fixture(scope="module")
def lookup(tmp_path_factory: pytest.TempPathFactory) -> ModelDescription:
    path = write_lookup(tmp_path_factory.mktemp("models") / "lookup.onnx")
    return describe(make_config("lookup", read_signature(path), options(), {}))


def test_a_model_is_described_as_its_configuration_says(sums: ModelDescription) -> None:
    assert {name: (tensor.dtype, tensor.dims) for name, tensor in sums.inputs.items()} == {
        "entries": (np.float32, (-1, 4)),
        "mask": (np.float32, (-1,)),
        "flag": (np.float32, (1,)),
    }
    assert (sums.max_batch_size, sums.lengths, sums.reads, sums.identities) == (16, (8, 16, 32, 64), 50, {3: "bundle"})


def test_a_ranker_takes_what_is_missing_and_nothing_infinite(tmp_path: Path) -> None:
    path = tmp_path / "ranker.onnx"
    path.write_bytes(write_onnx(join_trees([[Node(0, 1.0, True, 1, 2), Node(value=1.0), Node(value=2.0)]]), 2))
    ranker = describe(make_config("ranker", read_signature(path), ranker_options(ExportSettings()), {}))
    features = np.array([[np.nan, 1.0]], dtype=np.float32)
    assert np.isnan(check_inputs(ranker, {"features": features})["features"][0, 0])
    with pytest.raises(InputError, match=r"there is inf at \[0, 1\]"):
        check_inputs(ranker, {"features": np.array([[np.nan, np.inf]], dtype=np.float32)})
    assert ranker.max_batch_size >= 1_000  # the candidates of several users


def test_a_model_is_known_to_be_on_a_gpu_where_it_is(sums: ModelDescription, tmp_path: Path) -> None:
    signature = read_signature(write_sums(tmp_path / "sums.onnx"))
    assert (sums.on_gpu, describe(make_config("sums", signature, options(device="gpu"), {})).on_gpu) == (False, True)


def test_a_model_without_our_parameters_is_described_too(tmp_path: Path) -> None:
    config = make_config("sums", read_signature(write_sums(tmp_path / "sums.onnx")), options(), {})
    config.parameters.clear()
    found = describe(config)
    assert (found.lengths, found.reads, found.identities) == ((), None, {})
    inputs = check_inputs(found, some_entries(2, 11))
    assert fit_length(found, inputs)["entries"].shape == (2, 11, 4)


def test_sound_inputs_pass_and_a_bare_batch_axis_gets_the_one_that_triton_wants(sums: ModelDescription) -> None:
    inputs = some_entries(3, 5)
    checked = check_inputs(sums, {name: inputs[name] for name in reversed(inputs)})
    assert list(checked) == ["entries", "mask", "flag"]
    assert checked["flag"].shape == (3, 1)
    assert checked["entries"] is inputs["entries"]


def broken(change: str) -> dict[str, Any]:
    inputs: dict[str, Any] = some_entries(3, 5)
    match change:
        case "missing":
            del inputs["mask"]
        case "unknown":
            inputs["maks"] = inputs.pop("mask")
        case "type":
            inputs["entries"] = inputs["entries"].astype(np.float64)
        case "list":
            inputs["entries"] = inputs["entries"].tolist()
        case "width":
            inputs["entries"] = inputs["entries"][..., :3]
        case "rank":
            inputs["mask"] = inputs["mask"][0]
        case "rows":
            inputs["flag"] = inputs["flag"][:2]
        case "lengths":
            inputs["mask"] = inputs["mask"][:, :4]
        case "no rows":
            inputs = {name: array[:0] for name, array in inputs.items()}
        case "no length":
            inputs |= {name: inputs[name][:, :0] for name in ("entries", "mask")}
        case "NaN":
            inputs["entries"][2, 1, 3] = np.nan
        case "infinite":
            inputs["mask"][1, 4] = np.inf
    return inputs


@pytest.mark.parametrize(
    ("change", "what", "where"),
    [
        ("missing", "mask is missing", "inputs of sums"),
        ("unknown", "mask is missing, maks is not known", "inputs of sums"),
        ("type", "this is an array of float64, the model takes float32", "input entries of sums"),
        ("list", "this is a list, the model takes float32", "input entries of sums"),
        ("width", "the shape is [3, 5, 3], the model takes [-1, -1, 4]", "input entries of sums"),
        ("rank", "the shape is [5], the model takes [-1, -1]", "input mask of sums"),
        ("rows", "the inputs have different numbers of rows: entries 3, mask 3, flag 2", "inputs of sums"),
        ("lengths", "the inputs have different lengths: entries 5, mask 4", "inputs of sums"),
        ("no rows", "the shape [0, 5, 4] has nothing in it", "input entries of sums"),
        ("no length", "the shape [3, 0, 4] has nothing in it", "input entries of sums"),
        ("NaN", "there is nan at [2, 1, 3]", "input entries of sums"),
        ("infinite", "there is inf at [1, 4]", "input mask of sums"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_by_name(sums: ModelDescription, change: str, what: str, where: str) -> None:
    with pytest.raises(InputError) as caught:
        check_inputs(sums, broken(change))
    assert (caught.value.what, caught.value.where) == (what, where)
    assert caught.value.remedy


def test_integers_are_not_searched_for_what_only_floats_can_be(lookup: ModelDescription) -> None:
    assert check_inputs(lookup, {"ids": np.zeros((2, 3), dtype=np.int64)})["ids"].shape == (2, 3)
    with pytest.raises(InputError, match="an array of int32, the model takes int64"):
        check_inputs(lookup, {"ids": np.zeros((2, 3), dtype=np.int32)})


@pytest.mark.parametrize(("length", "fitted"), [(1, 8), (8, 8), (9, 16), (50, 64), (64, 64), (300, 64)])
def test_requests_are_padded_to_the_next_length(sums: ModelDescription, length: int, fitted: int) -> None:
    found = fit_length(sums, check_inputs(sums, some_entries(2, length)))
    assert found["entries"].shape == (2, fitted, 4)
    assert found["mask"].shape == (2, fitted)
    assert found["flag"].shape == (2, 1)


@given(st.integers(1, 40), st.integers(1, 90), st.integers(0, 100))
def test_cutting_and_padding_change_no_answer(sums: ModelDescription, rows: int, length: int, seed: int) -> None:
    inputs = some_entries(rows, length, seed)
    inputs["mask"][:, 50:] = 0  # the model reads 50
    checked = check_inputs(sums, inputs)
    parts = [fit_length(sums, part) for part in cut_rows(sums, checked)]
    assert all(len(part["mask"]) <= 16 and part["mask"].shape[1] in sums.lengths for part in parts)
    answers = [expected_sums(part | {"flag": part["flag"][:, 0]}) for part in parts]
    joined = {name: np.concatenate([answer[name] for answer in answers]) for name in sums.outputs}
    for name, expected in expected_sums(inputs).items():
        np.testing.assert_allclose(restore_length(sums, joined, length_of(sums, checked))[name], expected, atol=1e-5)


def test_entries_beyond_what_the_model_reads_weigh_nothing(sums: ModelDescription) -> None:
    shares = np.full((2, 64), 0.5, dtype=np.float32)
    restored = restore_length(sums, {"shares": shares}, 80)["shares"]
    assert restored.shape == (2, 80)
    assert (restored[:, 64:] == 0).all()
