"""Position embeddings of a grid of patches, at other sizes than they were made for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

from segship.models.layers.tokens import to_map, to_tokens
from segship.networks.resample import resize

if TYPE_CHECKING:
    from torch import Tensor

    from segship.models.layers.tokens import Size

__all__ = ["resized_positions"]


def resized_positions(stored: Tensor, grid: Size, size: Size, mode: Literal["bilinear", "bicubic"]) -> Tensor:
    """Position embedding of a grid of ``size`` patches.

    Upstream compares the number of patches only: a grid of another shape but as many patches takes the embedding as it
    is. A symbolic size therefore carries both and chooses by the number.

    Args:
        stored: (1, H*W, C), made for ``grid``.
        grid: (H, W).
        size: (h, w); may be symbolic.
        mode: How it is resized.

    Returns:
        (1, h*w, C).
    """
    length = grid[0] * grid[1]
    count = size[0] * size[1]
    if isinstance(count, int) and count == length:
        return stored
    resized = to_tokens(resize(to_map(stored, grid), size, mode))
    if isinstance(count, int):
        return resized
    index = torch.arange(count, device=stored.device)
    return torch.where(index[-1:] == length - 1, stored[:, index.clamp(max=length - 1)], resized)
