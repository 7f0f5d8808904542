"""Weights and tables stepped together: as the library's own optimisers, a table's unread rows left alone."""

import copy

import torch
from torch import nn
from torch.optim import AdamW

from rec_sys.train.table_optimizer import RowWiseAdamW, clip_gradients

ROWS, LONGEST = 50, 0.1


def make(sparse: bool) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Embedding(ROWS, 8, sparse=sparse), nn.Linear(8, 3))


def optimizer_of(model: nn.Sequential, sparse: bool) -> RowWiseAdamW:
    dense, tables = (model[1:], model[:1]) if sparse else (model, model[:0])
    return RowWiseAdamW(dense.parameters(), tables.parameters(), lr=0.01, weight_decay=0.1, fused=True)


def rows_of(step: int) -> torch.Tensor:
    return torch.randint(0, ROWS - 10, (16,), generator=torch.Generator().manual_seed(step))


def train(model: nn.Sequential, optimizer: torch.optim.Optimizer, steps: range, own_clipping: bool = True) -> None:
    for step in steps:
        loss = nn.functional.cross_entropy(model(rows_of(step)), rows_of(step + 1_000) % 3)
        optimizer.zero_grad()
        loss.backward()
        if own_clipping:
            clip_gradients(model.parameters(), LONGEST)
        else:
            nn.utils.clip_grad_norm_(model.parameters(), LONGEST)
        optimizer.step()


def test_without_tables_it_is_adamw_to_the_bit() -> None:
    ours, theirs = make(sparse=False), make(sparse=False)
    train(ours, optimizer_of(ours, sparse=False), range(20))
    adamw = AdamW(theirs.parameters(), lr=0.01, weight_decay=0.1, fused=True)
    train(theirs, adamw, range(20), own_clipping=False)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_row_that_no_batch_reads_stays_and_the_others_learn() -> None:
    model = make(sparse=True)
    before = copy.deepcopy(model[0].weight.detach())
    train(model, optimizer_of(model, sparse=True), range(20))
    changed = (model[0].weight != before).any(dim=1)
    assert changed[: ROWS - 10].all()
    assert not changed[ROWS - 10 :].any()


def test_rows_of_a_whole_gradient_are_stepped_as_those_of_a_sparse_one() -> None:
    sparse, whole = make(sparse=True), make(sparse=False)
    for model in (sparse, whole):
        train(model, optimizer_of(model, sparse=True), range(20))
    for one, other in zip(sparse.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_sparse_gradients_are_clipped_with_the_dense_ones_as_if_all_were_dense() -> None:
    found = []
    for sparse in (True, False):
        model = make(sparse)
        nn.functional.cross_entropy(model(rows_of(0)), rows_of(1) % 3).backward()
        clip_gradients(model.parameters(), LONGEST)
        found.append([weight.grad.to_dense() for weight in model.parameters() if weight.grad is not None])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)
    assert torch.cat([one.flatten() for one in found[0]]).norm() <= LONGEST


def test_it_goes_on_from_its_state_and_a_schedule_reaches_both_parts() -> None:
    model = make(sparse=True)
    optimizer = optimizer_of(model, sparse=True)
    train(model, optimizer, range(10))
    other = copy.deepcopy(model)
    resumed = optimizer_of(other, sparse=True)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for one, its in ((model, optimizer), (other, resumed)):
        torch.optim.lr_scheduler.LambdaLR(its, lambda _: 0.5)
        assert {group["lr"] for group in its.param_groups} == {0.005}
        train(one, its, range(10, 20))
    for first, second in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(first, second)
    slow, quick = make(sparse=True), make(sparse=True)
    halved = optimizer_of(slow, sparse=True)
    torch.optim.lr_scheduler.LambdaLR(halved, lambda _: 0.5)
    train(slow, halved, range(1))
    train(quick, optimizer_of(quick, sparse=True), range(1))
    start = make(sparse=True)
    for before, half, whole in zip(start[0].parameters(), slow[0].parameters(), quick[0].parameters(), strict=True):
        torch.testing.assert_close(2 * (half - before), whole - before, atol=1e-6, rtol=1e-3)
