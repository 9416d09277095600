"""Adaptive max pooling to a size that follows from the input's, in operators that every exporter has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from segship.models.layers.tokens import Size

__all__ = ["adaptive_max_pool2d"]

_ROWS, _COLUMNS = 2, 3


def adaptive_max_pool2d(x: Tensor, size: Size, *, widest: int) -> Tensor:
    """The greatest value of each window, as ``torch.nn.functional.adaptive_max_pool2d`` cuts them.

    Args:
        x: (N, C, H, W); H and W may be symbolic.
        size: (h, w); may be symbolic.
        widest: Cells of the widest window, at least; more change nothing.

    Returns:
        (N, C, h, w).
    """
    for axis, count in zip((_ROWS, _COLUMNS), size, strict=True):
        length = x.shape[axis]
        place = torch.arange(count, device=x.device)
        first = place * length // count
        last = ((place + 1) * length + count - 1) // count - 1
        found = _taken(x, axis, first)
        for step in range(1, widest):
            found = torch.maximum(found, _taken(x, axis, torch.minimum(first + step, last)))
        x = found
    return x


def _taken(x: Tensor, axis: int, places: Tensor) -> Tensor:
    return x[:, :, places] if axis == _ROWS else x[:, :, :, places]
