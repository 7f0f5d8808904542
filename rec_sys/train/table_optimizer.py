"""AdamW for a model whose tables have gradients of some rows alone: those rows are stepped, and no other is touched."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer, SparseAdam


class RowWiseAdamW(Optimizer):
    """AdamW for dense weights beside `SparseAdam` for tables: a step costs what a batch reads, not what a table holds.

    Rows that a batch does not read keep their moments until they are read again, as `SparseAdam` says, and tables do
    not decay.

    Args:
        dense: Weights with dense gradients.
        tables: Float `[rows, dim]` each. Where a gradient is not sparse, as several processes add it up, its rows of
            zeros are those that no batch has read.
        lr: The learning rate of both.
        weight_decay: Of the dense weights.
        fused: AdamW's.
    """

    def __init__(
        self, dense: Iterable[Tensor], tables: Iterable[Tensor], *, lr: float, weight_decay: float, fused: bool
    ) -> None:
        self._tables = list(tables)
        self._parts: list[Optimizer] = [AdamW(dense, lr=lr, weight_decay=weight_decay, fused=fused)]
        if self._tables:
            self._parts.append(SparseAdam(self._tables, lr=lr))
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
