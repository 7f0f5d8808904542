"""The two objectives against plain arithmetic."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rec_sys.modules import losses
from rec_sys.modules.losses import rating_loss, softmax_loss, softmax_precision

Pairs = tuple[torch.Tensor, torch.Tensor]


def loss_of(
    logits: torch.Tensor, target: torch.Tensor, masked: Pairs, log_sampled: torch.Tensor | None = None
) -> torch.Tensor:
    """The softmax of some logits: they are the users, and the products the unit vectors."""
    return softmax_loss(logits, torch.eye(logits.shape[1]), target, masked, log_sampled)


def plain_loss(
    logits: torch.Tensor, target: torch.Tensor, masked: Pairs, log_sampled: torch.Tensor | None = None
) -> torch.Tensor:
    """The same by torch's own cross-entropy, which knows its gradient."""
    corrected = logits if log_sampled is None else logits - log_sampled
    row, column = masked
    left_out = column != target[row]
    nothing = torch.full((1,), -math.inf)
    corrected = corrected.index_put((row[left_out], column[left_out]), nothing)
    return torch.nn.functional.cross_entropy(corrected, target)


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(2, 9), st.booleans())
def test_the_ranking_loss_is_the_softmax_of_what_is_not_history(
    seed: int, batch: int, num_candidates: int, corrects: bool
) -> None:
    random = np.random.default_rng(seed)
    logits = random.normal(size=(batch, num_candidates)) * 3
    target = random.integers(0, num_candidates, batch)
    history = [set(random.integers(0, num_candidates, random.integers(0, 5)).tolist()) for _ in range(batch)]
    log_sampled = np.log(random.random(num_candidates) * 0.9 + 0.1)

    losses = []
    for row in range(batch):
        corrected = logits[row] - log_sampled if corrects else logits[row]
        rivals = [column for column in range(num_candidates) if column not in history[row] or column == target[row]]
        total = sum(math.exp(corrected[column]) for column in rivals)
        losses.append(-math.log(math.exp(corrected[target[row]]) / total))

    pairs = [(row, column) for row, columns in enumerate(history) for column in columns] * 2  # a pair may stand twice
    rows, columns = (torch.tensor([pair[side] for pair in pairs], dtype=torch.int64) for side in (0, 1))
    corrections = torch.tensor(log_sampled) if corrects else None
    found = loss_of(torch.tensor(logits), torch.tensor(target), (rows, columns), corrections)
    assert found.item() == pytest.approx(sum(losses) / batch, rel=1e-5, abs=1e-6)


def test_a_product_reviewed_again_is_a_right_answer() -> None:
    logits = torch.tensor([[2.0, 0.0, 1.0]])
    again = (torch.tensor([0, 0]), torch.tensor([0, 2]))
    assert loss_of(logits, torch.tensor([0]), again).item() == pytest.approx(math.log(1 + math.exp(-2)))


def test_masked_products_get_no_gradient_and_the_logits_are_left_as_they_were() -> None:
    logits = torch.zeros(2, 3, requires_grad=True)
    loss_of(logits, torch.tensor([0, 0]), (torch.tensor([1]), torch.tensor([2]))).backward()
    assert logits.grad is not None
    assert logits.grad[1].tolist() == pytest.approx([-0.25, 0.25, 0])
    assert (logits == 0).all()


def test_sampled_losses_with_logq_estimate_the_full_one() -> None:
    # Candidates drawn by their popularity: without the correction the popular ones would be punished for being drawn.
    random = np.random.default_rng(0)
    logits = random.normal(size=200)
    chance = np.clip(random.pareto(1.5, 200) * 0.08, 0.02, 1)
    target = 7
    chance[target] = 1
    full = loss_of(torch.tensor(logits)[None], torch.tensor([target]), (torch.zeros(0).long(),) * 2).item()
    corrected, plain = [], []
    for _ in range(1000):
        drawn = np.flatnonzero(random.random(200) < chance)
        column = torch.tensor([np.searchsorted(drawn, target)])
        chosen, none = torch.tensor(logits[drawn])[None], (torch.zeros(0).long(),) * 2
        corrected.append(loss_of(chosen, column, none, torch.tensor(np.log(chance[drawn]))).item())
        plain.append(loss_of(chosen, column, none).item())
    # The sum inside the logarithm is what the correction keeps unbiased.
    assert np.mean(np.exp(corrected)) == pytest.approx(np.exp(full), rel=0.05)
    assert np.mean(np.exp(plain)) < np.exp(full) / 2


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 20), st.booleans(), st.sampled_from([torch.float32, torch.bfloat16]))
def test_the_chunked_softmax_is_the_plain_one(seed: int, batch: int, corrects: bool, precision: torch.dtype) -> None:
    torch.manual_seed(seed)
    users = (torch.nn.functional.normalize(torch.randn(batch, 8), dim=1) / 0.07).requires_grad_()
    products = torch.nn.functional.normalize(torch.randn(9, 8), dim=1).requires_grad_()
    target = torch.randint(0, 9, (batch,))
    row = torch.randint(0, batch, (batch * 2,)).sort().values  # a pair may stand twice, and the target be in it
    masked = (row, torch.randint(0, 9, (batch * 2,)))
    log_sampled = torch.rand(9).log() if corrects else None
    plain = plain_loss(users @ products.T, target, masked, log_sampled)
    expected = torch.autograd.grad(plain, (users, products))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(losses, "_CHUNK", 7)  # so that there are several
        chunked = softmax_loss(users, products, target, masked, log_sampled, precision)
    found = torch.autograd.grad(chunked * 3, (users, products))
    loose = precision == torch.bfloat16
    torch.testing.assert_close(chunked, plain, atol=0.06 if loose else 1e-5, rtol=0.02 if loose else 1e-5)
    for one, other in zip(found, expected, strict=True):
        scale = float(other.abs().max()) + (1e-2 if loose else 1e-3)  # shares of nearly 1 are rounded too
        torch.testing.assert_close(one / 3, other, atol=scale * (0.06 if loose else 1e-5), rtol=0)


def test_a_small_catalogue_is_computed_in_full_precision() -> None:
    assert softmax_precision(torch.device("cpu"), 500) == torch.float32
    assert softmax_precision(torch.device("cuda"), 500) == torch.float32
    assert softmax_precision(torch.device("cuda"), 10_000) == torch.bfloat16


def test_rating_losses_are_means_over_the_rated() -> None:
    predicted, stars = torch.tensor([1.0, 2.0, 9.0]), torch.tensor([3.0, 5.0, math.nan])
    assert rating_loss(predicted, stars, "absolute").item() == pytest.approx(2.5)
    assert rating_loss(predicted, stars, "squared").item() == pytest.approx((4 + 9) / 2)


@pytest.mark.parametrize("error", ["absolute", "squared"])
def test_without_a_rating_the_loss_is_zero_and_so_is_its_gradient(error: str) -> None:
    predicted = torch.tensor([1.0, 2.0], requires_grad=True)
    loss = rating_loss(predicted, torch.full((2,), math.nan), error)  # type: ignore[arg-type]
    loss.backward()
    assert loss.item() == 0
    assert predicted.grad is not None
    assert predicted.grad.tolist() == [0, 0]


def test_missing_ratings_send_no_gradient_through_the_others() -> None:
    predicted = torch.tensor([1.0, 2.0], requires_grad=True)
    rating_loss(predicted, torch.tensor([3.0, math.nan]), "squared").backward()
    assert predicted.grad is not None
    assert predicted.grad.tolist() == [-4, 0]
