"""Moves blocks between devices."""

from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

Block = TypeVar("Block")


def move_to(block: Block, device: torch.device) -> Block:
    """A copy of a (nested) dataclass with every tensor on the device."""
    moved: Any = {}
    for field in fields(block):  # type: ignore[arg-type] # there is no type of all dataclasses
        value = getattr(block, field.name)
        if isinstance(value, Tensor):
            value = value.to(device, non_blocking=True)
        elif is_dataclass(value):
            value = move_to(value, device)
        moved[field.name] = value
    return type(block)(**moved)
