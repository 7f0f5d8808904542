"""Exported towers answer alike however far a request is padded, and a wrong answer would be noticed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from rec_sys.contracts import TowerFile, TowerTensor
from rec_sys.modules.tower_export import INPUTS, ProductTowerExport, export_modules, export_towers, number_reviews
from rec_sys.modules.tower_parity import (
    Expected,
    ParityCase,
    ParityError,
    answer,
    answer_by_onnxruntime,
    example_inputs,
    open_session,
    parity_cases,
    refuse_difference,
)
from tests.served_models import write_lookup
from tests.text_width import TEXT_DIM
from tests.tower_bundles import PRODUCT_REVIEWS, USER_REVIEWS, make_model

CONVOLUTIONS = ["transformer_conv", "gat"]
READS = {TowerFile.USER: USER_REVIEWS, TowerFile.PRODUCT: PRODUCT_REVIEWS}


def longer(inputs: dict[str, np.ndarray], length: int, fill: float) -> dict[str, np.ndarray]:
    """The same requests with more entries, all of them `fill`."""
    with_length = {
        name for name, array in inputs.items() if array.ndim > 1 and array.shape[1] == inputs["mask"].shape[1]
    }
    return {
        name: np.concatenate(
            [array, np.full((len(array), length - array.shape[1], *array.shape[2:]), fill, np.float32)], axis=1
        )
        if name in with_length
        else array
        for name, array in inputs.items()
    }


def test_places_stay_within_those_that_the_model_has() -> None:
    mask = torch.tensor([[1.0, 1, 1, 1, 1], [1, 0, 0, 0, 0]])
    distance, kept = number_reviews(mask, 3)
    assert distance.tolist() == [[0, 1, 2, 2, 2]] * 2
    assert kept.tolist() == [[1, 1, 1, 0, 0], [1, 0, 0, 0, 0]]
    distance, kept = number_reviews(mask, 0)
    assert distance.tolist() == [[0] * 5] * 2
    assert not kept.any()


def test_exported_vectors_have_their_width_and_the_model_stays_without_dropout() -> None:
    model = make_model(dropout=0.5)
    exported = export_towers(model, USER_REVIEWS, PRODUCT_REVIEWS)
    assert not any(module.training for module in model.modules())
    for tower in exported.values():
        vector, weights = open_session(tower).get_outputs()
        assert vector.shape == ["batch", model.settings.dim]
        assert weights.shape == ["batch", "length"]


@pytest.mark.parametrize("convolution", CONVOLUTIONS)
@pytest.mark.parametrize("file", [TowerFile.USER, TowerFile.PRODUCT])
@pytest.mark.parametrize("length", [16, 64])
def test_padding_changes_no_answer(convolution: str, file: str, length: int) -> None:
    model = make_model(convolution=convolution)
    tower = export_modules(model, PRODUCT_REVIEWS)[file]
    inputs = example_inputs(INPUTS[file], ParityCase(5, READS[file]), model.settings.dim, model.text_dim)
    vector, weights = answer(tower, inputs).answers
    padded_vector, padded_weights = answer(tower, longer(inputs, length, 0.0)).answers
    np.testing.assert_allclose(padded_vector, vector, atol=1e-6)
    np.testing.assert_allclose(padded_weights[:, : READS[file]], weights, atol=1e-6)
    assert (padded_weights[:, READS[file] :] == 0).all()


@pytest.mark.parametrize("file", [TowerFile.USER, TowerFile.PRODUCT])
def test_reviews_beyond_what_training_read_change_nothing(file: str) -> None:
    model = make_model()
    tower = export_modules(model, PRODUCT_REVIEWS)[file]
    inputs = example_inputs(INPUTS[file], ParityCase(5, READS[file]), model.settings.dim, model.text_dim)
    # Filled with ones: they are masked in, have a text, one star, and an age.
    more = answer(tower, longer(inputs, 32, 1.0)).answers
    np.testing.assert_allclose(more[0], answer(tower, inputs).answers[0], atol=1e-6)
    assert (more[1][:, READS[file] :] == 0).all()
    assert (more[1][0, : READS[file]] > 0).all()


def test_a_product_tower_that_learnt_without_reviews_reads_none() -> None:
    model = make_model()
    inputs = example_inputs(INPUTS[TowerFile.PRODUCT], ParityCase(3, 8), model.settings.dim, model.text_dim)
    blind = ProductTowerExport(model, reads=0).eval()
    vector, weights = answer(blind, inputs).answers
    assert not weights.any()
    without = inputs | {TowerTensor.MASK: np.zeros_like(inputs[TowerTensor.MASK])}
    np.testing.assert_allclose(vector, answer(blind, without).answers[0], atol=1e-6)
    seeing = answer(ProductTowerExport(model, PRODUCT_REVIEWS).eval(), inputs).answers[0]
    assert np.abs(seeing - vector)[0].max() > 1e-2


def test_the_cases_ask_for_everything_that_may_be_missing() -> None:
    cases = list(parity_cases((8, 64)))
    assert {(case.batch, case.length) for case in cases} == {(b, n) for b in (1, 3, 64) for n in (8, 64)}
    assert {(case.empty, case.texts) for case in cases if case.batch == 1} == {
        (False, True),
        (True, True),
        (False, False),
    }
    names = INPUTS[TowerFile.USER] + INPUTS[TowerFile.PRODUCT]
    several = example_inputs(names, ParityCase(64, 16), 16, TEXT_DIM)
    mask, has_text = several[TowerTensor.MASK], several[TowerTensor.HAS_TEXT]
    assert mask[0].all()
    assert not mask[-1].any()
    assert 0 < has_text.sum() < mask.sum()
    assert (has_text <= (mask > 0)).all()
    assert {0.1, 1.0, 3.0} <= {round(float(weight), 1) for weight in np.unique(mask)}
    assert 0 < several[TowerTensor.HAS_PRODUCT_TEXT].sum() < 64
    assert not several[TowerTensor.REVIEW_TEXT][has_text == 0].any()
    assert (several[TowerTensor.RATING][mask == 1] == 0).any()
    assert not example_inputs(names, ParityCase(3, 16, empty=True), 16, TEXT_DIM)[TowerTensor.MASK].any()
    textless = example_inputs(names, ParityCase(3, 16, texts=False), 16, TEXT_DIM)
    assert not textless[TowerTensor.HAS_TEXT].any()
    assert not textless[TowerTensor.PRODUCT_TEXT].any()


@pytest.mark.parametrize("wrong", [1e-3, -1e-3, np.nan, np.inf])
def test_a_difference_is_refused(wrong: float) -> None:
    expected = Expected.exactly([np.zeros((2, 3), dtype=np.float32), np.ones((2, 2), dtype=np.float32)])
    found = [array.copy() for array in expected.answers]
    found[0][1, 2] = 5e-5
    assert refuse_difference("user_tower", ParityCase(2, 3), "Triton", expected, found) == pytest.approx(5e-5)
    found[1][0, 1] += wrong
    with pytest.raises(ParityError, match="user_tower: Triton differs from torch by"):
        refuse_difference("user_tower", ParityCase(2, 3), "Triton", expected, found)


def test_an_onnxruntime_that_cannot_answer_is_a_difference(tmp_path: Path) -> None:
    session = open_session(write_lookup(tmp_path / "lookup.onnx").read_bytes())
    assert answer_by_onnxruntime(session, {"ids": np.array([[3]])})[0].tolist() == [[3.0]]
    with pytest.raises(ParityError, match="onnxruntime cannot answer"):
        answer_by_onnxruntime(session, {"ids": np.array([[99]])})


def test_torchs_own_rounding_is_no_difference() -> None:
    class Cancelling(nn.Module):
        def forward(self, values: torch.Tensor) -> tuple[torch.Tensor]:
            return ((values + 4_096.0) - 4_096.0,)

    expected = answer(Cancelling(), {"values": np.array([[0.0123], [0.25]], dtype=np.float32)})
    (exact,), (allowed,) = expected.answers, expected.allowed
    assert exact.dtype == np.float32
    assert exact == pytest.approx(np.array([[0.0123], [0.25]]), abs=1e-9)
    # The second has no digit that is lost.
    assert allowed[0] == pytest.approx(8 * abs(0.0123 - 50 / 4_096), rel=1e-3)
    assert allowed[1] == pytest.approx(1e-4)
    case = ParityCase(2, 1)
    near = exact + np.array([[4e-4], [0]])
    assert refuse_difference("tower", case, "onnxruntime", expected, [near]) == pytest.approx(4e-4)
    for wrong in (np.array([[2e-3], [0]]), np.array([[0], [4e-4]])):
        with pytest.raises(ParityError):
            refuse_difference("tower", case, "onnxruntime", expected, [exact + wrong])
