"""AdamW for a model whose tables have gradients of some rows alone: those rows are stepped, and no other is touched."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer
from torch.optim.adam import adam


class RowWiseAdamW(Optimizer):
    """AdamW for dense weights, Adam for rows of tables: a step costs what a batch reads, not what a table holds.

    Rows that a batch does not read keep their moments until they are read again, as of torch's `SparseAdam`, and tables
    do not decay.

    Args:
        dense: Weights with dense gradients.
        tables: Float `[rows, dim]` each. Where a gradient is not sparse, as several processes add it up, its rows of
            zeros are those that no batch has read.
        lr: The learning rate of both.
        weight_decay: Of the dense weights.
        fused: One pass over the weights instead of a dozen.
    """

    def __init__(
        self, dense: Iterable[Tensor], tables: Iterable[Tensor], *, lr: float, weight_decay: float, fused: bool
    ) -> None:
        self._tables = list(tables)
        self._parts: list[Optimizer] = [AdamW(dense, lr=lr, weight_decay=weight_decay, fused=fused)]
        if self._tables:
            self._parts.append(_RowWiseAdam(self._tables, lr, fused))
        super().__init__([group for part in self._parts for group in part.param_groups], {})
        self._share()

    def _share(self) -> None:
        """One list of groups and one state, which the schedule and a checkpoint see, are the parts' own."""
        groups = iter(self.param_groups)
        for part in self._parts:
            part.param_groups = [next(groups) for _ in part.param_groups]
            part.state = self.state

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Steps both."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for table in self._tables:
            if table.grad is not None and not table.grad.is_sparse:
                table.grad = table.grad.to_sparse(1)
        for part in self._parts:
            part.step()
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As of any optimiser."""
        super().load_state_dict(state_dict)
        self._share()


class _RowWiseAdam(Optimizer):
    """The rows that have gradients are taken out, stepped as weights of their own, and put back.

    `SparseAdam` makes a sparse tensor of each term and adds it to the table, which takes twice as long.
    """

    def __init__(self, tables: Iterable[Tensor], lr: float, fused: bool) -> None:
        super().__init__(tables, {"lr": lr, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "fused": fused})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Steps tables whose gradients are sparse."""
        assert closure is None
        for group in self.param_groups:
            numbers = {name: group[name] for name in ("lr", "beta1", "beta2", "eps", "fused")}
            for table in group["params"]:
                if table.grad is not None:
                    self._step(table, table.grad.coalesce(), numbers)

    def _step(self, table: Tensor, gradient: Tensor, numbers: dict[str, Any]) -> None:
        state = self.state[table]
        if not state:
            state["step"] = torch.zeros((), device=table.device)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(table), torch.zeros_like(table)
        row, whole = gradient.indices()[0], (table, state["exp_avg"], state["exp_avg_sq"])
        part = [one.index_select(0, row) for one in whole]
        weight, mean, variance = ([one] for one in part)
        numbers = numbers | {"amsgrad": False, "weight_decay": 0.0, "maximize": False}
        adam(weight, [gradient.values()], mean, variance, [], [state["step"]], **numbers)
        for one, rows in zip(whole, part, strict=True):
            one.index_copy_(0, row, rows)


def clip_gradients(weights: Iterable[Tensor], longest: float) -> None:
    """Shortens all gradients together to a length, as `torch.nn.utils.clip_grad_norm_` does where none is sparse."""
    values = []
    for weight in weights:
        if weight.grad is not None:
            if weight.grad.is_sparse:
                weight.grad = weight.grad.coalesce()
            values.append(weight.grad.values() if weight.grad.is_sparse else weight.grad)
    length = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(one) for one in values]))
    torch._foreach_mul_(values, torch.clamp(longest / (length + 1e-6), max=1.0))
