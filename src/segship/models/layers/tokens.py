"""Between feature maps (N, C, H, W) and sequences of tokens (N, H*W, C)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Size", "norm_map", "to_map", "to_tokens"]

Size: TypeAlias = tuple[int, int]
"""Height and width of a map, in cells; symbolic while a network is captured."""


def to_tokens(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H*W, C), row after row."""
    return x.flatten(2).transpose(1, 2)


def to_map(x: Tensor, size: Size) -> Tensor:
    """(N, H*W, C) -> (N, C, H, W), the inverse of `to_tokens`; ``size`` is (H, W)."""
    return torch.unflatten(x.transpose(1, 2), 2, size)


def norm_map(norm: nn.Module, x: Tensor) -> Tensor:
    """Apply ``norm``, a normalisation of tokens, over the channels of a map (N, C, H, W)."""
    return to_map(norm(to_tokens(x)), (x.shape[2], x.shape[3]))
